"""A running local service, and a plain HTTP client that speaks its wire without our own client."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
import attrs
import pytest

from agentbay_local import LocalService, ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

DEADLINE = 30.0


@attrs.frozen
class Api:
    """Sends raw forms to a service."""

    http: aiohttp.ClientSession
    service: LocalService

    async def call(self, action: str, /, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Send an action and return the HTTP status and the body; dicts and lists become JSON."""
        # The key first: the service reads only so much of a form before it has one.
        fields = {"Authorization": f"Bearer {self.service.api_key}", **fields}
        form = {
            name: json.dumps(value) if isinstance(value, (dict, list)) else str(value)
            for name, value in fields.items()
        }
        url = f"{self.service.endpoint}/?Action={action}"
        # A file-like body, because aiohttp warns about large ones that are not.
        body = io.BytesIO(urlencode(form).encode())
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self.http.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def ok(self, action: str, /, **fields: Any) -> dict[str, Any]:
        """Send an action that must succeed, and return the body."""
        status, body = await self.call(action, **fields)
        assert status == 200, body
        assert body["Success"] is True, body
        return body

    async def code(self, action: str, /, **fields: Any) -> str:
        """Send an action that must fail, and return the error code."""
        status, body = await self.call(action, **fields)
        assert body["Success"] is False, body
        assert status != 500, body
        return str(body["Code"])

    async def session(self, **fields: Any) -> str:
        """Create a session and return its id."""
        return str((await self.ok("CreateMcpSession", **fields))["Data"]["SessionId"])

    async def context(self, name: str = "") -> str:
        """Create a context and return its id."""
        wanted = name or f"context-{uuid.uuid4().hex}"
        return str((await self.ok("GetContext", Name=wanted, AllowCreate=True))["Data"]["Id"])

    async def mounted(self, context_id: str, path: str = "/mnt/data", **policy: Any) -> str:
        """Create a session with one context, and wait until its files are there."""
        item = {"ContextId": context_id, "Path": path, "Policy": json.dumps(policy)}
        session = await self.session(PersistenceDataList=[item])
        await self.settled(session)
        return session

    async def tool(self, session: str, name: str, /, **arguments: Any) -> tuple[bool, str]:
        """Call a tool; return whether its answer is an error, and its text."""
        body = await self.ok("CallMcpTool", SessionId=session, Name=name, Args=arguments)
        return body["Data"]["isError"], body["Data"]["content"][0]["text"]

    async def sh(self, session: str, command: str) -> str:
        """Run a command that must succeed, and return what it wrote."""
        is_error, text = await self.tool(session, "shell", command=command)
        assert not is_error, text
        answer = json.loads(text)
        assert answer["exit_code"] == 0, answer
        return str(answer["stdout"])

    async def tasks(self, session: str, **filters: Any) -> list[dict[str, Any]]:
        """Return the tasks of a session."""
        body = await self.ok("GetContextInfo", SessionId=session, **filters)
        wrappers = json.loads(body["Data"]["ContextStatus"])
        return [task for wrapper in wrappers for task in json.loads(wrapper["data"])]

    async def until(self, check: Callable[[], Awaitable[Any]]) -> Any:
        """Poll until the answer is true; fail after a deadline."""
        end = time.monotonic() + DEADLINE
        while not (answer := await check()):
            assert time.monotonic() < end, f"{check.__qualname__} did not come true"
            await asyncio.sleep(0.01)
        return answer

    async def settled(self, session: str, **filters: Any) -> list[dict[str, Any]]:
        """Wait until no task of a session is running, and return them."""

        async def done() -> list[dict[str, Any]] | None:
            tasks = await self.tasks(session, **filters)
            ended = all(task["status"] in ("Success", "Failed") for task in tasks)
            return tasks if tasks and ended else None

        tasks: list[dict[str, Any]] = await self.until(done)
        return tasks

    async def released(self, session: str) -> None:
        """Release a session and wait until it is finished."""
        await self.ok("ReleaseMcpSession", SessionId=session)
        assert await self.status(session) == "FINISH"

    async def status(self, session: str) -> str:
        """Return the state of a session, finished ones included."""
        return str((await self.ok("GetSessionDetail", SessionId=session))["Data"]["Status"])

    async def reached(self, session: str, status: str) -> None:
        """Wait until a session is in a state."""

        async def there() -> bool:
            return await self.status(session) == status

        await self.until(there)

    async def put(self, context_id: str, path: str, content: bytes) -> str:
        """Upload a file to a context through its URL, and return the ETag."""
        body = await self.ok("GetContextFileUploadUrl", ContextId=context_id, FilePath=path)
        async with self.http.put(body["Data"]["Url"], data=io.BytesIO(content)) as answer:
            assert answer.status == 200, await answer.text()
            return answer.headers["ETag"]

    async def fetch(self, context_id: str, path: str) -> bytes:
        """Download a file of a context through its URL."""
        body = await self.ok("GetContextFileDownloadUrl", ContextId=context_id, FilePath=path)
        async with self.http.get(body["Data"]["Url"]) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async def names(self, context_id: str, folder: str = "/") -> list[str]:
        """Return the names in a folder of a context."""
        fields = {"ContextId": context_id, "ParentFolderPath": folder}
        body = await self.ok("DescribeContextFiles", **fields)
        return [entry["FileName"] for entry in body["Data"]]


@pytest.fixture(scope="session")
def service() -> Iterator[LocalService]:
    """Run one service for all tests of this process; tests tell theirs apart by labels and ids."""
    with LocalService() as running:
        yield running


@pytest.fixture
async def api(service: LocalService) -> AsyncIterator[Api]:
    """Speak to the shared service."""
    async with aiohttp.ClientSession() as http:
        yield Api(http, service)


@pytest.fixture
def sandboxed(service: LocalService) -> None:
    """Skip where sessions cannot be isolated, with the reason."""
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)


@pytest.fixture
def python_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the other languages that the machine has from the services of this process."""
    others, which = {"node", "Rscript", "javac"}, shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in others else which(name))


@pytest.fixture
def controlled_api(service: LocalService, api: Api) -> Iterator[Api]:
    """Return the shared service with its test controls; they are reset afterwards."""
    service.journal.clear()
    yield api
    service.faults.clear()
    service.quotas.reset()
    service.transitions.reset()


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that only moves when a test moves it."""
    return ManualClock()


@pytest.fixture
async def timed(clock: ManualClock) -> AsyncIterator[Api]:
    """Return a service whose clock the test moves."""
    async with LocalService(clock=clock) as running, aiohttp.ClientSession() as http:
        yield Api(http, running)
