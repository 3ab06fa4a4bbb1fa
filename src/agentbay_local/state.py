"""What the rules work on: the parts of one running service, handed to every handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_local.protocol.errors import no_context, no_session, required, wrong_state
from agentbay_local.store import states
from agentbay_local.tools.tool_context import ToolContext

if TYPE_CHECKING:
    from agentbay_local.background_tasks import BackgroundTasks
    from agentbay_local.clock import Clock
    from agentbay_local.code import Kernels
    from agentbay_local.contexts.context_store import ContextStore
    from agentbay_local.contexts.sync import SyncService
    from agentbay_local.protocol.paging import Pages
    from agentbay_local.protocol.signing import Signer
    from agentbay_local.sessions.lifecycle import Lifecycle
    from agentbay_local.sessions.sandboxes import Sandboxes
    from agentbay_local.store import Context, Session, Store
    from agentbay_local.testing.instruments import Instruments
    from agentbay_local.tools.tool_state import ToolStates

__all__ = ["ServiceState"]


@attrs.define
class ServiceState:
    """One service's parts.

    Attributes:
        store: What it remembers.
        clock: Where it reads time.
        signer: What it signs with.
        background: Work that outlives an answer.
        sandboxes: Where sessions live.
        files: The files of contexts.
        syncing: What moves files between the two.
        lifecycle: What ends, pauses and resumes sessions.
        memories: What the tools of sessions remember.
        code: What runs code in sessions.
        kit: The instruments of tests.
        pages: Sizes and tokens of pages.
        endpoint: ``http://HOST:PORT``, for the URLs it hands out.
    """

    store: Store
    clock: Clock
    signer: Signer
    background: BackgroundTasks
    sandboxes: Sandboxes
    files: ContextStore
    syncing: SyncService
    lifecycle: Lifecycle
    memories: ToolStates
    code: Kernels
    kit: Instruments
    pages: Pages
    endpoint: str = ""

    def session(self, session_id: str | None) -> Session:
        """Return a session that is not finished.

        Raises:
            Problem: The id is missing, unknown, or of a released session.
        """
        session = self.store.sessions.get(required(session_id, "SessionId"))
        if session is None or session.status not in states.LIVE:
            raise no_session()
        return session

    def running(self, session_id: str | None) -> Session:
        """Return a session that can work now, and count it as used.

        Raises:
            Problem: As `session`, or it is paused or being released.
        """
        session = self.session(session_id)
        if session.status == states.DELETING:
            raise wrong_state(session.status, "it is being released")
        if session.status != states.RUNNING:
            raise wrong_state(session.status, "resume it and wait until it is RUNNING")
        self.lifecycle.touch(session)
        return session

    async def workplace(self, session: Session) -> ToolContext:
        """Return where the tools of a session work, with its sandbox started.

        Raises:
            Problem: The sandbox does not start.
        """
        sandbox = await self.sandboxes.get(session.id)
        return ToolContext(session.id, sandbox, self.memories.of(session.id), self.code)

    def context(self, context_id: str | None, name: str = "ContextId") -> Context:
        """Return a context.

        Raises:
            Problem: The id is missing or unknown.
        """
        wanted = required(context_id, name)
        context = self.store.contexts.get(wanted)
        if context is None:
            raise no_context(wanted)
        return context
