"""The WebSocket of a session: shared, reconnected when it breaks, given up when refused."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AnswerTooLargeError,
    AuthenticationError,
    BadAnswerError,
    ClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    RequestTimeoutError,
    ServiceError,
    SessionError,
    SessionNotFoundError,
    ToolError,
)
from agentbay_async._protocol.frames import read_frame
from agentbay_async._transport import websocket, websocket_pool
from agentbay_async._transport.websocket import Subscriber
from agentbay_async.services._tool_calls import get_socket

from .machine import TOKEN, always_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import InstantClock

    from agentbay_async import AgentBayError, AsyncAgentBay, AsyncSession
    from agentbay_async._protocol.frames import Frame
    from agentbay_async._transport.websocket import SessionSocket

    from .machine import Connection, Machine


@pytest.fixture
async def socket(linked: AsyncSession) -> SessionSocket:
    """Give the socket of the session."""
    return await get_socket(linked._api, "s-1")


class Recorder:
    """A subscriber that records its calls."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []
        self.reconnected = asyncio.Event()
        self.ended = asyncio.Event()
        self.reason: AgentBayError | None = None
        self.something = asyncio.Event()

    def subscriber(self) -> Subscriber:
        """Return the callbacks."""
        return Subscriber(self._hear, self.reconnected.set, self._end)

    def _hear(self, frame: Frame) -> None:
        self.data.append(frame.data)
        self.something.set()

    def _end(self, reason: AgentBayError) -> None:
        self.reason = reason
        self.ended.set()


async def _within(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 30)


async def test_a_call_is_answered(socket: SessionSocket, machine: Machine) -> None:
    """With id, source, target and data of the protocol; the token is in the handshake."""
    machine.methods["m"] = always_answer({"result": "ü"})
    assert await socket.call("SERVER", {"method": "m", "params": {}}) == {"result": "ü"}
    (frame,) = machine.frames
    assert {**frame, "invocationId": ""} == {
        "invocationId": "",
        "source": "SDK",
        "target": "SERVER",
        "data": {"method": "m", "params": {}},
    }
    assert machine.connections[0].headers["X-Access-Token"] == TOKEN


async def test_all_calls_share_one_connection(socket: SessionSocket, machine: Machine) -> None:
    """Of a hundred concurrent calls, each gets its own answer."""

    async def echo(connection: Connection, frame: dict[str, Any]) -> None:
        await connection.answer(frame, {"result": frame["data"]["n"]})

    machine.methods["m"] = echo
    calls = [socket.call("S", {"method": "m", "n": number}) for number in range(100)]
    answers = await asyncio.gather(*calls)
    assert [answer["result"] for answer in answers] == list(range(100))
    assert len(machine.connections) == 1


async def test_a_session_has_one_socket(
    linked: AsyncSession, join: Callable[[], Awaitable[AsyncSession]], socket: SessionSocket
) -> None:
    """However many times the session is looked up."""
    again = await join()
    assert await get_socket(again._api, "s-1") is socket


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ({"error": "no such terminal"}, ToolError, "no such terminal"),
        ({"error": {"code": 7, "message": "odd"}}, ToolError, "odd"),
        ({"error": 7}, ToolError, "failed"),
    ],
)
async def test_an_error_in_an_answer_is_raised(
    socket: SessionSocket, machine: Machine, data: object, kind: type[Exception], message: str
) -> None:
    """As text, or as an object."""
    machine.methods["m"] = always_answer(data)
    with pytest.raises(kind, match=message):
        await socket.call("S", {"method": "m"})


async def test_the_gateway_may_answer_for_a_server(socket: SessionSocket, machine: Machine) -> None:
    """It answers at once that there is no such server."""

    async def gateway(connection: Connection, frame: dict[str, Any]) -> None:
        await connection.send(
            {
                "requestId": frame["invocationId"],
                "source": "WEBSOCKET_SERVER",
                "error": "unknown target",
            }
        )

    machine.methods["m"] = gateway
    with pytest.raises(ToolError, match="unknown target"):
        await socket.call("S", {"method": "m"})


async def test_a_call_without_an_answer_times_out(socket: SessionSocket, machine: Machine) -> None:
    """The pending call is removed."""
    with pytest.raises(RequestTimeoutError):
        await socket.call("S", {"method": "m"}, 0.05)
    assert socket._pending == {}


