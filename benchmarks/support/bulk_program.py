"""One bulk job in a child process, so that its memory and connections are measured alone.

Run as ``python -m support.bulk_program JOB URL CERTIFICATES COUNT``; writes one line of JSON with
the seconds, the CPU seconds, the growth of the memory in bytes, and how many failed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import ssl
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from agentbay import AgentBay
from agentbay_async import AsyncAgentBay, Config, CreateSessionParams
from support.clients import API_KEY, IMAGE, LABELS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WIDTH = 100
_PARAMS: dict[str, Any] = {"image_id": IMAGE, "labels": LABELS}


class Job:
    """A client that is warm: its modules are loaded, and its first connection is open.

    Args:
        url: The service.
        trusted: A PEM file of the authorities to trust.
    """

    def __init__(self, url: str, trusted: str) -> None:
        self._url = url
        self._tls = ssl.create_default_context(cafile=trusted)

    def _config(self) -> Config:
        return Config(endpoint=self._url, ssl_context=self._tls, max_connections=WIDTH)

    async def raw(self, count: int) -> int:
        """Raw aiohttp: a fixed number of workers, the form encoded by hand, and `json.loads`."""
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls, limit=WIDTH))
        stats = json.dumps({"source": "sdk", "sdk_language": "python", "sdk_version": "0"})
        fields = {"SdkStats": stats, "LoginRegionId": "cn-hangzhou", "ImageId": IMAGE}
        query = "Action=CreateMcpSession&Format=json&Version=2025-05-06"
        url = URL(f"{self._url}/?{query}&Timestamp=2026-01-01&SignatureNonce=0", encoded=True)
        head = {"x-acs-version": "2025-05-06", "Content-Type": "application/x-www-form-urlencoded"}
        labels = json.dumps(LABELS)

        async def call() -> Any:
            form = urlencode({"Authorization": f"Bearer {API_KEY}", **fields, "Labels": labels})
            async with session.post(url, data=form.encode(), headers=head) as response:
                return json.loads(await response.read())["Data"]["SessionId"]

        async def work() -> list[str]:
            return [await call() for _ in turns]

        async with session:
            await call()
            turns = iter(range(count))
            start = _Start()
            made = await asyncio.gather(*(work() for _ in range(min(WIDTH, count))))
            start.report(count - sum(map(len, made)))
        return 0

    async def ours(self, count: int) -> int:
        """`create_many`, awaited."""
        async with AsyncAgentBay(API_KEY, self._config()) as bay:
            (await bay.create(CreateSessionParams(**_PARAMS))).unwrap()
            start = _Start()
            result = await bay.create_many(CreateSessionParams(**_PARAMS), count)
            start.report(result.failed)
        return 0

    async def gather(self, count: int) -> int:
        """As many calls of `create` at once as there are sessions wanted."""
        async with AsyncAgentBay(API_KEY, self._config()) as bay:
            (await bay.create(CreateSessionParams(**_PARAMS))).unwrap()
            params = CreateSessionParams(**_PARAMS)
            start = _Start()
            results = await asyncio.gather(*(bay.create(params) for _ in range(count)))
            start.report(sum(not result.success for result in results))
        return 0

    async def listing(self, count: int) -> int:
        """Every session, page after page, none of them kept."""
        async with AsyncAgentBay(API_KEY, self._config()) as bay:
            (await bay.list(labels=LABELS, limit=1)).unwrap()
            start = _Start()
            seen = 0
            async for _session in bay.list(labels={"project": "stored"}):
                seen += 1
            start.report(count - seen)
        return 0

    def blocking(self, count: int) -> None:
        """`create_many` of the blocking package."""
        with AgentBay(API_KEY, self._config()) as bay:
            bay.create(CreateSessionParams(**_PARAMS)).unwrap()
            start = _Start()
            result = bay.create_many(CreateSessionParams(**_PARAMS), count).run()
            start.report(result.failed)


class _Start:
    """The clocks and the memory when the work began."""

    def __init__(self) -> None:
        gc.collect()
        self._memory = memory()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def report(self, failed: int) -> None:
        """Print the cost."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        figures = {
            "wall": wall,
            "cpu": cpu,
            "growth": memory() - self._memory,
            "peak": peak,
            "failed": failed,
        }
        print(json.dumps(figures), flush=True)


def memory() -> int:
    """Return the bytes of memory that this process holds now."""
    with suppress(OSError), open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run one job."""
    name, url, trusted, count = sys.argv[1:]
    job: Callable[[int], Awaitable[int] | None] = getattr(Job(url, trusted), name)
    running = job(int(count))
    if running is not None:
        asyncio.run(_await(running))


async def _await(running: Awaitable[int]) -> int:
    return await running


if __name__ == "__main__":
    main()
