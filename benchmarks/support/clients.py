"""The clients to compare, with one interface: run an operation many times, return its cost.

Raw aiohttp is the floor: URLs made beforehand, the form encoded by hand, the answer through
:func:`json.loads` and no further.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from agentbay import AgentBay, Config, CreateSessionParams
from agentbay_async import AsyncAgentBay
from support.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.service import StubService

OPERATIONS = ("create", "list", "set_labels", "get", "tool")
API_KEY = "akm-00000000-0000-0000-0000-000000000000"
LABELS = {"project": "bench", "stage": "test"}
IMAGE = "linux_latest"
COMMAND = {"command": "echo hi", "timeout_ms": 1000}
PAGE = 100


class Client(Protocol):
    """A client under test.

    Attributes:
        name: What it is called in tables.
        share: The part of the usual number of calls that suffices; slow clients need fewer.
    """

    name: str
    share: float

    def run(self, operation: str, calls: int) -> Sample:
        """Run an operation `calls` times and return the cost of one call."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


class _Asyncio:
    """Shared parts of the asynchronous clients: the event loop and the measurement."""

    share = 1.0

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._operations: dict[str, Callable[[], Awaitable[object]]] = {}

    def run(self, operation: str, calls: int) -> Sample:
        """Run an operation `calls` times and return the cost of one call."""
        gc.collect()
        return self._loop.run_until_complete(self._measured(self._operations[operation], calls))

    async def _measured(self, call: Callable[[], Awaitable[object]], calls: int) -> Sample:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(calls):
            await call()
        return Sample((time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls)


class RawAiohttp(_Asyncio):
    """aiohttp by hand, as lean as it gets."""

    name = "raw aiohttp"

    def __init__(self, service: StubService) -> None:
        super().__init__()
        self._session = self._loop.run_until_complete(self._open(service))
        answer = self._loop.run_until_complete(self._prepare(service, "CreateMcpSession", {})())
        session = {"SessionId": answer["Data"]["SessionId"]}
        labels = json.dumps(LABELS)
        stats = {"source": "sdk", "sdk_language": "python", "sdk_version": "0"}
        create = {"SdkStats": json.dumps(stats), "LoginRegionId": "cn-hangzhou"}
        tool = {"Name": "shell", "Args": json.dumps(COMMAND), "AutoGenSession": "false"}
        wanted: dict[str, tuple[str, dict[str, str]]] = {
            "create": ("CreateMcpSession", {**create, "ImageId": IMAGE, "Labels": labels}),
            "list": ("ListSession", {"Labels": "{}", "MaxResults": str(PAGE)}),
            "set_labels": ("SetLabel", {**session, "Labels": labels}),
            "get": ("GetSession", session),
            "tool": ("CallMcpTool", {**session, **tool}),
        }
        self._operations = {
            operation: self._prepare(service, action, fields)
            for operation, (action, fields) in wanted.items()
        }

    async def _open(self, service: StubService) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=service.ssl_context()))

    def _prepare(
        self, service: StubService, action: str, fields: dict[str, str]
    ) -> Callable[[], Awaitable[Any]]:
        time_and_nonce = "Timestamp=2026-01-01T00%3A00%3A00Z&SignatureNonce=0123456789abcdef"
        query = f"Action={action}&Format=json&Version=2025-05-06&{time_and_nonce}"
        url = URL(f"{service.url}/?{query}", encoded=True)
        headers = {
            "x-acs-version": "2025-05-06",
            "x-acs-action": action,
            "Content-Type": "application/x-www-form-urlencoded",
        }

        async def call() -> Any:
            form = urlencode({"Authorization": f"Bearer {API_KEY}", **fields})
            async with self._session.post(url, data=form.encode(), headers=headers) as response:
                return json.loads(await response.read())

        return call

    def close(self) -> None:
        """Close its connections."""
        self._loop.run_until_complete(self._session.close())
        self._loop.close()


def _config(service: StubService) -> Config:
    return Config(endpoint=service.url, ssl_context=service.ssl_context())


class OurAsync(_Asyncio):
    """`agentbay_async`."""

    name = "agentbay_async"

    def __init__(self, service: StubService) -> None:
        super().__init__()
        self._bay = AsyncAgentBay(API_KEY, _config(service))
        self._params = CreateSessionParams(image_id=IMAGE, labels=LABELS)
        self._session = self._loop.run_until_complete(self._create())
        self._operations = {
            "create": self._create,
            "list": self._list,
            "set_labels": self._set_labels,
            "get": self._get,
            "tool": self._tool,
        }

    async def _create(self) -> Any:
        return (await self._bay.create(self._params)).unwrap()

    async def _list(self) -> Any:
        return (await self._bay.list(limit=PAGE)).unwrap()

    async def _set_labels(self) -> Any:
        return (await self._session.set_labels(LABELS)).unwrap()

    async def _get(self) -> Any:
        return (await self._bay.get(self._session.session_id)).unwrap()

    async def _tool(self) -> Any:
        return (await self._session.call_mcp_tool("shell", COMMAND)).unwrap()

    def close(self) -> None:
        """Close its connections."""
        self._loop.run_until_complete(self._bay.aclose())
        self._loop.close()


class OurBlocking:
    """`agentbay`, called from the main thread."""

    name = "agentbay"
    share = 1.0

    def __init__(self, service: StubService) -> None:
        self._bay = bay = AgentBay(API_KEY, _config(service))
        params = CreateSessionParams(image_id=IMAGE, labels=LABELS)
        session = bay.create(params).unwrap()
        self._operations: dict[str, Callable[[], object]] = {
            "create": lambda: bay.create(params).unwrap(),
            "list": lambda: bay.list(limit=PAGE).unwrap(),
            "set_labels": lambda: session.set_labels(LABELS).unwrap(),
            "get": lambda: bay.get(session.session_id).unwrap(),
            "tool": lambda: session.call_mcp_tool("shell", COMMAND).unwrap(),
        }

    def run(self, operation: str, calls: int) -> Sample:
        """Run an operation `calls` times and return the cost of one call, on both threads."""
        call = self._operations[operation]
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(calls):
            call()
        return Sample((time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls)

    def close(self) -> None:
        """Close its connections."""
        self._bay.close()
