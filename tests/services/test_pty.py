"""Terminals: complete output, reconnects, and waits that end."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    BadAnswerError,
    ClosedError,
    ConnectionLostError,
    InvalidArgumentError,
    OperationTimeoutError,
    PtyError,
    PtyNotConnectedError,
    PtySession,
    PtySessionNotFoundError,
    RequestTimeoutError,
    ServiceError,
)
from agentbay_async.services._pty.output_buffer import OutputBuffer

from .machine import always_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncAgentBay, AsyncPtyHandle, AsyncSession

    from .machine import Connection, Machine, Reply

_SERVER = "PTY_SERVER"


async def _writes(connection: Connection, text: str, name: str = "p-1", **more: object) -> None:
    data = {"eventType": "pty.output", "ptySessionId": name, "encoding": "utf8", "data": text}
    await connection.push(_SERVER, {**data, **more})


async def _exits(connection: Connection, code: int = 0, name: str = "p-1") -> None:
    await connection.push(
        _SERVER, {"eventType": "pty.exit", "ptySessionId": name, "exitCode": code}
    )


@pytest.fixture
def opened(machine: Machine, linked: AsyncSession) -> Callable[..., Awaitable[AsyncPtyHandle]]:
    """Give a function that opens a terminal."""
    machine.methods["pty.create"] = always_answer({"result": {"ptySessionId": "p-1"}})

    async def create(**options: Any) -> AsyncPtyHandle:
        return await linked.pty.create(**options)

    return create


async def _all(pty: AsyncPtyHandle) -> bytes:
    async def read() -> bytes:
        return b"".join([piece async for piece in pty])

    return await asyncio.wait_for(read(), 20)


async def test_create_sends_its_arguments(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """Size, directory, variables and shell, with the default variables."""
    pty = await opened(cols=100, rows=30, cwd="/tmp", envs={"LANG": "C", "A": "1"}, shell="bash")
    assert (pty.pty_session_id, pty.is_connected, pty.exit_code) == ("p-1", True, None)
    frame = await machine.wait_for_frame("pty.create")
    assert frame["target"] == _SERVER
    assert frame["data"]["params"] == {
        "cols": 100,
        "rows": 30,
        "cwd": "/tmp",
        "envs": {"TERM": "xterm-256color", "LANG": "C", "A": "1"},
        "shell": "bash",
    }


async def test_output_before_the_answer_is_not_lost(linked: AsyncSession, machine: Machine) -> None:
    """The first prompt, and even the end, may come before the id is known."""

    async def hasty(connection: Connection, frame: dict[str, Any]) -> None:
        await _writes(connection, "$ ")
        await _writes(connection, "not mine", "p-2")
        await connection.answer(frame, {"result": {"ptySessionId": "p-1"}})
        await _writes(connection, "bye")
        await _exits(connection, 3)

    machine.methods["pty.create"] = hasty
    pty = await linked.pty.create()
    assert await _all(pty) == b"$ bye"
    assert await pty.wait() == 3
    assert (pty.exit_code, pty.is_connected) == (3, False)


async def test_binary_output_is_unchanged(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """Half a character, and NUL; only a frame that cannot be decoded is dropped."""
    pty = await opened()
    connection = machine.connections[0]
    await _writes(connection, base64.b64encode(b"\xc3\x00").decode(), encoding="base64")
    await _writes(connection, "%%%", encoding="base64")
    await connection.push(_SERVER, {"eventType": "pty.output", "ptySessionId": "p-1", "data": 7})
    await _writes(connection, base64.b64encode(b"\xbc").decode(), encoding="base64")
    await _exits(connection)
    assert await _all(pty) == b"\xc3\x00\xbc"


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        ("ls ü\n", [("utf8", "ls ü\n")]),
        (b"\x03", [("utf8", "\x03")]),
        (b"\xff", [("base64", "/w==")]),
        ("x" * 40_000, [("utf8", "x" * 32_768), ("utf8", "x" * 7_232)]),
        ("", []),
    ],
)
async def test_input_arrives_whole(
    opened: Callable[..., Awaitable[AsyncPtyHandle]],
    machine: Machine,
    data: str | bytes,
    sent: list[tuple[str, str]],
) -> None:
    """As text where it is text, else as base64; what is long goes in pieces."""
    pty = await opened()
    await pty.send_input(data)
    await pty.resize(10, 20)
    assert (await machine.wait_for_frame("pty.resize"))["data"]["params"] == {
        "ptySessionId": "p-1",
        "cols": 10,
        "rows": 20,
    }
    inputs = [one["data"]["params"] for one in machine.frames if "input" in one["data"]["method"]]
    assert [(one["encoding"], one["data"]) for one in inputs] == sent


async def test_a_callback_gets_all_output_in_order(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """It may be a coroutine function, and it may fail once; then ``wait()`` returns."""
    got: list[bytes] = []

    async def on_data(piece: bytes) -> None:
        got.append(piece)
        await asyncio.sleep(0)
        if len(got) == 1:
            raise RuntimeError("mine")

    pty = await opened(on_data=on_data)
    for word in ("one", "two", "three"):
        await _writes(machine.connections[0], word)
    await _exits(machine.connections[0])
    await pty.wait(10)
    assert b"".join(got) == b"onetwothree"
    with pytest.raises(InvalidArgumentError, match="on_data"):
        aiter(pty)


async def test_a_callback_may_use_the_terminal(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """It receives the output of its input while it waits."""
    machine.methods["pty.kill"] = always_answer({"result": {}})
    killed = asyncio.Event()

    async def on_data(_piece: bytes) -> None:
        await pty.kill()
        killed.set()

    pty = await opened(on_data=on_data)
    await _writes(machine.connections[0], "enough")
    await asyncio.wait_for(killed.wait(), 10)


async def test_wait_times_out_without_ending_the_terminal(
    opened: Callable[..., Awaitable[AsyncPtyHandle]],
) -> None:
    """The terminal goes on."""
    pty = await opened()
    with pytest.raises(OperationTimeoutError):
        await pty.wait(0.01)
    assert pty.is_connected


def _attaches(machine: Machine, *texts: tuple[int, str]) -> Reply:
    async def reply(connection: Connection, frame: dict[str, Any]) -> None:
        await connection.answer(frame, {"result": {"ptySessionId": "p-1"}})
        for offset, text in texts:
            await _writes(connection, text, offset=offset)
        await _exits(connection)

    machine.methods["pty.connect"] = reply
    return reply


async def test_reconnect_neither_loses_nor_repeats_bytes(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """The terminal is attached again at its position."""
    pty = await opened()
    _attaches(machine, (2, "cdefg"), (7, "hij"))
    await _writes(machine.connections[0], "abcd", offset=0)
    assert await asyncio.wait_for(anext(aiter(pty)), 20) == b"abcd"
    machine.connections[0].abort()
    assert await _all(pty) == b"efghij"
    frame = await machine.wait_for_frame("pty.connect")
    assert frame["data"]["params"] == {"ptySessionId": "p-1", "offset": 4}


async def test_gap_after_a_reconnect_is_reported(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """Reading continues behind the gap."""
    pty = await opened()
    _attaches(machine, (6, "g"))
    await _writes(machine.connections[0], "ab", offset=0)
    assert await asyncio.wait_for(anext(aiter(pty)), 20) == b"ab"
    machine.connections[0].abort()
    with pytest.raises(PtyError, match="4 bytes"):
        await asyncio.wait_for(anext(aiter(pty)), 20)
    assert await _all(pty) == b"g"


async def test_terminal_that_is_gone_after_a_reconnect_ends_every_wait(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """Waiting and reading raise."""
    pty = await opened()
    machine.methods["pty.connect"] = always_answer({"error": "no such terminal"})
    waiting = asyncio.create_task(pty.wait())
    machine.connections[0].abort()
    with pytest.raises(PtyError, match="no such terminal"):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(PtyError):
        await _all(pty)
    with pytest.raises(PtyError):
        await pty.send_input("x")
    assert pty.exit_code is None


async def test_end_that_no_frame_reported_is_noticed(
    opened: Callable[..., Awaitable[AsyncPtyHandle]],
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server is asked about silent terminals, and no longer knows this one."""
    monkeypatch.setattr("agentbay_async.services._pty.client._CHECK_INTERVAL", 0.01)
    pty = await opened()
    waiting = asyncio.create_task(pty.wait())
    await machine.wait_for_frame("pty.list", 2)
    assert not waiting.done()
    machine.methods["pty.list"] = always_answer({"result": {"ptySessionIds": []}})
    machine.methods["pty.connect"] = always_answer({"error": "no such terminal"})
    with pytest.raises(PtyError, match="no such terminal"):
        await asyncio.wait_for(waiting, 30)


