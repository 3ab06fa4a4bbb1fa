"""The way to run code in sessions: one shell for each session and language, started when asked.

Calls for the same shell wait for each other; those of other sessions and languages do not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from agentbay_local.code import languages
from agentbay_local.code.events import CodeOutcome, Event
from agentbay_local.code.execution import Execution
from agentbay_local.code.frames import LARGEST
from agentbay_local.code.kernel import Kernel
from agentbay_local.sandbox.checks import checked_environment, checked_timeout
from agentbay_local.sandbox.errors import InvalidRequest, SandboxGone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from agentbay_local.sandbox.base import Sandbox

__all__ = ["DEFAULT_TIMEOUT", "Kernels"]

DEFAULT_TIMEOUT = 60.0
"""Seconds a piece of code has unless the caller says otherwise."""

# As ASCII a character takes six bytes at most; the frame holds the variables, too.
_LONGEST = LARGEST // 8


@attrs.define(eq=False)
class _Seat:
    """The place of one shell.

    Attributes:
        turn: Held by the code that runs.
        worker: The shell; None before the first call, and after its end has been told.
        closed: The session has ended.
    """

    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    worker: Kernel | None = None
    closed: bool = False


class Kernels:
    """Runs code in the sandboxes of sessions.

    Args:
        sandbox: Returns the live sandbox of a session, started with `languages.read_only` among
            its directories.

    Example:
        >>> runner = Kernels(sandboxes.get)  # doctest: +SKIP
        >>> (await runner.run("s-1", "python", "1 + 1")).results[0].mime  # doctest: +SKIP
        {'text/plain': '2'}
    """

    def __init__(self, sandbox: Callable[[str], Awaitable[Sandbox]]) -> None:
        self._sandbox = sandbox
        self._seats: dict[tuple[str, str], _Seat] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(
        self,
        session: str,
        language: str,
        code: str,
        timeout: float = DEFAULT_TIMEOUT,
        env: Mapping[str, str] | None = None,
    ) -> CodeOutcome:
        """Run code to its end and return all that came out; the rest is as in `stream`."""
        events = [event async for event in self.stream(session, language, code, timeout, env)]
        return CodeOutcome.of(events)

    async def stream(
        self,
        session: str,
        language: str,
        code: str,
        timeout: float = DEFAULT_TIMEOUT,
        env: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Run code and yield what comes out as it comes; the last event is `Ended`.

        Whoever stops reading, by closing the iterator or by a cancellation, interrupts the code.

        Args:
            session: Id of the session.
            language: One of the names of `languages.canonical`.
            code: The source.
            timeout: Seconds until the code is interrupted; the wait for other calls is not
                counted. What ignores the interrupt is killed, and the state is lost.
            env: Variables of the session, set in the shell before the code runs.

        Raises:
            ToolFailure: There is no such language, or it is not installed.
            InvalidRequest: An argument cannot be used.
            SandboxError: The session is gone or paused.
        """
        cell = Execution(
            _checked(code), checked_environment(env), checked_timeout("timeout", timeout)
        )
        work = self._perform(session, languages.canonical(language), cell)
        task = asyncio.create_task(work, name=f"code in {session}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async for event in cell.events():
                yield event
        finally:
            cell.abandon()

    async def close(self, session: str) -> None:
        """End the shells of a session, and what runs in them. Repeatable."""
        for key in [key for key in self._seats if key[0] == session]:
            seat = self._seats.pop(key)
            seat.closed = True
            if seat.worker is not None:
                await seat.worker.close()

    async def close_all(self) -> None:
        """End every shell of every session, and wait for what is under way."""
        for session in {session for session, _ in self._seats}:
            await self.close(session)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _perform(self, session: str, language: str, cell: Execution) -> None:
        seat = self._seats.setdefault((session, language), _Seat())
        try:
            async with seat.turn:
                if not cell.abandoned.done():
                    worker = await self._seated(session, language, seat, cell)
                    await worker.run(cell)
                    if worker.gone.is_set():
                        seat.worker = None  # which has been told
        except Exception as error:
            cell.refuse(error)
        except asyncio.CancelledError:
            cell.refuse(SandboxGone("the service is stopping"))
            raise

    async def _seated(self, session: str, language: str, seat: _Seat, cell: Execution) -> Kernel:
        """Return the shell, a new one when there is none or when the old one has ended."""
        sandbox = None if seat.closed else await self._sandbox(session)
        if sandbox is None or seat.closed:
            raise SandboxGone("the session has ended")
        if seat.worker is not None and not seat.worker.serves(sandbox):
            # It ended while nothing ran, so nobody has been told.
            cell.restarted(language)
            await seat.worker.close()
            seat.worker = None
        if seat.worker is None:
            command = languages.command(language, sandbox.isolation)
            worker = await Kernel.start(sandbox, command)
            if seat.closed:
                await worker.close()
                raise SandboxGone("the session has ended")
            seat.worker = worker
        return seat.worker


def _checked(code: str) -> str:
    try:
        size = len(code.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest("code", "must be text, but has half a surrogate pair") from error
    if size > _LONGEST:
        raise InvalidRequest("code", f"must be at most {_LONGEST} bytes long; write it to a file")
    return code
