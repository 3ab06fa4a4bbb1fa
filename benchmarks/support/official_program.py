"""Child process with the official client: run operations and report their times.

Reads lines of JSON from stdin and answers each on stdout. Run as ``official_program.py COLOUR``
with the client's own interpreter; there, ``agentbay`` is the official package.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Output of the client must not get between the lines of JSON.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import agentbay  # noqa: E402  # it may print when it is imported

#: Creates, many at once.
BULK = "bulk"
LABELS = {"project": "bench", "stage": "test"}
COMMAND = {"command": "echo hi", "timeout_ms": 1000}


def _write_line(value: object) -> None:
    print(json.dumps(value), file=_answers, flush=True)


def _checked(result: Any) -> Any:
    if not result.success:
        raise RuntimeError(f"the official client failed: {result.error_message}")
    return result


class Async:
    """Its asynchronous client."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._bay: Any = agentbay.AsyncAgentBay()
        params = agentbay.CreateSessionParams(image_id="linux_latest", labels=LABELS)
        session: Any = self._loop.run_until_complete(self._bay.create(params)).session
        self.calls: dict[str, Callable[[], Any]] = {
            "create": lambda: self._bay.create(params),
            "list": lambda: self._bay.list(limit=100),
            "set_labels": lambda: session.set_labels(LABELS),
            "get": lambda: self._bay.get(session.session_id),
            "tool": lambda: session.call_mcp_tool("shell", COMMAND),
        }

    def run(self, operation: str, calls: int) -> None:
        """Repeat an operation `calls` times."""
        self._loop.run_until_complete(self._run(operation, calls))

    async def _run(self, operation: str, calls: int) -> None:
        if operation == BULK:
            await self._bulk(calls)
            return
        for _ in range(calls):
            _checked(await self.calls[operation]())

    async def _bulk(self, count: int) -> None:
        # Without the limit, which is the size of its own pool, it fails.
        turns = asyncio.Semaphore(100)

        async def create() -> None:
            async with turns:
                _checked(await self.calls["create"]())

        await asyncio.gather(*(create() for _ in range(count)))


class Sync:
    """Its blocking client."""

    def __init__(self) -> None:
        bay: Any = agentbay.AgentBay()
        params = agentbay.CreateSessionParams(image_id="linux_latest", labels=LABELS)
        session: Any = _checked(bay.create(params)).session
        self.calls: dict[str, Callable[[], Any]] = {
            "create": lambda: bay.create(params),
            "list": lambda: bay.list(limit=100),
            "set_labels": lambda: session.set_labels(LABELS),
            "get": lambda: bay.get(session.session_id),
            "tool": lambda: session.call_mcp_tool("shell", COMMAND),
        }

    def run(self, operation: str, calls: int) -> None:
        """Repeat an operation `calls` times."""
        if operation == BULK:
            with ThreadPoolExecutor(32) as threads:
                list(threads.map(lambda _: _checked(self.calls["create"]()), range(calls)))
            return
        for _ in range(calls):
            _checked(self.calls[operation]())


def main() -> None:
    """Serve orders until stdin ends."""
    client = Async() if sys.argv[1] == "async" else Sync()
    _write_line({})
    for line in sys.stdin:
        order = json.loads(line)
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        client.run(order["operation"], order["calls"])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        _write_line({"wall": wall / order["calls"], "cpu": cpu / order["calls"]})


if __name__ == "__main__":
    main()