async def test_server_that_no_longer_answers_ends_every_wait(
    opened: Callable[..., Awaitable[AsyncPtyHandle]],
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection to the gateway lives, but nobody is behind it."""
    monkeypatch.setattr("agentbay_async.services._pty.client._CHECK_INTERVAL", 0.01)
    monkeypatch.setattr("agentbay_async.services._pty.client._ANSWER_TIMEOUT", 0.01)
    pty = await opened()
    del machine.methods["pty.list"]
    with pytest.raises(RequestTimeoutError):
        await asyncio.wait_for(pty.wait(), 30)


async def test_lost_input_is_an_error(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """The protocol confirms no input: one that is not followed by an answer may be lost."""

    async def cut(connection: Connection, _frame: dict[str, Any]) -> None:
        connection.abort()

    pty = await opened()
    machine.methods["pty.list"] = cut
    with pytest.raises(ConnectionLostError):
        await pty.send_input("x")
    with pytest.raises(ConnectionLostError):
        await pty.resize(10, 20)


async def test_refused_input_is_an_error(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """It names the reason of the session."""
    pty = await opened()
    machine.methods["pty.input"] = always_answer({"error": "it does not read"})
    with pytest.raises(PtyError, match=r"pty\.input: it does not read"):
        await pty.send_input("x")


async def test_terminal_of_a_closed_client_names_the_cure(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], linked_bay: AsyncAgentBay
) -> None:
    """For everything that would need the connection."""
    pty = await opened()
    await linked_bay.aclose()
    for call in (pty.send_input("x"), pty.resize(10, 20), pty.kill()):
        with pytest.raises(ClosedError, match="new client"):
            await call


async def test_lost_connection_ends_every_wait(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """Even a wait without a limit."""
    pty = await opened()
    waiting = asyncio.create_task(pty.wait())
    machine.handshake_status = 503
    machine.connections[0].abort()
    with pytest.raises(ServiceError):
        await asyncio.wait_for(waiting, 10)


async def test_closing_the_client_ends_every_wait(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], linked_bay: AsyncAgentBay
) -> None:
    """With an error, because the exit code is not known."""
    pty = await opened()
    waiting = asyncio.create_task(pty.wait())
    await asyncio.sleep(0)
    await linked_bay.aclose()
    with pytest.raises(ConnectionLostError):
        await waiting


async def test_failed_terminal_ends_with_its_error(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], machine: Machine
) -> None:
    """Earlier output can be read."""
    pty = await opened()
    await _writes(machine.connections[0], "last words")
    await machine.connections[0].push(
        _SERVER, {"eventType": "pty.error", "ptySessionId": "p-1", "error": "out of memory"}
    )
    output = aiter(pty)
    assert await asyncio.wait_for(anext(output), 20) == b"last words"
    with pytest.raises(PtyError, match="out of memory"):
        await asyncio.wait_for(anext(output), 20)


async def test_disconnect_leaves_other_terminals_connected(
    linked: AsyncSession, machine: Machine
) -> None:
    """The process goes on, and can be connected to again."""
    names = iter(["p-1", "p-2"])

    async def create(connection: Connection, frame: dict[str, Any]) -> None:
        await connection.answer(frame, {"result": {"ptySessionId": next(names)}})

    machine.methods["pty.create"] = create
    first, second = await linked.pty.create(), await linked.pty.create()
    # As in the official client, without await.
    first.disconnect()
    assert (first.is_connected, second.is_connected) == (False, True)
    with pytest.raises(PtyNotConnectedError):
        await first.send_input("x")
    with pytest.raises(PtyNotConnectedError):
        await first.wait()
    await _writes(machine.connections[0], "here", "p-2")
    assert await asyncio.wait_for(anext(aiter(second)), 20) == b"here"
    _attaches(machine, (0, "again"))
    assert await _all(await linked.pty.connect("p-1")) == b"again"


async def test_terminals_are_listed_and_killed_by_id(
    linked: AsyncSession, machine: Machine
) -> None:
    """Also those that another program opened."""
    machine.methods["pty.list"] = always_answer({"result": {"ptySessionIds": ["p-7", "p-8"]}})
    machine.methods["pty.kill"] = always_answer({"result": {}})
    assert await linked.pty.list() == [PtySession("p-7"), PtySession("p-8")]
    await linked.pty.kill("p-7")
    assert (await machine.wait_for_frame("pty.kill"))["data"]["params"] == {"ptySessionId": "p-7"}


async def test_a_cancelled_create_kills_the_terminal_when_its_id_comes(
    linked: AsyncSession, machine: Machine
) -> None:
    """By the protocol that each server understands, however late the answer is."""
    asked, answering = asyncio.Event(), asyncio.Event()

    async def answer_late(connection: Connection, frame: dict[str, Any]) -> None:
        asked.set()
        await answering.wait()
        await connection.answer(frame, {"result": {"ptySessionId": "p-1"}})

    machine.methods["pty.create"] = answer_late
    machine.methods["pty.kill"] = always_answer({"result": {}})
    creating = asyncio.ensure_future(linked.pty.create())
    await asyncio.wait_for(asked.wait(), 30)
    creating.cancel()
    await asyncio.sleep(0)
    answering.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(creating, 30)
    frame = await machine.wait_for_frame("pty.kill")
    assert frame["data"]["params"] == {"ptySessionId": "p-1"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"error": "no shell"}, PtyError),
        ({"result": {}}, BadAnswerError),
        ({"result": {"ptySessionId": 7}}, BadAnswerError),
        ({}, BadAnswerError),
    ],
)
async def test_failed_create_raises_and_releases_everything(
    linked: AsyncSession, machine: Machine, data: object, kind: type[Exception]
) -> None:
    """The error has the reason."""
    machine.methods["pty.create"] = always_answer(data)
    with pytest.raises(kind):
        await linked.pty.create()
    connection = linked.pty._client._current
    assert connection is not None
    assert connection._unsubscribe is None


@pytest.mark.parametrize(
    ("options", "kind", "named"),
    [
        ({"cols": 0}, InvalidArgumentError, "cols"),
        ({"rows": 501}, InvalidArgumentError, "rows"),
        ({"cols": 80.0}, ArgumentTypeError, "cols"),
        ({"cwd": ""}, InvalidArgumentError, "cwd"),
        ({"envs": {"A": 1}}, ArgumentTypeError, "envs"),
        ({"shell": "a\0"}, InvalidArgumentError, "shell"),
        ({"timeout_s": 0}, InvalidArgumentError, "timeout_s"),
    ],
)
async def test_invalid_arguments_of_a_terminal_are_rejected(
    linked: AsyncSession,
    machine: Machine,
    options: dict[str, Any],
    kind: type[Exception],
    named: str,
) -> None:
    """The argument is named, and nothing is sent."""
    with pytest.raises(kind, match=named):
        await linked.pty.create(**options)
    assert machine.connections == []


async def test_input_must_be_text_or_bytes(
    opened: Callable[..., Awaitable[AsyncPtyHandle]],
) -> None:
    """The error is raised before anything is sent."""
    pty = await opened()
    wrong: Any = 7
    with pytest.raises(ArgumentTypeError, match="data"):
        await pty.send_input(wrong)


async def test_unread_output_is_bounded() -> None:
    """Dropped bytes are reported, and the rest can be read."""
    buffer = OutputBuffer(limit=10)
    for chunk in (b"aaaaaa", b"bbbb", b"cccc"):
        buffer.feed(chunk)
    buffer.close()
    buffer.feed(b"late")
    with pytest.raises(PtyError, match="6 bytes"):
        await buffer.read()
    assert await buffer.read() == b"bbbbcccc"
    assert await buffer.read() is None


async def test_terminals_are_listed_with_what_this_client_knows_of_them(
    opened: Callable[..., Awaitable[AsyncPtyHandle]], linked: AsyncSession, machine: Machine
) -> None:
    """The size is that which its handle set; of another client's terminal it is 0."""
    pty = await opened(cols=100, rows=30)
    ids = {"result": {"ptySessionIds": [pty.pty_session_id, "other"]}}
    machine.methods["pty.list"] = always_answer(ids)
    await pty.resize(120, 40)

    assert await linked.pty.list() == [
        PtySession(pty.pty_session_id, 120, 40, "running", None),
        PtySession("other", 0, 0, "running", None),
    ]


@pytest.mark.parametrize("known", [True, False])
async def test_a_terminal_that_does_not_exist_has_its_own_error(
    linked: AsyncSession, machine: Machine, known: bool
) -> None:
    """Another failure of one that exists is a plain PtyError."""
    machine.methods["pty.connect"] = always_answer({"error": "no"})
    machine.methods["pty.kill"] = always_answer({"error": "no"})
    ids = ["pty-9"] if known else []
    machine.methods["pty.list"] = always_answer({"result": {"ptySessionIds": ids}})

    for call in (linked.pty.connect, linked.pty.kill):
        with pytest.raises(PtyError) as caught:
            await call("pty-9")
        assert type(caught.value) is (PtyError if known else PtySessionNotFoundError)


async def test_two_limits_of_a_wait_exclude_each_other(
    opened: Callable[..., Awaitable[AsyncPtyHandle]],
) -> None:
    """They are two names of one."""
    pty = await opened()
    with pytest.raises(InvalidArgumentError, match="timeout_s"):
        await pty.wait(1, timeout=1)
    with pytest.raises(OperationTimeoutError):
        await pty.wait(timeout_s=0.01)
