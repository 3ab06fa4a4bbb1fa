"""The browsers of all sessions: one each, started when it is wanted."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING

import attrs

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import SandboxError, SandboxGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import Any

    from agentbay_local.browser.chromium import Chromium
    from agentbay_local.browser.model import BrowserModel
    from agentbay_local.browser.options import BrowserOptions
    from agentbay_local.sandbox.base import Sandbox

__all__ = ["Browsers"]

_log = logging.getLogger(__name__)

_TASKS_KEPT = 100


@attrs.define(eq=False)
class _Slot:
    """The browser of one session.

    Attributes:
        lock: Held while it starts or ends.
        browser: The last one that was started; None before that, and after `Browsers.stop`.
        options: Those of the last start.
        closed: Whether the session has ended.
        tasks: Work of tools on its pages, by id, the oldest first.
    """

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    browser: Chromium | None = None
    options: BrowserOptions | None = None
    closed: bool = False
    tasks: dict[str, asyncio.Task[str]] = attrs.field(factory=dict)


class Browsers:
    """Starts and ends the browsers of sessions.

    Args:
        get_sandbox: Returns the live sandbox of a session.
        variables: Returns the environment variables of a session.
        keeps_files: Returns whether a session has contexts, which may keep the browser's profile.
        model: Says what tools do that are given words, or None.

    Attributes:
        model: The same.
    """

    def __init__(
        self,
        get_sandbox: Callable[[str], Awaitable[Sandbox]],
        variables: Callable[[str], Mapping[str, str]],
        keeps_files: Callable[[str], bool],
        model: BrowserModel | None = None,
    ) -> None:
        self.model = model
        self._get_sandbox = get_sandbox
        self._variables = variables
        self._keeps_files = keeps_files
        self._slots: dict[str, _Slot] = {}

    async def start(self, session_id: str, options: BrowserOptions | None = None) -> Chromium:
        """Return the running browser of a session, and start one if there is none.

        Args:
            session_id: The session.
            options: For a browser that is started; None for those of the last start, or the
                defaults. A running browser stays as it is.

        Raises:
            BrowserStartError: It does not start; the text says why.
            SandboxError: The session has ended or is paused.
        """
        slot = self._slots.setdefault(session_id, _Slot())
        if slot.browser is not None and slot.browser.is_alive:
            return slot.browser
        async with slot.lock:
            if slot.browser is None or not slot.browser.is_alive:
                await self._restart(session_id, slot, options)
            if slot.browser is None:
                raise SandboxGone("the session has ended")
            return slot.browser

    def alive(self, session_id: str) -> Chromium | None:
        """Return the browser of a session if it is running."""
        slot = self._slots.get(session_id)
        browser = slot.browser if slot is not None else None
        return browser if browser is not None and browser.is_alive else None

    async def stop(self, session_id: str) -> bool:
        """End the browser of a session, with its profile on disk; return whether one was running.

        The next browser of the session gets the default options.
        """
        slot = self._slots.get(session_id)
        if slot is None:
            return False
        async with slot.lock:
            browser, slot.browser, slot.options = slot.browser, None, None
            was_alive = browser is not None and browser.is_alive
            if browser is not None:
                await browser.close(graceful=True)
            return was_alive

    async def flush(self, session_id: str) -> None:
        """Let a running browser write its cookies to its profile; without one, do nothing."""
        browser = self.alive(session_id)
        if browser is None:
            return
        try:
            await browser.flush()
        except SandboxError as error:
            _log.warning("the browser of %s did not write its cookies: %s", session_id, error)

    def start_task(
        self, session_id: str, work: Coroutine[Any, Any, str]
    ) -> tuple[str, asyncio.Task[str]]:
        """Start work of a tool, whose result is asked for later; return its id and its task."""
        tasks = self._slots.setdefault(session_id, _Slot()).tasks
        while len(tasks) >= _TASKS_KEPT:
            tasks.pop(next(iter(tasks))).cancel()
        task = asyncio.create_task(work, name=f"browser task in {session_id}")
        # Retrieved, so that asyncio logs nothing if nobody asks.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task_id = uuid.uuid4().hex
        tasks[task_id] = task
        return task_id, task

    def task(self, session_id: str, task_id: str) -> asyncio.Task[str]:
        """Return a task of a session.

        Raises:
            ToolError: There is no such task.
        """
        slot = self._slots.get(session_id)
        found = slot.tasks.get(task_id) if slot is not None else None
        if found is None:
            raise ToolError(f"there is no task {task_id!r:.80}")
        return found

    def end_tasks(self, session_id: str) -> None:
        """End the tasks of a session, and forget them."""
        slot = self._slots.get(session_id)
        while slot is not None and slot.tasks:
            slot.tasks.popitem()[1].cancel()

    async def close(self, session_id: str) -> None:
        """End the browser of a session that ends. Idempotent.

        Its profile is completed only if a context may keep it.
        """
        self.end_tasks(session_id)
        slot = self._slots.pop(session_id, None)
        if slot is None:
            return
        slot.closed = True
        if slot.browser is not None:
            await slot.browser.close(graceful=self._keeps_files(session_id))

    async def _restart(self, session_id: str, slot: _Slot, options: BrowserOptions | None) -> None:
        # Reading options and talking to a browser need modules that other services never import.
        from agentbay_local.browser.chromium import Chromium
        from agentbay_local.browser.options import BrowserOptions

        if slot.browser is not None:
            _log.warning("the browser of %s is started again: %s", session_id, slot.browser.end)
            await slot.browser.close()
            slot.browser = None
        wanted = options or slot.options or BrowserOptions()
        sandbox = await self._get_sandbox(session_id)
        browser = await Chromium.start(sandbox, wanted, self._variables(session_id))
        if slot.closed:
            await browser.close()
            raise SandboxGone("the session has ended")
        slot.browser, slot.options = browser, wanted
