"""Kernels of all sessions: start them on demand and run code in them.

Each session has one kernel a language. Executions in the same kernel wait for each other; those of
other sessions and languages do not.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import attrs

from agentbay_local.code import languages
from agentbay_local.code.events import CodeOutcome, Event
from agentbay_local.code.execution import Execution
from agentbay_local.code.frames import MAX_FRAME
from agentbay_local.code.kernel import Kernel
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.checks import check_environment, check_timeout
from agentbay_local.sandbox.errors import InvalidRequest, SandboxError, SandboxGone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from agentbay_local.sandbox.base import Sandbox

__all__ = ["DEFAULT_TIMEOUT", "Kernels"]

DEFAULT_TIMEOUT = 60.0
"""Default time limit of an execution in seconds."""

# A byte of code takes at most six bytes of ASCII JSON, and the frame also holds the variables.
_MAX_CODE = MAX_FRAME // 8


@attrs.define(eq=False)
class _Slot:
    """The kernel of one session and language.

    Attributes:
        lock: Held by the execution that runs.
        kernel: None before the first execution, and after an exit that was reported.
        closed: Whether the session has ended.
    """

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    kernel: Kernel | None = None
    closed: bool = False


class Kernels:
    """Runs code in the sandboxes of sessions.

    Args:
        get_sandbox: Returns the live sandbox of a session, which must have the directories of
            `languages.read_only_mounts`.

    Example:
        >>> kernels = Kernels(sandboxes.get)  # doctest: +SKIP
        >>> (await kernels.run("s-1", "python", "1 + 1")).results[0].mime  # doctest: +SKIP
        {'text/plain': '2'}
    """

    def __init__(self, get_sandbox: Callable[[str], Awaitable[Sandbox]]) -> None:
        self._get_sandbox = get_sandbox
        self._slots: dict[tuple[str, str], _Slot] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(
        self,
        session_id: str,
        language: str,
        code: str,
        timeout: float = DEFAULT_TIMEOUT,
        env: Mapping[str, str] | None = None,
    ) -> CodeOutcome:
        """Run code to its end and return its output; arguments and errors as for `stream`."""
        events = [event async for event in self.stream(session_id, language, code, timeout, env)]
        return CodeOutcome.from_events(events)

    async def stream(
        self,
        session_id: str,
        language: str,
        code: str,
        timeout: float = DEFAULT_TIMEOUT,
        env: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Run code and yield its events as they come; the last one is `ExecutionEnd`.

        Closing the iterator, or cancelling its reader, interrupts the code.

        Args:
            session_id: Id of the session.
            language: A name that `languages.canonical_name` knows.
            code: The source.
            timeout: Seconds until the code is interrupted, without the wait for earlier
                executions. If the code ignores the interrupt, the kernel is killed and its state
                is lost.
            env: Variables of the session, set in the kernel before the code runs.

        Raises:
            ToolError: The language is unknown or not installed.
            InvalidRequest: An argument is invalid.
            SandboxError: The session has ended or is paused.
        """
        _check_code(code)
        seconds = check_timeout("timeout", timeout)
        execution = Execution(code, check_environment(env), seconds)
        work = self._execute(session_id, languages.canonical_name(language), execution)
        task = asyncio.create_task(work, name=f"code in {session_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async for event in execution.events():
                yield event
        finally:
            execution.abandon()

    async def prepare(self, session_id: str, language: str) -> None:
        """Start a kernel before there is code for it.

        If it does not start, nothing is raised: the first code tries again, and reports the reason.

        Args:
            session_id: Id of the session.
            language: A canonical name.
        """
        slot = self._slots.setdefault((session_id, language), _Slot())
        async with slot.lock:
            with contextlib.suppress(ToolError, SandboxError, ApiError):
                await self._get_kernel(session_id, language, slot)

    async def close(self, session_id: str) -> None:
        """Kill the kernels of a session. Idempotent."""
        for key in [key for key in self._slots if key[0] == session_id]:
            slot = self._slots.pop(key)
            slot.closed = True
            if slot.kernel is not None:
                slot.kernel.fail(SandboxGone("the session has ended"))
                await slot.kernel.close()

    async def close_all(self) -> None:
        """Kill all kernels, and wait for the executions to end."""
        for session_id in {session_id for session_id, _ in self._slots}:
            await self.close(session_id)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _execute(self, session_id: str, language: str, execution: Execution) -> None:
        slot = self._slots.setdefault((session_id, language), _Slot())
        try:
            async with slot.lock:
                if not execution.abandoned.done():
                    kernel = await self._get_kernel(session_id, language, slot, execution)
                    await kernel.run(execution)
                    if kernel.exited.is_set():
                        slot.kernel = None  # this execution has reported the loss
        except Exception as error:
            execution.fail(error)
        except asyncio.CancelledError:
            execution.fail(SandboxGone("the service is stopping"))
            raise

    async def _get_kernel(
        self, session_id: str, language: str, slot: _Slot, execution: Execution | None = None
    ) -> Kernel:
        """Return the live kernel of a slot, starting one if needed."""
        sandbox = None if slot.closed else await self._get_sandbox(session_id)
        # The session may end during either await, so the flag is read again after each.
        if sandbox is None or slot.closed:
            raise SandboxGone("the session has ended")
        if slot.kernel is not None and not slot.kernel.is_alive_in(sandbox):
            # It exited between executions, so no caller has learned of the lost state yet.
            if execution is not None and slot.kernel.used:
                execution.report_restart(language)
            await slot.kernel.close()
            slot.kernel = None
        if slot.kernel is None:
            command = languages.kernel_command(language, sandbox)
            kernel = await Kernel.start(sandbox, command)
            if slot.closed:
                await kernel.close()
                raise SandboxGone("the session has ended")
            slot.kernel = kernel
        return slot.kernel


def _check_code(code: str) -> None:
    try:
        size = len(code.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest("code", "must be text, but has half a surrogate pair") from error
    if size > _MAX_CODE:
        message = f"must be at most {_MAX_CODE} bytes long; write it to a file"
        raise InvalidRequest("code", message)
