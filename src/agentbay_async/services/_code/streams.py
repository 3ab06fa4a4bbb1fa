"""What happens while code runs, told as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from agentbay_async.errors import RequestTimeoutError
from agentbay_async.models.code import CodeEvent
from agentbay_async.services._code.answers import CodeAnswer, read_event, read_failure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from agentbay_async._transport.websocket import Stream

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
