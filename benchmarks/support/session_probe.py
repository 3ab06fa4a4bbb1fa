"""Session probe: a child process whose own session works all the time, and measures the silence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay
from support.child import LineChild

if TYPE_CHECKING:
    from types import TracebackType

    from agentbay_async import AsyncSession

_BENCHMARKS = Path(__file__).parent.parent
_INTERVAL = 0.01


class SessionProbe:
    """A session in a process of its own that calls the service during a ``with`` block.

    Args:
        endpoint: The service.
        api_key: Its key.
    """

    def __init__(self, endpoint: str, api_key: str) -> None:
        self._endpoint = endpoint
        self._api_key = api_key

    def __enter__(self) -> SessionProbe:
        self._child = LineChild(
            [sys.executable, "-m", "support.session_probe", self._endpoint],
            env={
                **os.environ,
                "PYTHONPATH": str(_BENCHMARKS),
                "AGENTBAY_API_KEY": self._api_key,
            },
        )
        self.read_latencies()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.close()

    def read_latencies(self) -> list[float]:
        """Return the latency in seconds of each call since the last time.

        It waits for the call under way, so a silence that still lasts is in the list.

        Raises:
            ChildFailedError: A call of the probe failed, or took longer than two minutes.
        """
        seconds: list[float] = self._child.ask({})["seconds"]
        return seconds


class _Calls:
    """Calls in turns: a command in the session, and its description."""

    def __init__(self, bay: AsyncAgentBay, session: AsyncSession) -> None:
        self._bay = bay
        self._session = session
        self._seconds: list[float] = []
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Call until cancelled."""
        while True:
            for call in (self._command, self._describe):
                async with self._turn:
                    began = time.perf_counter()
                    await call()
                    self._seconds.append(time.perf_counter() - began)
                # The sampling interval: without it the probe itself would load the service.
                await asyncio.sleep(_INTERVAL)

    async def take(self) -> list[float]:
        """Return what was measured, after the call under way."""
        async with self._turn:
            seconds, self._seconds = self._seconds, []
            return seconds

    async def _command(self) -> None:
        (await self._session.command.run("true")).unwrap()

    async def _describe(self) -> None:
        (await self._bay.get(self._session.session_id)).unwrap()


async def _answer_lines(endpoint: str) -> None:
    async with AsyncAgentBay(endpoint=endpoint) as bay, bay.session() as session:
        calls = _Calls(bay, session)
        await session.command.run("true")
        calling = asyncio.create_task(calls.run())
        while await asyncio.to_thread(sys.stdin.readline):
            if calling.done():
                calling.result()
            print(json.dumps({"seconds": await calls.take()}), flush=True)
        calling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await calling


if __name__ == "__main__":
    asyncio.run(_answer_lines(sys.argv[1]))
