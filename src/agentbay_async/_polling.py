"""Poll with exponential backoff."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from agentbay_async.errors import OperationTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async._clock import Clock

T = TypeVar("T")

_FIRST = 0.05
_FACTOR = 1.5
_CAP = 2.0
# Seconds for the answer to a question that is asked at the end of the wait.
_LAST_ANSWER = 1.0


async def poll(
    ask: Callable[[], Awaitable[T]],
    done: Callable[[T], bool],
    *,
    clock: Clock,
    timeout: float,
    what: str,
    interval: float | None = None,
) -> T:
    """Call `ask` until `done` accepts its answer, and return that answer.

    Args:
        ask: Fetches the state; its errors end the wait. It is cancelled when the time is over, but
            has at least a second.
        done: Returns whether a state is the wanted one.
        clock: Time.
        timeout: Seconds to wait in all.
        what: What is waited for, for the error message.
        interval: Longest pause between two polls, in seconds. Default 2.

    Raises:
        OperationTimeoutError: `done` did not accept an answer in time.
    """
    deadline = clock.monotonic() + timeout
    cap = _CAP if interval is None else interval
    pause = min(_FIRST, cap)
    remaining = timeout
    while True:
        with anyio.move_on_after(max(remaining, _LAST_ANSWER)):
            answer = await ask()
            if done(answer):
                return answer
        remaining = deadline - clock.monotonic()
        if remaining <= 0:
            raise OperationTimeoutError(f"{what} was not finished within {timeout:g} s")
        await clock.sleep(min(pause, remaining))
        pause = min(pause * _FACTOR, cap)
