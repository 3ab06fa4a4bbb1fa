"""The WebSocket of a session: one line for all, made anew when it breaks, given up when refused."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
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
from agentbay_async._transport.websocket import Subscriber
from agentbay_async.services._tool_calls import get_socket

from .machine import TOKEN, always

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import InstantClock

    from agentbay_async import AgentBayError, AsyncAgentBay, AsyncSession
    from agentbay_async._protocol.frames import Frame
    from agentbay_async._transport.websocket import SessionSocket

    from .machine import Line, Machine


@pytest.fixture
async def socket(linked: AsyncSession) -> SessionSocket:
    """Give the socket of the session."""
    return await get_socket(linked._api, "s-1")


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []
        self.reopened = asyncio.Event()
        self.ended = asyncio.Event()
        self.reason: AgentBayError | None = None
        self.something = asyncio.Event()

    def listener(self) -> Subscriber:
        """Give what the socket tells."""
        return Subscriber(self._hear, self.reopened.set, self._end)

    def _hear(self, frame: Frame) -> None:
        self.data.append(frame.data)
        self.something.set()

    def _end(self, reason: AgentBayError) -> None:
        self.reason = reason
        self.ended.set()


async def _within(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 10)


async def test_a_question_is_answered(socket: SessionSocket, machine: Machine) -> None:
    """Id, source, target and data as the protocol has them; the token in the handshake."""
    machine.methods["m"] = always({"result": "ü"})
    assert await socket.call("SERVER", {"method": "m", "params": {}}) == {"result": "ü"}
    (frame,) = machine.heard
    assert {**frame, "invocationId": ""} == {
        "invocationId": "",
        "source": "SDK",
        "target": "SERVER",
        "data": {"method": "m", "params": {}},
    }
    assert machine.lines[0].headers["X-Access-Token"] == TOKEN


async def test_everybody_speaks_through_one_line(socket: SessionSocket, machine: Machine) -> None:
    """A hundred questions at once need one connection, and each gets its own answer."""

    async def echo(line: Line, frame: dict[str, Any]) -> None:
        await line.answers(frame, {"result": frame["data"]["n"]})

    machine.methods["m"] = echo
    asked = [socket.call("S", {"method": "m", "n": number}) for number in range(100)]
    answers = await asyncio.gather(*asked)
    assert [answer["result"] for answer in answers] == list(range(100))
    assert len(machine.lines) == 1


async def test_a_session_has_one_socket(
    linked: AsyncSession, join: Callable[[], Awaitable[AsyncSession]], socket: SessionSocket
) -> None:
    """However often it is looked up."""
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
async def test_an_answer_that_says_no_is_an_error(
    socket: SessionSocket, machine: Machine, data: object, kind: type[Exception], message: str
) -> None:
    """In words, or as an object."""
    machine.methods["m"] = always(data)
    with pytest.raises(kind, match=message):
        await socket.call("S", {"method": "m"})


async def test_the_gateway_may_answer_for_a_server(socket: SessionSocket, machine: Machine) -> None:
    """It says that a server is not there; that is no reason to wait."""

    async def gateway(line: Line, frame: dict[str, Any]) -> None:
        await line.says(
            {
                "requestId": frame["invocationId"],
                "source": "WEBSOCKET_SERVER",
                "error": "unknown target",
            }
        )

    machine.methods["m"] = gateway
    with pytest.raises(ToolError, match="unknown target"):
        await socket.call("S", {"method": "m"})


async def test_an_answer_that_does_not_come_is_waited_for_so_long(
    socket: SessionSocket, machine: Machine
) -> None:
    """And nothing of the question stays behind."""
    with pytest.raises(RequestTimeoutError):
        await socket.call("S", {"method": "m"}, 0.05)
    assert socket._pending == {}


async def test_a_stream_gives_its_frames_in_order(socket: SessionSocket, machine: Machine) -> None:
    """Up to the one that ends it."""

    async def stream(line: Line, frame: dict[str, Any]) -> None:
        for number in range(3):
            await line.answers(frame, {"phase": "event", "n": number})
        await line.answers(frame, {"phase": "end", "status": "finished"})

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
async def test_a_stream_that_fails_raises_after_what_came_before(
    socket: SessionSocket, machine: Machine, data: dict[str, Any], kind: type[Exception]
) -> None:
    """What arrived is not lost by the error behind it."""

    async def stream(line: Line, frame: dict[str, Any]) -> None:
        await line.answers(frame, {"phase": "event", "n": 1})
        await line.answers(frame, data)

    machine.methods["m"] = stream
    frames = await socket.stream("S", {"method": "m"})
    assert (await frames.next() or {})["n"] == 1
    with pytest.raises(kind):
        await frames.next()


async def test_another_frame_can_be_sent_within_a_stream(
    socket: SessionSocket, machine: Machine
) -> None:
    """It carries the id of the stream; what was cancelled is not heard any more."""
    frames = await socket.stream("S", {"method": "m"})
    await frames.write({"method": "more"})
    more = await machine.hears("more")
    assert more["invocationId"] == frames.id
    frames.cancel()
    assert socket._pending == {}


async def test_a_frame_of_any_size_arrives(socket: SessionSocket, machine: Machine) -> None:
    """A chart of some megabytes must not break the line of everybody else."""
    machine.methods["m"] = always({"result": "x" * 5_000_000})
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


async def test_frames_that_cannot_be_read_are_dropped(
    socket: SessionSocket, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The line stays, and the next frame is heard."""
    heard = Heard()
    socket.subscribe("S", heard.listener())
    machine.methods["m"] = always({})
    await socket.call("S", {"method": "m"})
    for text in [*_BAD, b"\xff\xfe"]:
        await machine.lines[0].says(text)
    await machine.lines[0].pushes("S", '{"n": 1}')
    await _within(heard.something)
    assert heard.data == [{"n": 1}]
    assert len(machine.lines) == 1
    assert "dropped a frame" in caplog.text