async def test_a_stream_gives_its_frames_in_order(socket: SessionSocket, machine: Machine) -> None:
    """Up to the last one."""

    async def stream(connection: Connection, frame: dict[str, Any]) -> None:
        for number in range(3):
            await connection.answer(frame, {"phase": "event", "n": number})
        await connection.answer(frame, {"phase": "end", "status": "finished"})

    machine.methods["m"] = stream
    frames = await socket.stream("S", {"method": "m"})
    got = []
    while (data := await frames.next()) is not None:
        got.append(data.get("n", data.get("status")))
    assert got == [0, 1, 2, "finished"]
    assert await frames.next() is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"phase": "error", "error": {"message": "x"}}, ToolError),
        ({"phase": "event", "error": "x"}, ToolError),
        ({"phase": "other"}, BadAnswerError),
        ({}, BadAnswerError),
    ],
)
async def test_a_failed_stream_raises_after_the_frames_before(
    socket: SessionSocket, machine: Machine, data: dict[str, Any], kind: type[Exception]
) -> None:
    """Frames that arrived before the error can be read."""

    async def stream(connection: Connection, frame: dict[str, Any]) -> None:
        await connection.answer(frame, {"phase": "event", "n": 1})
        await connection.answer(frame, data)

    machine.methods["m"] = stream
    frames = await socket.stream("S", {"method": "m"})
    assert (await frames.next() or {})["n"] == 1
    with pytest.raises(kind):
        await frames.next()


