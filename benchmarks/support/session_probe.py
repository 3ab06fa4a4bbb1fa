"""Session probe: a child process whose own session works all the time, and measures the silence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay
from support.probe import Probe

if TYPE_CHECKING:
    from agentbay_async import AsyncSession

_INTERVAL = 0.01


class SessionProbe(Probe):
    """A session in a process of its own that calls the service during a ``with`` block.

    Reading the latencies waits for the call under way, so a silence that still lasts is in them.

    Args:
        endpoint: The service.
        api_key: Its key.
    """

    def __init__(self, endpoint: str, api_key: str) -> None:
        super().__init__("support.session_probe", endpoint, AGENTBAY_API_KEY=api_key)


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
