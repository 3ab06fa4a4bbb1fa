"""Our own client on the direct channels: terminals, processes, code and watches."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from agentbay import AgentBay
from agentbay import CreateSessionParams as Params
from agentbay_async import (
    AsyncAgentBay,
    AsyncSession,
    CreateSessionParams,
    ToolError,
    TransportError,
)
from agentbay_async.services._tool_calls import get_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_local import LocalService

pytestmark = pytest.mark.usefixtures("sandboxed")


@pytest.fixture
async def bay(service: LocalService) -> AsyncIterator[AsyncAgentBay]:
    """Return a client of the shared service."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as one:
        yield one


@pytest.fixture
async def session(bay: AsyncAgentBay) -> AsyncIterator[AsyncSession]:
    """Return a session in which code runs."""
    async with bay.session(CreateSessionParams(image_id="code_latest")) as one:
        yield one


async def _asked_until_it_answers(session: AsyncSession) -> None:
    """Ask over the line; a question that was under way when it broke says so."""
    while True:
        with contextlib.suppress(TransportError):
            await session.pty.list()
            return
        # What reads the line must have a turn to see that it is broken.
        await asyncio.sleep(0)


async def break_connection(bay: AsyncAgentBay, session: AsyncSession) -> None:
    """Break the connection to a session, as a network does."""
    socket = await get_socket(bay._api, session.session_id)
    assert socket._connection is not None
    await socket._connection.close()


async def until(pieces: AsyncIterator[bytes], mark: bytes) -> bytes:
    """Read chunks up to a text."""
    text = b""
    while mark not in text:
        text += await asyncio.wait_for(anext(pieces), 30)
    return text


async def test_a_terminal_is_used_from_its_first_byte_to_its_exit_code(
    session: AsyncSession,
) -> None:
    """Open, write, resize, list, and read to the end."""
    pty = await session.pty.create(shell="/bin/sh", cols=90)
    assert [one.pty_session_id for one in await session.pty.list()] == [pty.pty_session_id]
    await pty.resize(101, 33)
    await pty.send_input("stty size; exit 3\n")
    text = b"".join([piece async for piece in pty])
    assert b"33 101\r\n" in text
    assert await pty.wait(10) == 3


async def test_a_process_has_input_output_and_exit_code(
    session: AsyncSession,
) -> None:
    """Without the echo of the terminal in which it runs."""
    command = """printf 'name? '; read n; echo "hi, $n"; cat; exit 7"""
    process = await session.command.start(command)
    await process.send_stdin("汉\nmore\n")
    await process.close_stdin()
    assert b"".join([piece async for piece in process]).decode() == "name? hi, 汉\nmore\n"
    assert await process.wait(10) == 7


async def test_a_process_is_found_again_with_its_output(
    service: LocalService, session: AsyncSession
) -> None:
    """By another program, by its id."""
    process = await session.command.start("echo one; read x; echo two")
    await until(aiter(process), b"one")
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as other:
        found = (await other.get(session.session_id)).session
        again = await found.command.attach(process.process_id)
        await again.send_stdin("\n")
        assert b"".join([piece async for piece in again]) == b"one\ntwo\n"
        assert await again.wait(10) == 0


async def test_no_byte_is_lost_when_the_connection_breaks(
    bay: AsyncAgentBay, session: AsyncSession
) -> None:
    """The client reconnects and continues at its offset."""
    command = "echo ready; read x; for n in $(seq 2000); do echo $n; done; read x; echo end"
    process = await session.command.start(command)
    pieces = aiter(process)
    await until(pieces, b"ready\n")
    await process.send_stdin("\n")
    text = await until(pieces, b"\n")
    for _ in range(3):
        await break_connection(bay, session)
        await _asked_until_it_answers(session)
    await process.send_stdin("\n")
    text += b"".join([piece async for piece in pieces])
    numbers = "".join(f"{number}\n" for number in range(1, 2001))
    assert text.decode() == f"{numbers}end\n"
    assert await process.wait(10) == 0


@pytest.mark.parametrize("directly", [True, False])
async def test_a_large_call_logs_no_warning(
    bay: AsyncAgentBay, session: AsyncSession, directly: bool
) -> None:
    """Directly and by the API; a body of that size would block the loop in one chunk."""
    if not directly:
        bay._api.access[session.session_id].link_url = ""
    text = "0123456789" * 200_000
    written = await session.call_mcp_tool("write_file", {"path": "/tmp/f", "content": text})
    assert written.success, written.error_message
    assert (await session.command.run("wc -c < /tmp/f")).stdout == f"{len(text)}\n"


async def test_code_and_streams_share_a_kernel(session: AsyncSession) -> None:
    """Each sees the variables of the other."""
    whole = (await session.code.run_code("x = 20\nprint('out')\nx + 1", "python")).unwrap()
    assert (whole.results[0].text, whole.logs.stdout) == ("21", ["out\n"])
    events = [event async for event in session.code.stream("print(x)\nx * 2 + 2", "python")]
    assert [event.kind for event in events[-2:]] == ["result", "end"]
    assert "".join(event.text for event in events if event.kind == "stdout") == "20\n"
    assert events[-2].result is not None
    assert events[-2].result.text == "42"


@pytest.mark.usefixtures("python_only")
async def test_a_missing_language_is_an_error(session: AsyncSession) -> None:
    """With and without a stream."""
    assert "not installed" in str((await session.code.run_code("1", "r")).error)
    with pytest.raises(ToolError, match="not installed"):
        [event async for event in session.code.stream("1", "java")]


@pytest.mark.slow
async def test_a_watch_survives_a_broken_connection(
    bay: AsyncAgentBay, session: AsyncSession
) -> None:
    """Each change is reported once, also those during the break."""
    found: list[Any] = []
    first = asyncio.Event()

    async def watch() -> None:
        async for change in session.file_system.watch("/tmp"):
            found.append((change.event_type, change.path))
            first.set()
            if change.path == "/tmp/last":
                break

    watching = asyncio.create_task(watch())
    while not first.is_set():
        await session.command.run("mkdir -p /tmp/first")
        await asyncio.wait([asyncio.create_task(first.wait())], timeout=0.1)
        await session.command.run("rmdir /tmp/first")
    await break_connection(bay, session)
    await session.command.run("mkdir /tmp/during")
    await session.command.run("mkdir /tmp/last")
    await asyncio.wait_for(watching, 30)
    assert found.count(("create", "/tmp/during")) == 1


def test_the_blocking_client_uses_every_channel(service: LocalService) -> None:
    """Terminal, process, stream of code."""
    with (
        AgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session(Params(image_id="code_latest")) as session,
    ):
        pty = session.pty.create(shell="/bin/sh")
        pty.send_input("echo $((40 + 2)); exit 3\n")
        assert b"42\r\n" in b"".join(pty)
        assert pty.wait(10) == 3
        process = session.command.start("read x; echo got $x")
        process.send_stdin("it\n")
        assert b"".join(process) == b"got it\n"
        events = list(session.code.stream("print(1)\n2", "python"))
        assert "".join(event.text for event in events if event.kind == "stdout") == "1\n"
        assert [event.kind for event in events[-2:]] == ["result", "end"]