async def test_a_stream_that_is_not_read_is_given_up(
    socket: SessionSocket, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrived before is still read, then comes the error; other calls go on."""
    monkeypatch.setattr(websocket, "MAX_UNREAD", 10_000)

    async def flood(connection: Connection, frame: dict[str, Any]) -> None:
        for _ in range(100):
            await connection.answer(frame, {"phase": "event"})

    machine.methods["flood"] = flood
    machine.methods["m"] = always_answer({"result": 1})
    frames = await socket.stream("S", {"method": "flood"})
    assert await socket.call("S", {"method": "m"}) == {"result": 1}
    read = []

    async def read_all() -> None:
        while (data := await frames.next()) is not None:
            read.append(data)

    with pytest.raises(AnswerTooLargeError, match="not read in time"):
        await read_all()
    assert 1 <= len(read) < 10


async def test_a_frame_that_is_too_large_fails_the_calls_that_wait(
    socket: SessionSocket, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read into memory; the next call connects again."""
    monkeypatch.setattr(websocket_pool, "MAX_FRAME", 65_536)
    machine.methods["large"] = always_answer({"result": "x" * 70_000})
    machine.methods["m"] = always_answer({"result": "x" * 50_000})
    with pytest.raises(AnswerTooLargeError) as caught:
        await socket.call("S", {"method": "large"})
    assert caught.value.session_id == "s-1"
    assert len((await socket.call("S", {"method": "m"}))["result"]) == 50_000


async def test_another_frame_can_be_sent_within_a_stream(
    socket: SessionSocket, machine: Machine
) -> None:
    """It has the id of the stream; frames after closing it are dropped."""
    frames = await socket.stream("S", {"method": "m"})
    await frames.write({"method": "more"})
    more = await machine.wait_for_frame("more")
    assert more["invocationId"] == frames.id
    await frames.aclose()
    assert socket._pending == {}


async def test_a_frame_of_any_size_arrives(socket: SessionSocket, machine: Machine) -> None:
    """A chart has several megabytes."""
    machine.methods["m"] = always_answer({"result": "x" * 5_000_000})
    answer = await socket.call("S", {"method": "m"})
    assert len(answer["result"]) == 5_000_000


_BAD = [
    "no json",
    "7",
    "[]",
    "{}",
    '{"invocationId": 7, "target": "SDK", "data": {}}',
    '{"invocationId": "a", "data": {}}',
    '{"invocationId": "a", "target": "SDK", "data": 7}',
    '{"invocationId": "a", "target": "SDK", "data": "[]"}',
    "[" * 20_000,
]


@pytest.mark.parametrize("text", _BAD)
def test_an_invalid_frame_is_a_value_error(text: str) -> None:
    """The message says what is wrong, without the contents of the frame."""
    with pytest.raises(ValueError, match=r"^(is|has) "):
        read_frame(text)


async def test_invalid_frames_are_dropped(
    socket: SessionSocket, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection stays, and the next frame is read."""
    recorder = Recorder()
    socket.subscribe("S", recorder.subscriber())
    machine.methods["m"] = always_answer({})
    await socket.call("S", {"method": "m"})
    for text in [*_BAD, b"\xff\xfe"]:
        await machine.connections[0].send(text)
    await machine.connections[0].push("S", '{"n": 1}')
    await _within(recorder.something)
    assert recorder.data == [{"n": 1}]
    assert len(machine.connections) == 1
    assert "dropped a frame" in caplog.text


async def test_a_subscriber_that_fails_or_leaves_does_not_affect_the_others(
    socket: SessionSocket, machine: Machine
) -> None:
    """The connection stays open for them."""
    recorder, left = Recorder(), Recorder()

    def broken(_frame: Frame) -> None:
        raise RuntimeError("mine")

    socket.subscribe("S", Subscriber(broken, lambda: None, lambda _reason: None))
    leave = socket.subscribe("S", left.subscriber())
    socket.subscribe("S", recorder.subscriber())
    leave()
    leave()
    machine.methods["m"] = always_answer({})
    await socket.call("S", {"method": "m"})
    await machine.connections[0].push("S", {"n": 1})
    await _within(recorder.something)
    assert left.data == []


async def test_a_pending_call_fails_when_the_connection_breaks(
    socket: SessionSocket, machine: Machine
) -> None:
    """The server may have acted on it, so it is not sent again."""

    async def cut(connection: Connection, _frame: dict[str, Any]) -> None:
        connection.abort()

    machine.methods["m"] = cut
    with pytest.raises(ConnectionLostError):
        await socket.call("S", {"method": "m"})


async def test_a_broken_connection_is_reopened_for_subscribers(
    socket: SessionSocket, machine: Machine, clock: InstantClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses between attempts grow; then subscribers are notified, and get frames again."""
    recorder = Recorder()
    socket.subscribe("S", recorder.subscriber())
    machine.methods["m"] = always_answer({})
    await socket.call("S", {"method": "m"})
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        machine.handshake_status = 503 if len(pauses) < 8 else 0

    monkeypatch.setattr(clock, "sleep", sleep)
    machine.handshake_status = 503
    machine.connections[0].abort()
    await _within(recorder.reconnected)
    await machine.connections[1].push("S", {"n": 1})
    await _within(recorder.something)
    for pause, wanted in zip(pauses, [0.5, 0.75, 1.125, 1.69, 2.53, 3.8, 5, 5], strict=True):
        assert wanted - 0.01 <= pause <= wanted + 0.11


async def test_an_unused_connection_is_not_reopened(
    socket: SessionSocket, machine: Machine
) -> None:
    """Until the next call."""
    machine.methods["m"] = always_answer({})
    await socket.call("S", {"method": "m"})
    machine.connections[0].abort()
    assert socket._runner is not None
    await asyncio.wait([socket._runner], timeout=10)
    assert len(machine.connections) == 1
    await socket.call("S", {"method": "m"})
    assert len(machine.connections) == 2


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (401, AuthenticationError, 1),
        (403, AuthenticationError, 1),
        (404, SessionNotFoundError, 1),
        (503, ServiceError, 4),
    ],
)
async def test_a_refused_connection_is_given_up(
    socket: SessionSocket,
    machine: Machine,
    clock: InstantClock,
    status: int,
    kind: type[Exception],
    attempts: int,
) -> None:
    """At once if another attempt cannot help; the caller gets the reason."""
    machine.handshake_status = status
    with pytest.raises(kind):
        await socket.call("S", {"method": "m"})
    assert len(clock.sleeps) == attempts - 1


async def test_subscribers_are_notified_when_a_connection_is_given_up(
    socket: SessionSocket, machine: Machine, clock: InstantClock
) -> None:
    """After some minutes, because the session has most likely ended."""
    recorder = Recorder()
    socket.subscribe("S", recorder.subscriber())
    machine.methods["m"] = always_answer({})
    await socket.call("S", {"method": "m"})
    machine.handshake_status = 503
    machine.connections[0].abort()
    await _within(recorder.ended)
    assert isinstance(recorder.reason, ServiceError)
    assert 290 < sum(clock.sleeps) < 320


