"""One piece of code on its way: what was asked, and what has come out of it until now."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from agentbay_local.code.events import Ended, Event, Failed, Printed, Shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["Execution"]

_OUTPUT_LIMIT = 16 * 1024 * 1024
_RESULTS_LIMIT = 32 * 1024 * 1024
# What an event weighs besides its content.
_LEAST = 64


class Execution:
    """One execution, written by a worker and read by whoever asked for it.

    Args:
        code: The source.
        env: Variables of the session.
        seconds: Time it has.

    Attributes:
        over: Done when the worker has no more to do with it.
        abandoned: Done when nobody reads any more.
        interrupted: It was told to stop.
        killed: It did not, so its shell was killed.
    """

    def __init__(self, code: str, env: Mapping[str, str], seconds: float) -> None:
        self.code = code
        self.env = env
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self.abandoned: asyncio.Future[None] = self._loop.create_future()
        self.interrupted = False
        self.killed = False
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._began = self._loop.time()
        self._room = {"stdout": _OUTPUT_LIMIT, "stderr": _OUTPUT_LIMIT, "results": _RESULTS_LIMIT}
        self._truncated = False
        self._error: Failed | None = None
        self._state_lost = False

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events as they come; `Ended` is the last.

        Raises:
            Exception: What kept the code from being started.
        """
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Ended):
                return

    def abandon(self) -> None:
        """Say that nobody reads any more; what runs is interrupted. Repeatable."""
        if not self.abandoned.done():
            self.abandoned.set_result(None)

    def refuse(self, error: Exception) -> None:
        """End it before it was started."""
        self._events.put_nowait(error)

    def begin(self) -> None:
        """Count the time from now on."""
        self._began = self._loop.time()

    def restarted(self, language: str) -> None:
        """Say first of all that the state of earlier calls is gone."""
        self._state_lost = True
        why = f"The {language} shell of this session had ended and was started anew: "
        self.printed(Printed("stderr", f"{why}variables and imports of earlier calls are lost.\n"))

    def printed(self, printed: Printed) -> None:
        """Take what was printed, as far as there is room."""
        if self._taken(printed.stream, len(printed.text) + _LEAST):
            self._events.put_nowait(printed)

    def shown(self, shown: Shown) -> None:
        """Take a display, as far as there is room."""
        size = sum(len(kind) + _size(value) for kind, value in shown.mime.items())
        if self._taken("results", size + _LEAST):
            self._events.put_nowait(shown)

    def failed(self, failed: Failed) -> None:
        """Take an error; whether the code ends with it is told by `done`."""
        if self._error is not None:
            self._trace(self._error)
        self._error = failed

    def done(self, count: int, *, failed: bool, interrupted: bool) -> None:
        """Take the news that it has ended by itself.

        Args:
            count: Its number in the shell.
            failed: It ended with an error.
            interrupted: The interrupt reached it.
        """
        timed_out = interrupted and self.interrupted
        error = self._error
        if error is not None:
            self._trace(error)
        if timed_out:
            error = self._timeout(" and was interrupted; the state is kept", error)
        elif not failed:
            error = None
        elif error is None:
            error = Failed("Error", "the code failed without saying why")
        self._end(count, error, timed_out=timed_out)

    def lost(self, status: int | None) -> None:
        """Take the news that its shell has ended, and the state of the session's code with it.

        Args:
            status: The exit code of the shell, if there is one.
        """
        if self.over.done():
            return
        if self._error is not None:
            self._trace(self._error)
        self._state_lost = True
        if self.killed:
            how = ", ignored the interrupt and was killed; variables and imports are lost"
            error = self._timeout(how, self._error)
        else:
            how = "" if status is None else f" with {_told(status)}"
            error = Failed(
                "ShellEnded",
                f"the shell that ran the code ended{how}; variables and imports are lost, "
                f"and the next call starts a new one",
            )
        self._end(0, error, timed_out=self.killed)

    def _timeout(self, how: str, cause: Failed | None) -> Failed:
        trace = cause.traceback if cause else ""
        return Failed("TimeoutError", f"the code ran longer than {self.seconds:g} s{how}", trace)

    def _trace(self, failed: Failed) -> None:
        self.printed(Printed("stderr", (failed.traceback or str(failed)) + "\n"))

    def _end(self, count: int, error: Failed | None, *, timed_out: bool) -> None:
        if error is not None:
            self._events.put_nowait(error)
        ended = Ended(
            count=count,
            seconds=round(self._loop.time() - self._began, 6),
            error=error,
            timed_out=timed_out,
            state_lost=self._state_lost,
            truncated=self._truncated,
        )
        self._events.put_nowait(ended)
        self.over.set_result(None)

    def _taken(self, what: str, size: int) -> bool:
        """Say whether there is room for something, and take it; what is too much is left out."""
        if size > self._room[what]:
            self._room[what], self._truncated = 0, True
            return False
        self._room[what] -= size
        return True


def _size(value: object) -> int:
    return len(value) if isinstance(value, str) else len(repr(value))


def _told(status: int) -> str:
    if status <= 128:
        return f"exit code {status}"
    try:
        return f"signal {signal.Signals(status - 128).name}"
    except ValueError:
        return f"exit code {status}"
