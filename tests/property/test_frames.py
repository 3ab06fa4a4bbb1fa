"""Any frames of a session: values or typed errors, and the connection goes on."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from agentbay_async._clock import SystemClock
from agentbay_async._protocol.frames import Frame, read_frame
from agentbay_async._transport.websocket import SessionSocket, Subscriber
from agentbay_async.errors import AgentBayError
from agentbay_async.services._code_parsing import parse_answer, parse_event, parse_failure
from agentbay_async.services._pty.terminal import Terminal

_DEADLINE = 30.0
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_deep = st.sampled_from([900, 970, 990, 20_000]).map(lambda depth: "[" * depth + "]" * depth)
# CALL and STREAM are the ids of pending invocations.
_ids = st.sampled_from(["CALL", "STREAM", "other"]) | _json
_events = st.sampled_from(["pty.output", "pty.exit", "pty.error", "stdout", "result", "error"])
_data = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["event", "end", "error"]) | _json,
        "eventType": _events | _json,
        "error": _json,
        "result": _json,
        "ptySessionId": st.just("t") | _json,
        "data": _json,
        "encoding": st.sampled_from(["utf8", "base64"]) | _json,
        "offset": st.integers(-5, 50) | _json,
        "exitCode": _json,
        "executionTime": st.just(10**400) | _json,
        "executionCount": _json,
        "logs": st.dictionaries(st.sampled_from(["stdout", "stderr"]), _json),
        "results": _json,
        "executionError": _json,
    },
)
_output = st.fixed_dictionaries(
    {"eventType": st.just("pty.output"), "data": st.text() | _json},
    optional={"encoding": st.just("base64") | _json, "offset": st.integers(-5, 50) | _json},
)
_frames = st.fixed_dictionaries(
    {},
    optional={
        "invocationId": _ids,
        "requestId": _json,
        "source": st.sampled_from(["SERVER", "WEBSOCKET_SERVER", "SDK"]) | _json,
        "target": st.sampled_from(["SERVER", "SDK"]) | _json,
        "data": _data | _data.map(json.dumps) | _json,
        "error": _json,
    },
)
_texts = st.binary() | st.text() | _deep | (_frames | _json).map(json.dumps)


@given(_texts)
def test_any_text_is_a_frame_or_a_value_error(text: str | bytes) -> None:
    """No exception of a JSON parser escapes."""
    with suppress(ValueError):
        frame = read_frame(text)
        assert isinstance(frame.data, dict)
        assert frame.id


class _ScriptedConnection:
    """A connection that delivers given frames, and records the frames that are sent."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, text: str) -> None:
        self.sent.put_nowait(json.loads(text))

    async def receive(self) -> str | bytes | None:
        return await self.incoming.get()

    async def close(self) -> None:
        """Nothing to close."""


async def _deliver(texts: list[str | bytes]) -> None:
    """Deliver frames while a call, a stream and a subscriber are waiting."""
    connection, frames = _ScriptedConnection(), list[Frame]()

    async def dial() -> _ScriptedConnection:
        return connection

    socket = SessionSocket(dial, SystemClock(), "s-1")
    socket.subscribe("SERVER", Subscriber(frames.append, lambda: None, lambda _: None))
    stream = await socket.stream("SERVER", {})
    call = asyncio.create_task(_outcome(socket.call("SERVER", {}, _DEADLINE)))
    names = {name: (await connection.sent.get())["invocationId"] for name in ("STREAM", "CALL")}
    for text in texts:
        for name, invocation in names.items():
            text = text.replace(name, invocation) if isinstance(text, str) else text
        connection.incoming.put_nowait(text)
    for invocation in names.values():
        last = {"invocationId": invocation, "source": "SERVER", "target": "SDK"}
        connection.incoming.put_nowait(json.dumps({**last, "data": {"phase": "end", "result": {}}}))
    assert isinstance(await call, (dict, AgentBayError))
    found: object = {}
    while isinstance(found, dict):
        found = await _outcome(stream.next())
    assert found is None or isinstance(found, AgentBayError)
    await _still_answers(socket, connection)
    await socket.aclose()


async def _still_answers(socket: SessionSocket, connection: _ScriptedConnection) -> None:
    call = asyncio.create_task(socket.call("SERVER", {}, _DEADLINE))
    answer = {
        **await connection.sent.get(),
        "source": "SERVER",
        "target": "SDK",
        "data": {"result": 7},
    }
    connection.incoming.put_nowait(json.dumps(answer))
    assert await call == {"result": 7}


async def _outcome(work: Any) -> object:
    try:
        return await work
    except AgentBayError as error:
        return error


@given(st.lists(_texts, max_size=6))
def test_no_frames_end_a_connection_or_leave_a_caller_waiting(texts: list[str | bytes]) -> None:
    """A call and a stream end with a value or a typed error; the next call is answered."""
    asyncio.run(asyncio.wait_for(_deliver(texts), _DEADLINE))


class _Connection:
    """A connection on which nothing happens."""

    def is_attached(self, terminal: Terminal) -> bool:
        return True

    def detach(self, terminal: Terminal) -> None:
        """Nothing is attached."""

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {}

    async def notify(self, method: str, params: dict[str, Any]) -> None:
        """Ignore what is sent."""


async def _seen(pieces: list[dict[str, Any]], start: int | None) -> None:
    terminal = Terminal(_Connection(), "t", start)
    for data in pieces:
        terminal.handle_frame(data)
    terminal.handle_frame({"eventType": "pty.exit", "exitCode": 0})
    output: object = b""
    while isinstance(output, bytes):
        output = await _outcome(terminal.output.read())
    assert output is None or isinstance(output, AgentBayError)
    assert isinstance(await _outcome(terminal.exit), (int, AgentBayError))
    assert terminal.position is None or terminal.position >= 0


@example([{"eventType": "pty.output", "data": "a", "offset": -5}], None)
@given(st.lists(_data | _output, max_size=6), st.none() | st.integers(0, 10))
def test_no_output_breaks_a_terminal(pieces: list[dict[str, Any]], start: int | None) -> None:
    """It ends with a number or a typed error, and its output can be read to the end."""
    asyncio.run(asyncio.wait_for(_seen(pieces, start), _DEADLINE))


@given(_data)
def test_any_frame_of_running_code_is_read(data: dict[str, Any]) -> None:
    """With any value in place of a text, a number or a result."""
    parse_event(data)
    parse_failure(data)


@given(st.text() | _deep | (_data | _json).map(json.dumps))
def test_any_text_is_an_answer_of_code(text: str) -> None:
    """Text in no known format is the output itself."""
    parse_answer(text)


def test_a_deeply_nested_answer_of_code_is_read() -> None:
    """Some depths can be parsed, but not written."""
    for depth in range(900, 1000):
        deep = "[" * depth + "]" * depth
        parse_answer(f'{{"logs":{{"stdout":[{deep}]}},"results":[{deep}],"executionError":{deep}}}')