async def test_closing_the_client_fails_pending_calls(
    socket: SessionSocket, linked: AsyncSession, linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """Later calls fail, too."""
    recorder = Recorder()
    socket.subscribe("S", recorder.subscriber())
    call = asyncio.create_task(socket.call("S", {"method": "m"}))
    await machine.wait_for_frame("m")
    await linked_bay.aclose()
    with pytest.raises(ConnectionLostError):
        await call
    assert recorder.ended.is_set()
    with pytest.raises(ClosedError):
        await socket.call("S", {"method": "m"})
    with pytest.raises(ClosedError):
        await get_socket(linked._api, "s-1")


async def test_deleting_the_session_closes_its_connection(
    socket: SessionSocket, linked: AsyncSession, machine: Machine
) -> None:
    """Pending calls fail."""
    machine.methods["m"] = always_answer({})
    await socket.call("S", {"method": "m"})
    assert (await linked.delete()).success
    with pytest.raises(ClosedError):
        await socket.call("S", {"method": "m"})


async def test_a_hundred_websockets_leave_room_for_requests(
    linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """A WebSocket does not count against the limit of the pool."""
    linked_bay._api.pools._limit = 1
    machine.methods["m"] = always_answer({})
    machine.tools["shell"] = lambda _args: "still here"
    session = (await linked_bay.get("s-1")).session
    await (await get_socket(linked_bay._api, "s-1")).call("S", {"method": "m"})
    assert (await session.call_mcp_tool("shell", {}, timeout=5)).success


async def test_the_url_of_a_websocket_may_be_spelt_in_lower_case(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine
) -> None:
    """Some answers have ``wsUrl`` beside ``LinkUrl``."""
    session = await join()
    url = session._api.access["s-1"].ws_url
    machine.offer(WsUrl=None, wsUrl=url)
    session._api.access.clear()
    session = await join()
    assert session._api.access["s-1"].ws_url == url != ""


async def test_a_session_without_a_websocket_is_an_error(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine
) -> None:
    """A SessionError names the cause."""
    machine.offer(WsUrl="")
    session = await join()
    with pytest.raises(SessionError, match="has no WebSocket"):
        await get_socket(session._api, "s-1")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ws://", "no url", "ws://127.0.0.1:9/ws"])
async def test_an_invalid_websocket_url_is_a_connection_failure(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine, url: str
) -> None:
    """The message does not show the URL."""
    machine.offer(WsUrl=url)
    session = await join()
    socket = await get_socket(session._api, "s-1")
    with pytest.raises(ConnectionFailedError) as caught:
        await socket.call("S", {"method": "m"})
    assert url not in str(caught.value)


async def test_access_data_of_a_listed_session_is_looked_up(
    linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """A listing has no access data."""
    machine.methods["m"] = always_answer({})
    socket = await get_socket(linked_bay._api, "s-1")
    await socket.call("S", {"method": "m"})
    assert machine.actions == ["GetSession"]


async def test_the_token_is_in_no_message(
    socket: SessionSocket, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the connection is refused or breaks."""
    caplog.set_level(logging.DEBUG)
    machine.handshake_status = 401
    with pytest.raises(AuthenticationError) as caught:
        await socket.call("S", {"method": "m"})
    assert TOKEN not in f"{caught.value!r}{caplog.text}"
    assert "/ws" not in f"{caught.value!r}{caplog.text}"


_TWO_RUNS = """
import asyncio, gc, sys
sys.path.insert(0, PATH)
from aiohttp.test_utils import TestServer
from agentbay_async import AsyncAgentBay
from services.machine import Machine, always_answer

async def ask(bay):
    # A busy machine is slow, which debug mode would tell of.
    asyncio.get_running_loop().slow_callback_duration = 60
    machine = Machine()
    machine.methods["pty.create"] = always_answer({"result": {"ptySessionId": "p-1"}})
    async with TestServer(machine.app(), port=PORT) as server:
        machine.endpoint = str(server.make_url("")).rstrip("/")
        machine.offer()
        session = (await bay.get("s-1")).session
        pty = await session.pty.create()
        print(pty.is_connected)
        for connection in machine.connections:
            connection.close()

import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    PORT = probe.getsockname()[1]
bay = AsyncAgentBay("akm-test", endpoint=f"http://127.0.0.1:{PORT}")
asyncio.run(ask(bay))
asyncio.run(ask(bay))
gc.collect()
"""


def test_a_connection_ends_with_its_loop(run_child: Callable[..., str]) -> None:
    """Without a close, nothing is left over; the next loop makes its own connection."""
    path = str(Path(__file__).resolve().parents[1])
    code = _TWO_RUNS.replace("PATH", repr(path))
    assert run_child(code, "-W", "error", "-X", "dev") == "True\nTrue"
