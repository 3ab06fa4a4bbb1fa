"""Clock: the seam for time, so that a wait of five minutes takes a millisecond in tests; polling.

Everything in this library that waits or reads the time does so through a :class:`Clock`. The
exception is the timeout of one HTTP exchange. It guards against a peer that does not answer, and
runs on the event loop's clock.
"""

from __future__ import annotations

from time import monotonic as _monotonic
from time import time as _time
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio

from agentbay_async.errors import OperationTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

# Seconds until the second look of a poll; the growth of each pause; and the longest one.
_FIRST = 0.02
_FACTOR = 1.75
_CAP = 2.0
# Seconds for the answer to a question that is asked at the end of the wait.
_LAST_ANSWER = 1.0


class Clock(Protocol):
    """Interface of a clock.

    Example:
        A clock for tests, which does not wait::

            class Instant:
                def __init__(self) -> None:
                    self.now = 0.0

                def time(self) -> float:
                    return self.now

                def monotonic(self) -> float:
                    return self.now

                async def sleep(self, seconds: float) -> None:
                    self.now += seconds
    """

    def time(self) -> float:
        """Return the seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...


class SystemClock:
    """The clock of the machine."""

    # The functions themselves: every call reads a clock several times.
    time = staticmethod(_time)
    monotonic = staticmethod(_monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        await anyio.sleep(seconds)


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
