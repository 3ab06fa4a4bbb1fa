"""Run code in a session, and stream its output."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from agentbay_async import _check
from agentbay_async.errors import (
    CodeError,
    ConnectionLostError,
    InvalidArgumentError,
    RequestTimeoutError,
    SessionNotFoundError,
    ToolError,
)
from agentbay_async.models._later import ClosingIterator
from agentbay_async.models.code import CodeEvent, CodeFailure, CodeOutcome, CodeResult
from agentbay_async.models.results import returns_result
from agentbay_async.services import _code_parsing as parsing
from agentbay_async.services._code_parsing import NO_REASON, CodeAnswer
from agentbay_async.services._tool_calls import (
    ANSWER_GRACE,
    MAX_OUTPUT,
    call_tool,
    check_one_request,
    get_access,
    get_socket,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async._transport.websocket import Stream
    from agentbay_async.models.code import CodeOutput
    from agentbay_async.session import AsyncSession

_DEFAULT_TIMEOUT = 60.0
_CURE = (
    "stream longer code with code.stream() or on_stdout, or start a file of it with command.start()"
)
# The server of code on the WebSocket, for sessions that do not list their tools.
_DEFAULT_SERVER = "wuying_codespace"
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
    """Run code in one session. Later calls see the names that earlier calls defined.

    Offered by the image ``code_latest``.
    """

    __slots__ = ("__weakref__", "_api", "_find_session", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    async def run_code(
        self,
        code: str,
        language: str = "python",
        timeout_s: float | timedelta | None = 60,
        stream_beta: bool = False,
        on_stdout: Callable[[str], Awaitable[None] | None] | None = None,
        on_stderr: Callable[[str], Awaitable[None] | None] | None = None,
        on_error: Callable[[CodeFailure], Awaitable[None] | None] | None = None,
        *,
        timeout: float | timedelta | None = None,
        on_result: Callable[[CodeOutput], Awaitable[None] | None] | None = None,
    ) -> CodeResult:
        r"""Run code and wait for it to end.

        With a callback, output is streamed if the session supports it. The result has the output
        as well, up to 16 MiB of each stream: ``truncated`` says that it lacks some. An exception in
        a callback ends the call.

        Args:
            code: The code to run.
            language: ``"python"``, ``"javascript"``, ``"r"`` or ``"java"``, in any case.
            timeout_s: Time limit in seconds or as a timedelta. Default 60 seconds.
            stream_beta: Stream the output without a callback too.
            on_stdout: Called with each chunk of standard output.
            on_stderr: Called with each chunk of standard error.
            on_error: Called with the error that ended the code.
            timeout: The same as `timeout_s`, under the name that other methods use.
            on_result: Called with each displayed result.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            InvalidArgumentError: `code` is blank, `language` is unknown, two timeouts are given, or
                the limit is above 60 seconds, there is no callback, and the session has no address
                of its own: the service ends a request then.

        Example:
            ::

                result = await session.code.run_code("x = 20\nx + 1")
                print(result.result, result.logs.stdout)
        """
        limit = _time_limit(timeout_s, timeout)
        args = _build_args(code, language, limit)
        callbacks = {
            "stdout": on_stdout,
            "stderr": on_stderr,
            "result": on_result,
            "error": on_error,
        }
        if stream_beta or any(callback is not None for callback in callbacks.values()):
            return await self._run_with_callbacks(args, limit, callbacks)
        return await self._run(args, limit)

    def stream(
        self,
        code: str,
        language: str = "python",
        *,
        timeout: float | timedelta | None = None,
    ) -> ClosingIterator[CodeEvent]:
        """Run code and yield events as they happen; the last is of kind ``"end"``.

        Code that fails yields an event of kind ``"error"``. Without a WebSocket, all events come at
        the end. Closing the iterator asks the session to stop the code; the local service does.

        Args:
            code: The code to run.
            language: As in :meth:`run_code`.
            timeout: Time limit in seconds or as a timedelta. Default 60 seconds.

        Raises:
            InvalidArgumentError: `code` is blank, or `language` is unknown.
            AgentBayError: It could not be run, or the connection was lost; raised while iterating.

        Example:
            ::

                async for event in session.code.stream("print('hi')"):
                    print(event.kind, event.text)
        """
        limit = _time_limit(None, timeout)
        return ClosingIterator(self._stream(_build_args(code, language, limit), limit))

    @returns_result(CodeResult)
    async def _run(self, args: dict[str, Any], limit: float) -> CodeResult:
        answer, request_id = await self._call(args, limit)
        return _build_result(answer.outcome, answer.failure, request_id, self._session_id)

    async def _call(self, args: dict[str, Any], limit: float) -> tuple[CodeAnswer, str]:
        timeout = limit + ANSWER_GRACE
        await check_one_request(
            self._api, self._session_id, "run_code", limit, _DEFAULT_TIMEOUT, _CURE
        )
        try:
            answer = await call_tool(self._api, self._session_id, "run_code", args, timeout)
        except ToolError as error:
            return _read_tool_error(error), error.request_id
        return parsing.parse_answer(answer.data), answer.request_id

    @returns_result(CodeResult)
    async def _run_with_callbacks(
        self,
        args: dict[str, Any],
        limit: float,
        callbacks: Mapping[str, Callable[[Any], Awaitable[None] | None] | None],
    ) -> CodeResult:
        collected = _Collected()
        request_id, events = await self._start(args, limit)
        async with aclosing(events):
            async for event in events:
                collected.add(event)
                callback = callbacks.get(event.kind)
                awaitable = None if callback is None else callback(_callback_argument(event))
                if awaitable is not None:
                    await awaitable
        return _build_result(collected.outcome, collected.failure, request_id, self._session_id)

    async def _stream(self, args: dict[str, Any], limit: float) -> AsyncGenerator[CodeEvent, None]:
        _, events = await self._start(args, limit)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _start(
        self, args: dict[str, Any], limit: float
    ) -> tuple[str, AsyncGenerator[CodeEvent, None]]:
        """Start code; return the id of the request, and the events."""
        access = await get_access(self._api, self._session_id)
        if not (access.ws_url and access.token):
            answer, request_id = await self._call(args, limit)
            return request_id, _iter_answer(answer)
        socket = await get_socket(self._api, self._session_id)
        server = access.tools.server_of("run_code") or _DEFAULT_SERVER
        stream = await socket.stream(server, _build_request(args))
        return stream.id, self._iter_stream(stream, limit)

    async def _iter_stream(self, stream: Stream, limit: float) -> AsyncGenerator[CodeEvent, None]:
        try:
            async with aclosing(_iter_events(stream, limit)) as events:
                async for event in events:
                    yield event
        except ConnectionLostError as error:
            # A session closes its connections when it ends.
            reason = await self._api.end_reason(self._session_id)
            if reason is None:
                raise
            gone = SessionNotFoundError(
                f"{self._session_id} ended while code ran", session_id=self._session_id
            )
            gone.ended(reason)
            raise gone from error

    # Names of the official client, from scripts/official_names.toml.
    run = run_code
    execute = run_code


def _time_limit(timeout_s: float | timedelta | None, timeout: float | timedelta | None) -> float:
    if timeout_s == _DEFAULT_TIMEOUT:
        timeout_s = None
    if timeout_s is not None and timeout is not None:
        raise InvalidArgumentError("timeout_s and timeout exclude each other; give one")
    if timeout_s is not None:
        return _check.seconds(timeout_s, "timeout_s")
    return _DEFAULT_TIMEOUT if timeout is None else _check.seconds(timeout, "timeout")


def _build_args(code: str, language: str, limit: float) -> dict[str, Any]:
    canonical = _LANGUAGES.get(_check.text(language, "language").lower())
    if canonical is None:
        raise InvalidArgumentError(
            f"language must be python, javascript, r or java, not {language!r}"
        )
    return {
        "code": _check.text(code, "code"),
        "language": canonical,
        # The session counts whole seconds, and reads 0 as "no limit".
        "timeout_s": max(1, round(limit)),
    }


def _build_request(args: dict[str, Any]) -> dict[str, Any]:
    """Return the request on the WebSocket for the arguments of the tool."""
    params = {
        "language": args["language"],
        "timeoutS": args["timeout_s"],
        "code": args["code"],
    }
    return {"method": "run_code", "mode": "stream", "params": params}


async def _iter_events(stream: Stream, limit: float) -> AsyncGenerator[CodeEvent, None]:
    deadline = anyio.current_time() + limit + ANSWER_GRACE
    failed = False
    try:
        while (data := await _next_frame(stream, deadline, limit)) is not None:
            event = parsing.parse_event(data)
            if event is None:
                continue
            # Some sessions report a failure only in the last frame, without a separate event.
            if event.kind == "end" and not failed and (failure := parsing.parse_failure(data)):
                yield CodeEvent("error", error=failure)
            failed = failed or event.kind == "error"
            yield event
    finally:
        await stream.aclose()


async def _next_frame(stream: Stream, deadline: float, limit: float) -> dict[str, Any] | None:
    with anyio.CancelScope(deadline=deadline):
        return await stream.next()
    raise RequestTimeoutError(f"run_code: no end within {limit:.3g} s")


async def _iter_answer(answer: CodeAnswer) -> AsyncGenerator[CodeEvent, None]:
    """Yield a complete answer as events."""
    outcome = answer.outcome
    for text in outcome.logs.stdout:
        yield CodeEvent("stdout", text=text)
    for text in outcome.logs.stderr:
        yield CodeEvent("stderr", text=text)
    for result in outcome.results:
        yield CodeEvent("result", result=result)
    if answer.failure is not None:
        yield CodeEvent("error", error=answer.failure)
    count, time = outcome.execution_count, outcome.execution_time
    cut = outcome.truncated
    yield CodeEvent("end", execution_count=count, execution_time=time, truncated=cut)


# Characters that count for a result besides its formats, because it may have none.
_RESULT_SIZE = 200


class _Collected:
    """What streamed code has written and shown, as far as a result keeps it.

    Attributes:
        outcome: The output.
        failure: The error that ended the code, or ``None``.
    """

    def __init__(self) -> None:
        self.outcome = CodeOutcome()
        self.failure: CodeFailure | None = None
        self._room: dict[str, int] = dict.fromkeys(("stdout", "stderr", "result"), MAX_OUTPUT)
        self._is_cut = False

    def add(self, event: CodeEvent) -> None:
        """Keep an event; of text that is too long, keep the beginning."""
        room = self._room.get(event.kind)
        if room is not None:
            if _size_of(event) > room:
                self._is_cut = True
                event = attrs.evolve(event, text=event.text[:room], result=None)
            self._room[event.kind] = room - _size_of(event)
        self.outcome = _add_event(self.outcome, event)
        self.failure = event.error or self.failure
        if self._is_cut and not self.outcome.truncated:
            self.outcome = attrs.evolve(self.outcome, truncated=True)


def _size_of(event: CodeEvent) -> int:
    found = event.result
    formats = () if found is None else (getattr(found, name) for name in found.formats())
    shown = 0 if found is None else _RESULT_SIZE + sum(len(str(value)) for value in formats)
    return len(event.text) + shown


def _callback_argument(event: CodeEvent) -> object:
    return {"result": event.result, "error": event.error}.get(event.kind, event.text)


def _add_event(outcome: CodeOutcome, event: CodeEvent) -> CodeOutcome:
    """Return the outcome with the output of an event."""
    if event.kind in ("stdout", "stderr"):
        if event.text:
            getattr(outcome.logs, event.kind).append(event.text)
    elif event.result is not None:
        outcome.results.append(event.result)
    elif event.kind == "end":
        return attrs.evolve(
            outcome,
            execution_count=event.execution_count,
            execution_time=event.execution_time,
            truncated=event.truncated,
        )
    return outcome


def _read_tool_error(error: ToolError) -> CodeAnswer:
    """Return the answer that the tool sent as an error, because the code failed.

    Raises:
        CodeError: The text is not such an answer: the code did not run.
    """
    answer = parsing.parse_document(error.message)
    if answer is None:
        failure = CodeFailure("ExecutionError", error.message)
        raise _code_error(failure, error.request_id, error.session_id) from None
    failure = answer.failure or CodeFailure("ExecutionError", NO_REASON)
    return CodeAnswer(answer.outcome, failure)


def _build_result(
    outcome: CodeOutcome, failure: CodeFailure | None, request_id: str, session_id: str
) -> CodeResult:
    if failure is None:
        return CodeResult.ok(outcome, request_id)
    return CodeResult(outcome, _code_error(failure, request_id, session_id), request_id)


def _code_error(failure: CodeFailure, request_id: str, session_id: str) -> CodeError:
    message = ": ".join(part for part in (failure.name, failure.value) if part)
    error = CodeError(
        message or "the code failed",
        request_id=request_id,
        session_id=session_id,
        hint=failure.hint,
    )
    error.name, error.value, error.traceback = failure.name, failure.value, failure.traceback
    return error