async def test_one_listener_that_fails_or_leaves_does_not_silence_the_others(
    socket: SessionSocket, machine: Machine
) -> None:
    """Closing for one is not closing for all."""
    heard, left = Heard(), Heard()

    def broken(_frame: Frame) -> None:
        raise RuntimeError("mine")

    socket.subscribe("S", Subscriber(broken, lambda: None, lambda _reason: None))
    leave = socket.subscribe("S", left.listener())
    socket.subscribe("S", heard.listener())
    leave()
    leave()
    machine.methods["m"] = always({})
    await socket.call("S", {"method": "m"})
    await machine.lines[0].pushes("S", {"n": 1})
    await _within(heard.something)
    assert left.data == []


async def test_a_question_under_way_fails_when_the_line_breaks(
    socket: SessionSocket, machine: Machine
) -> None:
    """It may have been acted on, so it is not sent again."""

    async def cut(line: Line, _frame: dict[str, Any]) -> None:
        line.breaks()

    machine.methods["m"] = cut
    with pytest.raises(ConnectionLostError):
        await socket.call("S", {"method": "m"})


async def test_a_line_that_broke_is_made_anew_for_who_listens(
    socket: SessionSocket, machine: Machine, clock: InstantClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses grow while it cannot be had; then the listener is told, and hears again."""
    heard = Heard()
    socket.subscribe("S", heard.listener())
    machine.methods["m"] = always({})
    await socket.call("S", {"method": "m"})
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        machine.refused = 503 if len(pauses) < 8 else 0

    monkeypatch.setattr(clock, "sleep", sleep)
    machine.refused = 503
    machine.lines[0].breaks()
    await _within(heard.reopened)
    await machine.lines[1].pushes("S", {"n": 1})
    await _within(heard.something)
    for pause, wanted in zip(pauses, [0.5, 0.75, 1.125, 1.69, 2.53, 3.8, 5, 5], strict=True):
        assert wanted - 0.01 <= pause <= wanted + 0.11


async def test_an_unused_connection_is_not_reopened(
    socket: SessionSocket, machine: Machine
) -> None:
    """Until somebody speaks again."""
    machine.methods["m"] = always({})
    await socket.call("S", {"method": "m"})
    machine.lines[0].breaks()
    assert socket._runner is not None
    await asyncio.wait([socket._runner], timeout=10)
    assert len(machine.lines) == 1
    await socket.call("S", {"method": "m"})
    assert len(machine.lines) == 2


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (401, AuthenticationError, 1),
        (403, AuthenticationError, 1),
        (404, SessionNotFoundError, 1),
        (503, ServiceError, 4),
    ],
)
async def test_a_line_that_is_refused_is_given_up(
    socket: SessionSocket,
    machine: Machine,
    clock: InstantClock,
    status: int,
    kind: type[Exception],
    attempts: int,
) -> None:
    """At once where trying again cannot help; whoever asked gets to know why."""
    machine.refused = status
    with pytest.raises(kind):
        await socket.call("S", {"method": "m"})
    assert len(clock.sleeps) == attempts - 1


async def test_listeners_are_told_when_a_broken_line_is_given_up(
    socket: SessionSocket, machine: Machine, clock: InstantClock
) -> None:
    """After some minutes without a line the session has most likely gone."""
    heard = Heard()
    socket.subscribe("S", heard.listener())
    machine.methods["m"] = always({})
    await socket.call("S", {"method": "m"})
    machine.refused = 503
    machine.lines[0].breaks()
    await _within(heard.ended)
    assert isinstance(heard.reason, ServiceError)
    assert 290 < sum(clock.sleeps) < 320


async def test_closing_the_client_ends_every_wait(
    socket: SessionSocket, linked: AsyncSession, linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """Nobody waits for an answer that cannot come, and nobody can ask anew."""
    heard = Heard()
    socket.subscribe("S", heard.listener())
    asked = asyncio.create_task(socket.call("S", {"method": "m"}))
    await machine.hears("m")
    await linked_bay.aclose()
    with pytest.raises(ConnectionLostError):
        await asked
    assert heard.ended.is_set()
    with pytest.raises(ClosedError):
        await socket.call("S", {"method": "m"})
    with pytest.raises(ClosedError):
        await get_socket(linked._api, "s-1")


async def test_deleting_the_session_closes_its_line(
    socket: SessionSocket, linked: AsyncSession, machine: Machine
) -> None:
    """What is left of it is nobody's."""
    machine.methods["m"] = always({})
    await socket.call("S", {"method": "m"})
    assert (await linked.delete()).success
    with pytest.raises(ClosedError):
        await socket.call("S", {"method": "m"})


async def test_a_hundred_lines_leave_room_for_requests(
    linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """A line may last for hours, and must not hold the place of a request."""
    linked_bay._api.pools._limit = 1
    machine.methods["m"] = always({})
    machine.tools["shell"] = lambda _args: "still here"
    session = (await linked_bay.get("s-1")).session
    await (await get_socket(linked_bay._api, "s-1")).call("S", {"method": "m"})
    assert (await session.call_mcp_tool("shell", {}, timeout=5)).success


async def test_a_session_without_a_socket_says_so(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine
) -> None:
    """And not that an attribute is missing."""
    machine.offer(WsUrl="")
    session = await join()
    with pytest.raises(SessionError, match="has no WebSocket"):
        await get_socket(session._api, "s-1")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ws://", "no url", "ws://127.0.0.1:9/ws"])
async def test_an_address_that_leads_nowhere_is_an_error_and_no_crash(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine, url: str
) -> None:
    """Nothing reached the session; the address itself is not shown."""
    machine.offer(WsUrl=url)
    session = await join()
    socket = await get_socket(session._api, "s-1")
    with pytest.raises(ConnectionFailedError) as caught:
        await socket.call("S", {"method": "m"})
    assert url not in str(caught.value)


async def test_of_a_session_that_was_listed_the_service_is_asked(
    linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """A listing tells no addresses."""
    machine.methods["m"] = always({})
    socket = await get_socket(linked_bay._api, "s-1")
    await socket.call("S", {"method": "m"})
    assert machine.asked == ["GetSession"]


async def test_the_token_is_in_no_message(
    socket: SessionSocket, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Not when the line is refused, nor when it breaks."""
    caplog.set_level(logging.DEBUG)
    machine.refused = 401
    with pytest.raises(AuthenticationError) as caught:
        await socket.call("S", {"method": "m"})
    assert TOKEN not in f"{caught.value!r}{caplog.text}"
    assert "/ws" not in f"{caught.value!r}{caplog.text}"


_TWO_RUNS = """
import asyncio, gc, sys
sys.path.insert(0, PATH)
from aiohttp.test_utils import TestServer
from agentbay_async import AsyncAgentBay
from services.machine import Machine, always

async def ask(bay):
    # A busy machine is slow, which debug mode would tell of.
    asyncio.get_running_loop().slow_callback_duration = 60
    machine = Machine()
    machine.methods["pty.create"] = always({"result": {"ptySessionId": "p-1"}})
    async with TestServer(machine.app(), port=PORT) as server:
        machine.endpoint = str(server.make_url("")).rstrip("/")
        machine.offer()
        session = (await bay.get("s-1")).session
        pty = await session.pty.create()
        print(pty.is_connected)
        for line in machine.lines:
            line.ends()

import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    PORT = probe.getsockname()[1]
bay = AsyncAgentBay("akm-test", endpoint=f"http://127.0.0.1:{PORT}")
asyncio.run(ask(bay))
asyncio.run(ask(bay))
gc.collect()
"""


def test_a_line_ends_with_its_loop(run_child: Callable[..., str]) -> None:
    """Nobody closes anything, and still nothing is left over; the next loop has its own line."""
    path = str(Path(__file__).resolve().parents[1])
    code = _TWO_RUNS.replace("PATH", repr(path))
    assert run_child(code, "-W", "error", "-X", "dev") == "True\nTrue"
