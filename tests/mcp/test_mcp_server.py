"""The MCP server, driven by the client of the protocol's own library."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from mcp.client.client import Client

from agentbay_async import AsyncAgentBay, InvalidArgumentError
from agentbay_local import Fail, LocalService
from agentbay_mcp import McpOptions, make_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from mcp.types import CallToolResult


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Run one service for all tests."""
    with LocalService() as running:
        yield running


@pytest.fixture
async def bay(service: LocalService) -> AsyncIterator[AsyncAgentBay]:
    """Return a client of it; at the end no session is left."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as client:
        yield client
    service.faults.clear()
    assert await service.aliving() == {}


def connect(bay: AsyncAgentBay, **options: Any) -> Client:
    """Return an MCP client of a new server."""
    return Client(make_server(bay, McpOptions(**options)))


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool, and return its value."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    found: dict[str, Any] = result.structured_content
    return found.get("result", found)


async def fails(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that must fail, and return what it says."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    """Return the text of a result."""
    return "".join(getattr(one, "text", "") for one in result.content)


async def create(client: Client, **arguments: Any) -> str:
    """Create a session, and return its id."""
    session_id: str = (await call(client, "session_create", **arguments))["session_id"]
    return session_id


async def test_a_command_streams_its_output_and_returns_its_end(bay: AsyncAgentBay) -> None:
    """Progress comes while it runs."""
    messages: list[str] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        messages.append(message or "")

    async with connect(bay) as client:
        session = await create(client, envs={"NAME": "world"})
        command = 'echo "hello $NAME"; cat /tmp/missing; exit 3'
        result = await client.call_tool(
            "run_command",
            {"session_id": session, "command": command},
            progress_callback=progress,
        )
    assert result.structured_content is not None
    assert result.structured_content["exit_code"] == 3
    assert result.structured_content["output"].startswith("hello world\n")
    assert "No such file" in result.structured_content["output"]
    assert messages[0].startswith("hello world")


async def test_long_output_keeps_its_end(bay: AsyncAgentBay) -> None:
    """Errors come last."""
    async with connect(bay) as client:
        session = await create(client)
        command = "seq 1 40000; echo end"
        found = await call(client, "run_command", session_id=session, command=command)
    assert found["output"].endswith("40000\nend\n")
    assert len(found["output"]) == 64 * 1024
    assert found["bytes_left_out"] == sum(len(f"{n}\n") for n in range(1, 40001)) + 4 - 64 * 1024


async def test_a_command_ends_at_its_time_limit(bay: AsyncAgentBay) -> None:
    """What it has written until then is there, and it runs no longer."""
    async with connect(bay) as client:
        session = await create(client)
        command = "echo $$ > pid; echo started; sleep 1000"
        found = await call(
            client, "run_command", session_id=session, command=command, timeout_seconds=2
        )
        assert (found["exit_code"], found["timed_out"]) == (None, True)
        assert found["output"] == "started\n"
        await ended(client, session)


async def test_a_cancelled_call_ends_its_command(bay: AsyncAgentBay) -> None:
    """The client has hung up: nobody reads the output."""
    async with connect(bay) as client:
        session = await create(client)
        started = asyncio.Event()

        async def progress(*_: object) -> None:
            started.set()

        command = {"session_id": session, "command": "echo $$ > pid; echo go; sleep 1000"}
        calling = asyncio.create_task(
            client.call_tool("run_command", command, progress_callback=progress)
        )
        await asyncio.wait_for(started.wait(), 30)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await ended(client, session)


async def ended(client: Client, session: str) -> None:
    """Wait until the process whose id is in the file ``pid`` has ended."""
    command = "while kill -0 $(cat pid) 2>/dev/null; do :; done"
    found = await call(client, "run_command", session_id=session, command=command)
    assert found["exit_code"] == 0


async def test_code_returns_text_and_pictures(bay: AsyncAgentBay) -> None:
    """Pictures are images for the model, and an error has its traceback."""
    async with connect(bay, images=("code_latest",)) as client:
        session = await create(client)
        code = (
            "from IPython.display import Image, display\n"
            "print('hello')\n"
            "display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n', format='png'))\n"
            "6 * 7"
        )
        result = await client.call_tool("run_code", {"session_id": session, "code": code})
        assert [one.type for one in result.content] == ["text", "image", "text"]
        assert text_of(result) == "hello\n42"
        failed = await client.call_tool("run_code", {"session_id": session, "code": "1 / 0"})
        assert "ZeroDivisionError" in text_of(failed)
        silent = await client.call_tool("run_code", {"session_id": session, "code": "x = 1"})
        assert text_of(silent) == "(no output)"
        wrong = await fails(client, "run_code", session_id=session, code="1", language="cobol")
        assert "language" in wrong


async def test_files_are_written_edited_found_and_read(bay: AsyncAgentBay) -> None:
    """By tools and as resources."""
    async with connect(bay) as client:
        session = await create(client)
        path = "/tmp/app/a.ini"
        await call(client, "write_file", session_id=session, path=path, content="debug = true\n")
        diff = await call(
            client, "edit_file", session_id=session, path=path, old_text="true", new_text="false"
        )
        assert "+debug = false" in diff
        text = await call(client, "read_file", session_id=session, path=path)
        assert text == "debug = false\n"
        listed = await call(client, "list_files", session_id=session, path="/tmp/app")
        assert listed == [{"name": "a.ini", "directory": False, "size": 14}]
        found = await call(client, "search_files", session_id=session, pattern="*.ini", path="/tmp")
        assert found == [path]
        (resource,) = (await client.read_resource(f"agentbay://{session}/files{path}")).contents
        assert getattr(resource, "text", "") == "debug = false\n"
        await call(client, "run_command", session_id=session, command="printf '\\377' > /tmp/b")
        (binary,) = (await client.read_resource(f"agentbay://{session}/files/tmp/b")).contents
        assert getattr(binary, "blob", "") == "/w=="
        (log,) = (await client.read_resource(f"agentbay://{session}/log")).contents
        (entry,) = map(json.loads, getattr(log, "text", "").splitlines())
        assert (entry["call"], entry["exit_code"]) == ("run_command", 0)
        missing = await fails(client, "read_file", session_id=session, path="/tmp/none")
        assert "no such file: /tmp/none" in missing


async def test_local_files_are_offered_only_below_one_directory(
    bay: AsyncAgentBay, tmp_path: Path
) -> None:
    """A model must not read the files of its user."""
    (tmp_path / "in.txt").write_text("content")
    outside = tmp_path.parent / "secret.txt"
    outside.write_text("secret")
    (tmp_path / "link").symlink_to(outside)
    async with connect(bay) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert not {"upload", "download"} & names
    async with connect(bay, files=tmp_path) as client:
        session = await create(client)
        place = {"session_id": session, "remote_path": "/tmp/a.txt"}
        await call(client, "upload", local_path="in.txt", **place)
        await call(client, "download", local_path="out.txt", **place)
        assert (tmp_path / "out.txt").read_text() == "content"
        for path in ("../secret.txt", str(outside), "link"):
            assert "outside" in await fails(client, "upload", local_path=path, **place)


async def test_contexts_outlive_a_session(bay: AsyncAgentBay) -> None:
    """What one session saves, another one gets."""
    async with connect(bay) as client:
        context = (await call(client, "context_create", name="mcp-notes"))["context_id"]
        assert {"context_id": context, "name": "mcp-notes"} in await call(client, "context_list")
        first = await create(client)
        place = {"context_id": context, "path": "/mnt/notes"}
        await call(client, "context_bind", session_id=first, **place)
        await call(client, "write_file", session_id=first, path="/mnt/notes/a", content="1")
        await call(client, "context_save", session_id=first)
        assert [one["path"] for one in await call(client, "context_files", context_id=context)]
        second = await create(client)
        await call(client, "context_bind", session_id=second, **place)
        assert await call(client, "read_file", session_id=second, path="/mnt/notes/a") == "1"


async def test_a_directory_is_pushed_to_a_context_and_pulled(
    bay: AsyncAgentBay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the directory of the server, and what differs only; without one there are no tools."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    async with connect(bay) as client:
        assert "context_push" not in {one.name for one in (await client.list_tools()).tools}
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a").write_text("a")
    async with connect(bay, files=tmp_path) as client:
        context = (await call(client, "context_create", name="mcp-push"))["context_id"]
        place = {"context_id": context, "local_path": "src"}
        planned = await call(client, "context_push", **place, dry_run=True)
        assert planned == [{"action": "add", "path": "a", "size": 1}]
        assert await call(client, "context_push", **place) == planned
        assert await call(client, "context_push", **place) == []
        assert await call(client, "context_pull", context_id=context, local_path="new") == planned
        assert (tmp_path / "new" / "a").read_text() == "a"
        for tool in ("context_push", "context_pull"):
            assert "outside" in await fails(client, tool, context_id=context, local_path="..")
        await call(client, "context_delete", context_id=context)
        assert context not in {one["context_id"] for one in await call(client, "context_list")}


async def test_a_client_reaches_only_the_sessions_of_its_server(bay: AsyncAgentBay) -> None:
    """Not others of the account, and not those that were deleted."""
    async with bay.session() as other, connect(bay) as client:
        message = await fails(client, "run_command", session_id=other.session_id, command="id")
        assert "This server has no session" in message
        session = await create(client)
        (shown,) = await call(client, "session_list")
        assert (shown["session_id"], shown["status"]) == (session, "RUNNING")
        await call(client, "session_delete", session_id=session)
        assert await call(client, "session_list") == []
        assert "no session" in await fails(client, "session_delete", session_id=session)


async def test_images_and_the_number_of_sessions_are_limited(bay: AsyncAgentBay) -> None:
    """The error says what is allowed."""
    async with connect(bay, images=("linux_latest",), max_sessions=2) as client:
        assert "use linux_latest" in await fails(client, "session_create", image="code_latest")
        results = await asyncio.gather(*(client.call_tool("session_create", {}) for _ in range(4)))
        assert sorted(one.is_error for one in results) == [False, False, True, True]
        assert "2 sessions already" in await fails(client, "session_create")


async def test_sessions_are_deleted_with_the_server_unless_they_are_to_be_kept(
    bay: AsyncAgentBay, service: LocalService, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot be deleted is named in the log."""
    async with connect(bay, keep=True) as client:
        kept = await create(client)
    assert list(await service.aliving()) == [kept]
    (await (await bay.get(kept)).session.delete()).unwrap()
    async with connect(bay) as client:
        left = await create(client)
        service.faults.add(Fail("SomeError", 400), "DeleteSessionAsync", times=1)
    assert f"session {left} was not deleted" in caplog.text
    (await (await bay.get(left)).session.delete()).unwrap()


async def test_a_link_leads_to_a_server_in_the_session(bay: AsyncAgentBay) -> None:
    """Its port must be one that links can lead to."""
    async with connect(bay) as client:
        session = await create(client)
        assert (await call(client, "link", session_id=session, port=30100)).startswith("http")
        assert "30100" in await fails(client, "link", session_id=session, port=80)


async def test_an_image_without_a_browser_or_desktop_says_so(bay: AsyncAgentBay) -> None:
    """The error of the service reaches the model."""
    async with connect(bay) as client:
        session = await create(client, image="code_latest")
        for tool, more in (
            ("screenshot", {}),
            ("browser_navigate", {"url": "about:blank"}),
            ("browser_screenshot", {}),
            ("browser_endpoint", {}),
            ("browser_close", {}),
        ):
            assert await fails(client, tool, session_id=session, **more)


@pytest.mark.parametrize(
    "options", [{"max_sessions": 0}, {"idle_minutes": 0}, {"files": "/no/such/directory"}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """The error names the option."""
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        McpOptions(**options)
