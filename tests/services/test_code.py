"""Running code: every form of an answer, streams and callbacks."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    CodeError,
    CodeEvent,
    CodeFailure,
    ConnectionLostError,
    InvalidArgumentError,
    RequestTimeoutError,
    SessionNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncSession

    from .machine import Connection, Machine


def _answers(machine: Machine, document: object, *, error: bool = False) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    answer = {"content": [{"type": "text", "text": text}], "isError": error}
    machine.tools["run_code"] = lambda _args: answer


def _answer(**changes: object) -> dict[str, object]:
    return {"executionError": "", "stdout": [], "stderr": [], "result": [], **changes}


async def test_code_is_sent_with_its_language_and_limit(
    linked: AsyncSession, machine: Machine
) -> None:
    """The default limit is one minute."""
    _answers(machine, _answer())
    await linked.code.run_code("1", "PY")
    await linked.code.run_code("1", "node", 0.2)
    await linked.code.run_code("1", timeout=300)
    assert [call.args for call in machine.calls] == [
        {"code": "1", "language": "python", "timeout_s": 60},
        {"code": "1", "language": "javascript", "timeout_s": 1},
        {"code": "1", "language": "python", "timeout_s": 300},
    ]


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("as_text", [False, True])
async def test_current_form_of_an_answer_is_parsed(
    linked: AsyncSession, machine: Machine, as_text: bool, twice: bool
) -> None:
    """Results may be objects, JSON text, or JSON text of that; the streams stay separate."""
    bundle: Any = {"isMainResult": True, "text/plain": "42", "image/png": "aGk="}
    if as_text:
        bundle = json.dumps(json.dumps(bundle) if twice else bundle)
    _answers(
        machine,
        _answer(
            stdout=["a", "b\n"],
            stderr=["c"],
            result=[bundle],
            executionTime=0.5,
            executionCount=3,
            traceId="t-1",
        ),
    )
    result = await linked.code.run("x")
    assert result.success
    (item,) = result.results
    assert (item.text, item.png, item.is_main_result) == ("42", "aGk=", True)
    assert item.formats() == ["text", "png"]
    assert (result.logs.stdout, result.stdout, result.stderr) == (["a", "b\n"], "ab\n", "c")
    assert (result.execution_time, result.execution_count) == (0.5, 3)
    assert (result.result, result.trace_id) == ("42", "t-1")


async def test_older_form_of_an_answer_is_parsed(linked: AsyncSession, machine: Machine) -> None:
    """With logs, results under short names, and a structured error."""
    _answers(
        machine,
        {
            "logs": {"stdout": ["out"], "stderr": ["err"]},
            "results": [{"text": "1"}, {"html": "<b>", "is_main_result": True, "text": "2"}],
            "error": {"name": "ValueError", "value": "no", "traceback": ["a\n", "b"]},
            "execution_count": 1,
            "execution_time": 2,
        },
    )
    result = await linked.code.run("x")
    assert result.result == "2"
    assert (result.stdout, result.stderr) == ("out", "err")
    assert (result.execution_time, result.execution_count) == (2.0, 1)
    error = result.error
    assert isinstance(error, CodeError)
    assert (error.name, error.value, error.traceback) == ("ValueError", "no", "a\n\nb")
    assert result.error_message == "ValueError: no"


@pytest.mark.parametrize("value", [{}, [], 0, False, "", None])
async def test_falsy_json_value_is_kept(
    linked: AsyncSession, machine: Machine, value: object
) -> None:
    """An empty object is a result."""
    _answers(machine, _answer(result=[{"application/json": value}]))
    (item,) = (await linked.code.run("x")).results
    assert item.json == value
    assert item.formats() == ["json"]


@pytest.mark.parametrize(
    "media", ["application/vnd.vegalite.v4+json", "application/vnd.vega.v5+json", "chart"]
)
async def test_chart_is_parsed_under_each_of_its_names(
    linked: AsyncSession, machine: Machine, media: str
) -> None:
    """Libraries write different versions of the grammar."""
    _answers(machine, _answer(result=[{media: {"mark": "bar"}}]))
    (item,) = (await linked.code.run("x")).results
    assert item.chart == {"mark": "bar"}


@pytest.mark.parametrize(
    "text", ["42\n", '{"a": 1}', '{"stdout": "x"}', "[1]", "null", "[" * 20_000, '"text"']
)
async def test_bare_output_is_plain_output(
    linked: AsyncSession, machine: Machine, text: str
) -> None:
    """Code that prints JSON has not failed."""
    _answers(machine, text)
    result = await linked.code.run("x")
    assert result.success
    assert (result.stdout, result.result) == (text, text)


@pytest.mark.parametrize(
    ("item", "text"),
    [("bare words", "bare words"), (7, "7"), ({"text/plain": ["one\n", "two"]}, "one\ntwo")],
)
async def test_result_of_any_form_is_parsed(
    linked: AsyncSession, machine: Machine, item: object, text: str
) -> None:
    """Plain text, a number, and lists of lines as notebooks store them."""
    _answers(machine, _answer(result=[item]))
    assert [one.text for one in (await linked.code.run("x")).results] == [text]


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"error": "boom"}, "boom"), ({"isError": True}, "failed without a reason")],
)
async def test_failure_may_be_a_text_or_a_flag(
    linked: AsyncSession, machine: Machine, fields: dict[str, object], message: str
) -> None:
    """In place of a structured error."""
    _answers(machine, _answer(**fields))
    result = await linked.code.run("x")
    assert isinstance(result.error, CodeError)
    assert message in result.error_message


async def test_code_without_output_succeeds(linked: AsyncSession, machine: Machine) -> None:
    """The result is empty."""
    _answers(machine, "")
    result = await linked.code.run("x = 1")
    assert (result.success, result.results, result.result) == (True, [], "")


@pytest.mark.parametrize("error", [False, True])
async def test_failed_code_has_its_output(
    linked: AsyncSession, machine: Machine, error: bool
) -> None:
    """The message has the reason; output and request id are kept."""
    document = _answer(executionError="NameError: x", stdout=["half"], stderr=["trace"])
    _answers(machine, document, error=error)
    result = await linked.code.run("x")
    assert not result.success
    assert "NameError: x" in result.error_message
    assert (result.stdout, result.stderr) == ("half", "trace")
    assert result.request_id.startswith("link-")
    with pytest.raises(CodeError):
        result.unwrap()


async def test_reading_output_raises_if_nothing_ran(linked: AsyncSession, machine: Machine) -> None:
    """The tool answered with an error text instead of output."""
    _answers(machine, "SyntaxError: incomplete input", error=True)
    result = await linked.code.run("(")
    assert isinstance(result.error, CodeError)
    assert "incomplete input" in result.error_message
    assert result.request_id.startswith("link-")
    with pytest.raises(CodeError):
        _ = result.stdout


async def test_a_failure_without_a_reason_is_still_a_failure(
    linked: AsyncSession, machine: Machine
) -> None:
    """The tool reported it, whatever the document says."""
    _answers(machine, _answer(), error=True)
    assert not (await linked.code.run("x")).success


def _streams(machine: Machine, *frames: dict[str, Any]) -> None:
    async def reply(connection: Connection, frame: dict[str, Any]) -> None:
        for data in frames:
            await connection.answer(frame, data)

    machine.methods["run_code"] = reply


_FRAMES: list[dict[str, Any]] = [
    {"phase": "event", "eventType": "stdout", "chunk": "one\n"},
    {"phase": "event", "eventType": "stderr", "chunk": "two\n"},
    {"phase": "event", "eventType": "unheard of"},
    {
        "phase": "event",
        "eventType": "result",
        "result": {"isMainResult": True, "mime": {"text/plain": "3", "application/json": {}}},
    },
    {"phase": "end", "status": "finished", "executionCount": 4, "executionTime": 0.25},
]


async def test_results_without_content_are_counted_too(
    linked: AsyncSession, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session could send any number of them."""
    monkeypatch.setattr("agentbay_async.services.code.MAX_OUTPUT", 1000)
    empty = {"phase": "event", "eventType": "result", "result": {}}
    _streams(machine, *[empty] * 50, _FRAMES[-1])
    result = await linked.code.run("x", on_stdout=lambda _text: None)
    assert result.truncated
    assert len(result.results) <= 5


