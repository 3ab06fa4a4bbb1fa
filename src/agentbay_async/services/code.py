"""Code that runs in a session, with what it shows."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio

from agentbay_async import _check
from agentbay_async.errors import CodeError, InvalidArgumentError, RequestTimeoutError, ToolError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.code import CodeEvent, CodeFailure, CodeOutcome, CodeResult
from agentbay_async.services._code_parsing import (
    CodeAnswer,
    read_answer,
    read_document,
    read_event,
    read_failure,
)
from agentbay_async.services._routing import access_to, socket_of
from agentbay_async.services._tools import call_tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async._transport.websocket import Stream
    from agentbay_async.models.code import CodeOutput


_DEFAULT_TIMEOUT = 60.0
_SERVER = "wuying_codespace"
_LANGUAGES = {
    "python": "python",
    "python3": "python",
    "py": "python",
    "javascript": "javascript",
    "js": "javascript",
    "node": "javascript",
    "nodejs": "javascript",
    "r": "r",
    "java": "java",
}


class AsyncCode:
    """Runs code in one session. Names that it defines are there for the next call.

    Offered by the image ``code_latest``.
    """

    __slots__ = ("__weakref__", "_api", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    async def run_code(
        self,
        code: str,
        language: str = "python",
        timeout_s: float | timedelta | None = None,
        *,
        timeout: float | timedelta | None = None,
        on_stdout: Callable[[str], Awaitable[None] | None] | None = None,
        on_stderr: Callable[[str], Awaitable[None] | None] | None = None,
        on_result: Callable[[CodeOutput], Awaitable[None] | None] | None = None,
        on_error: Callable[[CodeFailure], Awaitable[None] | None] | None = None,
    ) -> CodeResult:
        r"""Run code and wait for its end.

        With a callback the code is streamed, where the session offers that: each piece of output is
        told when it comes, and is in the result as well. What a callback raises ends the call.

        Args:
            code: What to run.
            language: ``"python"``, ``"javascript"``, ``"r"`` or ``"java"``, in any case.
            timeout_s: Seconds (or a timedelta) after which it is stopped. Default 60.
            timeout: The same, under the name it has everywhere else.
            on_stdout: Called with each piece that is written to standard output.
            on_stderr: Called with each piece that is written to standard error.
            on_result: Called with each thing that is shown.
            on_error: Called with the error that ended it.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            InvalidArgumentError: `code` is blank, `language` is unknown, or two timeouts are given.

        Example:
            ::

                result = await session.code.run_code("x = 20\nx + 1")
                print(result.result, result.logs.stdout)
        """
        limit = _time_limit(timeout_s, timeout)
        args = _arguments(code, language, limit)
        tell = {"stdout": on_stdout, "stderr": on_stderr, "result": on_result, "error": on_error}
        if any(callback is not None for callback in tell.values()):
            return await self._run_told(args, limit, tell)
        return await self._run(args, limit)

    run = execute = run_code

    def stream(
        self,
        code: str,
        language: str = "python",
        *,
        timeout: float | timedelta | None = None,
    ) -> AsyncIterator[CodeEvent]:
        """Run code and yield what happens, as it happens; the last event is of kind ``"end"``.

        Code that fails is an event of kind ``"error"``. In a session without a WebSocket all events
        come at the end. To stop reading does not stop the code: the protocol has no word for that.

        Args:
            code: What to run.
            language: As in :meth:`run_code`.
            timeout: Seconds (or a timedelta) after which the code is stopped. Default 60.

        Raises:
            InvalidArgumentError: `code` is blank, or `language` is unknown.
            AgentBayError: It could not be run, or the line broke: raised while iterating.

        Example:
            ::

                async for event in session.code.stream("print('hi')"):
                    print(event.kind, event.text)
        """
        limit = _time_limit(None, timeout)
        return self._events(_arguments(code, language, limit), limit)

    @returns_result(CodeResult)
    async def _run(self, args: dict[str, Any], limit: float) -> CodeResult:
        answer, request_id = await self._ask(args, limit)
        return _result(answer.outcome, answer.failure, request_id, self._session_id)

    async def _ask(self, args: dict[str, Any], limit: float) -> tuple[CodeAnswer, str]:
        try:
            answer = await call_tool(
                self._api, self._session_id, "run_code", args, limit + ANSWER_GRACE
            )
        except ToolError as error:
            return _refused(error)
        return read_answer(answer.data), answer.request_id

    @returns_result(CodeResult)
    async def _run_told(
        self,
        args: dict[str, Any],
        limit: float,
        tell: Mapping[str, Callable[[Any], Awaitable[None] | None] | None],
    ) -> CodeResult:
        outcome, failure = CodeOutcome(), None
        request_id, events = await self._begin(args, limit)
        async with aclosing(events):
            async for event in events:
                outcome, failure = _with(outcome, event), event.error or failure
                callback = tell.get(event.kind)
                waiting = None if callback is None else callback(_said(event))
                if waiting is not None:
                    await waiting
        return _result(outcome, failure, request_id, self._session_id)

    async def _events(self, args: dict[str, Any], limit: float) -> AsyncIterator[CodeEvent]:
        _, events = await self._begin(args, limit)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _begin(
        self, args: dict[str, Any], limit: float
    ) -> tuple[str, AsyncGenerator[CodeEvent, None]]:
        """Run code and return the id of the request, with what happens."""
        access = await access_to(self._api, self._session_id)
        if not (access.ws_url and access.token):
            answer, request_id = await self._ask(args, limit)
            return request_id, told_at_once(answer)
        socket = await socket_of(self._api, self._session_id)
        target = access.tools.server_of("run_code") or _SERVER
        stream = await socket.stream(target, question(args))
        return stream.id, streamed(stream, limit)


def _time_limit(timeout_s: float | timedelta | None, timeout: float | timedelta | None) -> float:
    if timeout_s is not None and timeout is not None:
        raise InvalidArgumentError("timeout_s and timeout exclude each other; give one")
    if timeout_s is not None:
        return _check.seconds(timeout_s, "timeout_s")
    return _DEFAULT_TIMEOUT if timeout is None else _check.seconds(timeout, "timeout")


def _arguments(code: str, language: str, limit: float) -> dict[str, Any]:
    known = _LANGUAGES.get(_check.text(language, "language").lower())
    if known is None:
        raise InvalidArgumentError(
            f"language must be python, javascript, r or java, not {language!r}"
        )
    # The session counts whole seconds, and takes 0 for none.
    return {
        "code": _check.text(code, "code"),
        "language": known,
        "timeout_s": max(1, round(limit)),
    }


def _said(event: CodeEvent) -> object:
    """Return what a callback of that kind of event is called with."""
    return {"result": event.result, "error": event.error}.get(event.kind, event.text)


def _with(outcome: CodeOutcome, event: CodeEvent) -> CodeOutcome:
    """Add an event to what came of running code."""
    if event.kind == "stdout":
        outcome.logs.stdout.append(event.text)
    elif event.kind == "stderr":
        outcome.logs.stderr.append(event.text)
    elif event.result is not None:
        outcome.results.append(event.result)
    elif event.kind == "end":
        return CodeOutcome(
            outcome.results, outcome.logs, event.execution_count, event.execution_time
        )
    return outcome


def _refused(error: ToolError) -> tuple[CodeAnswer, str]:
    """Return the answer of a tool that itself calls the code failed, if its words are one."""
    answer = read_document(error.message)
    if answer is None:
        failure = CodeFailure("ExecutionError", error.message)
        raise _code_error(failure, error.request_id, error.session_id) from None
    failure = answer.failure or CodeFailure("ExecutionError", "the code failed without a reason")
    return CodeAnswer(answer.outcome, failure), error.request_id


def _result(
    outcome: CodeOutcome, failure: CodeFailure | None, request_id: str, session_id: str
) -> CodeResult:
    if failure is None:
        return CodeResult.ok(outcome, request_id)
    return CodeResult(outcome, _code_error(failure, request_id, session_id), request_id)


def _code_error(failure: CodeFailure, request_id: str, session_id: str) -> CodeError:
    said = ": ".join(part for part in (failure.name, failure.value) if part)
    error = CodeError(said or "the code failed", request_id=request_id, session_id=session_id)
    error.name, error.value, error.traceback = failure.name, failure.value, failure.traceback
    return error


#: How much longer than the code the exchange may take, so that code which runs out of time is told
#: of by the session, with what it showed, and not by a broken connection.
ANSWER_GRACE = 15.0


def question(args: dict[str, Any]) -> dict[str, Any]:
    """Return what the server of code is asked, for the arguments of the tool."""
    params = {
        "language": args["language"],
        "timeoutS": args["timeout_s"],
        "code": args["code"],
    }
    return {"method": "run_code", "mode": "stream", "params": params}


async def streamed(stream: Stream, limit: float) -> AsyncGenerator[CodeEvent, None]:
    """Yield the events of a stream; a failure that only its end tells of comes before that."""
    deadline = anyio.current_time() + limit + ANSWER_GRACE
    failed = False
    try:
        while (data := await _next(stream, deadline, limit)) is not None:
            event = read_event(data)
            if event is None:
                continue
            if event.kind == "end" and not failed and (failure := read_failure(data)):
                yield CodeEvent("error", error=failure)
            failed = failed or event.kind == "error"
            yield event
    finally:
        stream.cancel()


async def _next(stream: Stream, deadline: float, limit: float) -> dict[str, Any] | None:
    with anyio.CancelScope(deadline=deadline):
        return await stream.next()
    raise RequestTimeoutError(f"run_code: no end within {limit:.3g} s")


async def told_at_once(answer: CodeAnswer) -> AsyncGenerator[CodeEvent, None]:
    """Yield as events what a whole answer tells."""
    outcome = answer.outcome
    for text in outcome.logs.stdout:
        yield CodeEvent("stdout", text=text)
    for text in outcome.logs.stderr:
        yield CodeEvent("stderr", text=text)
    for one in outcome.results:
        yield CodeEvent("result", result=one)
    if answer.failure is not None:
        yield CodeEvent("error", error=answer.failure)
    count, time = outcome.execution_count, outcome.execution_time
    yield CodeEvent("end", execution_count=count, execution_time=time)
