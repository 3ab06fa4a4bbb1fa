"""One execution of code: its source, its state and the events that it has emitted so far."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol.codec import compact_json
from agentbay_local.code.events import (
    DisplayOutput,
    ErrorOutput,
    Event,
    ExecutionEnd,
    StreamOutput,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["Execution"]

# Bounds for what an untrusted session can make the service hold in memory.
_OUTPUT_LIMIT = 16 * 1024 * 1024
_RESULTS_LIMIT = 32 * 1024 * 1024
# Each event counts at least this much, or a million empty ones would cost nothing.
_EVENT_OVERHEAD = 64
# What the image code_latest has in the cloud; here it is optional.
_SCIENCE = re.compile(r"No module named '(matplotlib|numpy|pandas)'")


class Execution:
    """A queue of events, filled by a kernel and read by the caller.

    Args:
        code: The source.
        env: Variables of the session.
        seconds: Time limit.

    Attributes:
        finished: Done when the kernel has no more to do with it.
        abandoned: Done when the caller no longer reads.
        interrupted: Whether the kernel was sent an interrupt.
        killed: Whether the kernel ignored the interrupt and was killed.
    """

    def __init__(self, code: str, env: Mapping[str, str], seconds: float) -> None:
        self.code = code
        self.env = env
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self._loop.create_future()
        self.abandoned: asyncio.Future[None] = self._loop.create_future()
        self.interrupted = False
        self.killed = False
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._started_at = self._loop.time()
        self._budget = {"stdout": _OUTPUT_LIMIT, "stderr": _OUTPUT_LIMIT, "results": _RESULTS_LIMIT}
        self._truncated = False
        self._error: ErrorOutput | None = None
        self._state_lost = False

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events as they come; `ExecutionEnd` is the last.

        Raises:
            Exception: The code could not be started, or its session has ended.
        """
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, ExecutionEnd):
                return

    def abandon(self) -> None:
        """Stop reading; running code is interrupted. Idempotent."""
        if not self.abandoned.done():
            self.abandoned.set_result(None)

    def fail(self, error: Exception) -> None:
        """Make `events` raise, because the code could not be started or its session has ended."""
        self._events.put_nowait(error)
        if not self.finished.done():
            self.finished.set_result(None)

    def start_timer(self) -> None:
        """Measure the running time from now on."""
        self._started_at = self._loop.time()

    def report_restart(self, language: str) -> None:
        """Emit a notice that the kernel was restarted and its state is lost."""
        self._state_lost = True
        text = (
            f"The {language} kernel of this session had ended and was restarted: "
            "variables and imports of earlier calls are lost.\n"
        )
        self.add_output(StreamOutput("stderr", text))

    def add_output(self, output: StreamOutput) -> None:
        """Emit text, or discard it when the limit is reached."""
        # By its size in JSON, in which a character may take twelve bytes.
        if self._reserve(output.stream, len(compact_json(output.text)) + _EVENT_OVERHEAD):
            self._events.put_nowait(output)

    def add_display(self, display: DisplayOutput, size: int) -> None:
        """Emit a display of some bytes, or discard it when the limit is reached."""
        if self._reserve("results", size + _EVENT_OVERHEAD):
            self._events.put_nowait(display)

    def add_error(self, error: ErrorOutput) -> None:
        """Remember an error; `finish` decides whether the code ended with it."""
        if self._error is not None:
            self._add_traceback(self._error)
        self._error = error

    def finish(self, count: int, *, failed: bool, interrupted: bool) -> None:
        """End the execution as its kernel reports it.

        Args:
            count: Number of the execution in the kernel.
            failed: Whether the code ended with an error.
            interrupted: Whether the interrupt reached the code.
        """
        timed_out = interrupted and self.interrupted
        error = self._error
        if error is not None:
            self._add_traceback(error)
        if timed_out:
            error = self._timeout_error(" and was interrupted; the state is kept", error)
        elif not failed:
            error = None
        elif error is None:
            error = ErrorOutput("Error", "the code failed without a reason")
        else:
            error = _with_hint(error)
        self._end(count, error, timed_out=timed_out)

    def kernel_exited(self, status: int | None) -> None:
        """End the execution because its kernel has exited, which loses the state.

        Args:
            status: Exit code of the kernel, if known.
        """
        if self.finished.done():
            return
        if self._error is not None:
            self._add_traceback(self._error)
        self._state_lost = True
        if self.killed:
            outcome = ", ignored the interrupt and was killed; variables and imports are lost"
            error = self._timeout_error(outcome, self._error)
        else:
            reason = "" if status is None else f" with {_describe_exit(status)}"
            error = ErrorOutput(
                "ShellEnded",
                f"the kernel that ran the code ended{reason}; variables and imports are lost, "
                f"and the next call starts a new one",
            )
        self._end(0, error, timed_out=self.killed)

    def _timeout_error(self, outcome: str, cause: ErrorOutput | None) -> ErrorOutput:
        message = f"the code ran longer than {self.seconds:g} s{outcome}"
        return ErrorOutput("TimeoutError", message, cause.traceback if cause else "")

    def _add_traceback(self, error: ErrorOutput) -> None:
        self.add_output(StreamOutput("stderr", (error.traceback or str(error)) + "\n"))

    def _end(self, count: int, error: ErrorOutput | None, *, timed_out: bool) -> None:
        if error is not None:
            self._events.put_nowait(error)
        end = ExecutionEnd(
            count=count,
            seconds=round(self._loop.time() - self._started_at, 6),
            error=error,
            timed_out=timed_out,
            state_lost=self._state_lost,
            truncated=self._truncated,
        )
        self._events.put_nowait(end)
        self.finished.set_result(None)

    def _reserve(self, kind: str, size: int) -> bool:
        """Charge output to its budget; return False when it does not fit."""
        if size > self._budget[kind]:
            # Nothing after it fits either, or the output would have holes.
            self._budget[kind], self._truncated = 0, True
            return False
        self._budget[kind] -= size
        return True


def _with_hint(error: ErrorOutput) -> ErrorOutput:
    """Say of a package that the cloud has how to add it here."""
    missing = _SCIENCE.fullmatch(error.value)
    if missing is None or error.name != "ModuleNotFoundError":
        return error
    return attrs.evolve(
        error,
        value=f"{error.value}. Sessions of the local service have {missing[1]} if it is installed "
        "in the environment of the service: pip install 'agentbay-async[science]'",
    )


def _describe_exit(status: int) -> str:
    if status <= 128:
        return f"exit code {status}"
    try:
        return f"signal {signal.Signals(status - 128).name}"
    except ValueError:
        return f"exit code {status}"