async def test_a_result_with_too_much_output_is_cut(
    linked: AsyncSession, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could fill the memory; callbacks and a stream have no such limit."""
    _streams(machine, *_FRAMES)
    whole = await linked.code.run("x", on_stdout=lambda _text: None)
    monkeypatch.setattr("agentbay_async.services.code.MAX_OUTPUT", 2)
    got: list[str] = []
    shown: list[object] = []
    result = await linked.code.run("x", on_stdout=got.append, on_result=shown.append)
    assert (whole.truncated, result.truncated, result.success) == (False, True, True)
    assert ("".join(whole.logs.stdout), whole.logs.stdout) == ("".join(got), got)
    assert "".join(result.logs.stdout) == "".join(got)[:2]
    assert (len(whole.results), result.results) == (1, [])
    assert shown == whole.results
    assert (result.execution_count, result.execution_time) == (4, 0.25)
    assert len([event async for event in linked.code.stream("x")]) == 4


async def test_code_is_streamed_on_request(linked: AsyncSession, machine: Machine) -> None:
    """Without a callback too; the result is the same."""
    _streams(machine, *_FRAMES)
    result = await linked.code.run_code("x", "python", 5, True)
    assert result.execution_count == 4
    assert machine.calls == []


async def test_stream_yields_events_in_order(linked: AsyncSession, machine: Machine) -> None:
    """The end comes last."""
    _streams(machine, *_FRAMES)
    events = [event async for event in linked.code.stream("x", "python3", timeout=5)]
    assert [event.kind for event in events] == ["stdout", "stderr", "result", "end"]
    assert events[0] == CodeEvent("stdout", text="one\n")
    assert events[2].result is not None
    assert (events[2].result.text, events[2].result.json) == ("3", {})
    assert (events[3].execution_count, events[3].execution_time) == (4, 0.25)
    frame = await machine.wait_for_frame("run_code")
    assert frame["target"] == "wuying_codespace"
    assert frame["data"] == {
        "method": "run_code",
        "mode": "stream",
        "params": {"language": "python", "timeoutS": 5, "code": "x"},
    }


@pytest.mark.parametrize("cut", [False, True])
async def test_the_result_says_whether_output_was_cut(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine, cut: bool
) -> None:
    """In one answer, in a stream, and in a stream that is made from one answer."""
    flag = {"truncated": True} if cut else {}
    _answers(machine, _answer(**flag))
    _streams(machine, {"phase": "end", "status": "finished", **flag})

    session = await join()
    answered = await session.code.run("x")
    streamed = await session.code.run("x", on_stdout=lambda _text: None)
    machine.offer(WsUrl="")
    remade = [event async for event in (await join()).code.stream("x")]

    assert [answered.truncated, streamed.truncated] == [cut, cut]
    assert [event.truncated for event in remade] == [cut]


async def test_callbacks_get_events_and_the_result_has_all_output(
    linked: AsyncSession, machine: Machine
) -> None:
    """Functions and coroutine functions alike."""
    _streams(machine, *_FRAMES)
    received: list[object] = []

    async def on_stderr(text: str) -> None:
        received.append(text)

    result = await linked.code.run(
        "x", on_stdout=received.append, on_stderr=on_stderr, on_result=received.append
    )
    assert received == ["one\n", "two\n", result.results[0]]
    assert (result.stdout, result.stderr, result.result) == ("one\n", "two\n", "3")
    assert (result.execution_count, result.execution_time) == (4, 0.25)
    assert result.request_id


@pytest.mark.parametrize(
    ("frames", "failure"),
    [
        (
            [
                {
                    "phase": "event",
                    "eventType": "error",
                    "error": {"code": "NameError", "message": "x", "traceId": "t"},
                },
                {"phase": "end", "status": "failed", "executionError": "NameError: x"},
            ],
            CodeFailure("NameError", "x", "traceId=t"),
        ),
        (
            [{"phase": "end", "executionError": "boom"}],
            CodeFailure("ExecutionError", "boom"),
        ),
        (
            [{"phase": "end", "status": "failed"}],
            CodeFailure("ExecutionError", "the code failed without a reason"),
        ),
    ],
)
async def test_failure_is_reported_once(
    linked: AsyncSession, machine: Machine, frames: list[dict[str, Any]], failure: CodeFailure
) -> None:
    """By an event, or by the last frame alone."""
    _streams(machine, *frames)
    received: list[CodeFailure] = []
    result = await linked.code.run("x", on_error=received.append)
    assert received == [failure]
    assert isinstance(result.error, CodeError)
    assert result.error.name == failure.name


@pytest.mark.parametrize(
    ("status", "kind"), [("RUNNING", ConnectionLostError), ("FINISH", SessionNotFoundError)]
)
async def test_lost_connection_fails_running_code(
    linked: AsyncSession, machine: Machine, status: str, kind: type[Exception]
) -> None:
    """The callbacks got the output before it; a session that ended is named with the reason."""
    machine.status = status

    async def cut(connection: Connection, frame: dict[str, Any]) -> None:
        await connection.answer(frame, _FRAMES[0])
        connection.close()

    machine.methods["run_code"] = cut
    received: list[str] = []
    result = await linked.code.run("x", on_stdout=received.append)
    assert isinstance(result.error, kind)
    assert getattr(result.error, "reason", "expired") == "expired"
    assert received == ["one\n"]


async def test_stream_without_an_end_times_out(
    linked: AsyncSession, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the limit of the code and a grace period."""
    monkeypatch.setattr("agentbay_async.services.code.ANSWER_GRACE", 0.01)
    del machine
    with pytest.raises(RequestTimeoutError):
        async for _ in linked.code.stream("x", timeout=0.01):
            pass


async def test_closed_stream_is_released(linked: AsyncSession, machine: Machine) -> None:
    """The socket keeps nothing for it, and the session is asked to stop."""
    _streams(machine, *_FRAMES[:2])
    events = linked.code.stream("x")
    assert (await anext(events)).text == "one\n"
    close: Any = events
    await close.aclose()
    (socket,) = linked._api.sockets._sockets.values()
    assert socket._pending == {}
    started, stopped = [await machine.wait_for_frame(name) for name in ("run_code", "cancel")]
    assert stopped["invocationId"] == started["invocationId"]


async def test_without_a_socket_the_events_come_at_the_end(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine
) -> None:
    """The same events, from one answer."""
    machine.offer(WsUrl="")
    session = await join()
    _answers(
        machine,
        _answer(
            stdout=["a"], stderr=["b"], result=[{"text": "c"}], executionError="d", executionCount=1
        ),
    )
    kinds = [event.kind async for event in session.code.stream("x")]
    assert kinds == ["stdout", "stderr", "result", "error", "end"]


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [
        ({"code": " "}, InvalidArgumentError, "code"),
        ({"code": b"1"}, ArgumentTypeError, "code"),
        ({"language": "cobol"}, InvalidArgumentError, "language must be python"),
        ({"language": None}, ArgumentTypeError, "language"),
        ({"timeout_s": 1, "timeout": 1}, InvalidArgumentError, "timeout"),
        ({"timeout": 0}, InvalidArgumentError, "timeout"),
    ],
)
async def test_invalid_arguments_of_run_code_are_rejected(
    linked: AsyncSession,
    machine: Machine,
    arguments: dict[str, Any],
    kind: type[Exception],
    named: str,
) -> None:
    """The argument is named, and nothing is sent."""
    with pytest.raises(kind, match=named):
        await linked.code.run_code(**{"code": "1", **arguments})
    assert machine.calls == []


async def test_stream_rejects_an_unknown_language_at_once(linked: AsyncSession) -> None:
    """Before the first event is requested."""
    with pytest.raises(InvalidArgumentError):
        linked.code.stream("x", "cobol")
    await asyncio.sleep(0)


async def test_all_names_of_run_code_are_one_method(linked: AsyncSession) -> None:
    """As in the official client."""
    kind = type(linked.code)
    assert kind.run is kind.execute is kind.run_code
