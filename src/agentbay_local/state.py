"""The parts of one running service, handed to every handler of an action."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_local.contexts.own_context import create_own_context
from agentbay_local.protocol.errors import missing, no_context, no_session, not_running, required
from agentbay_local.store import states

if TYPE_CHECKING:
    from agentbay_local.background_tasks import BackgroundTasks
    from agentbay_local.browser.browsers import Browsers
    from agentbay_local.cassettes.player import Player
    from agentbay_local.clock import Clock
    from agentbay_local.code import Kernels
    from agentbay_local.contexts.context_store import ContextStore
    from agentbay_local.contexts.sync import SyncService
    from agentbay_local.images import Images
    from agentbay_local.protocol.paging import Pages
    from agentbay_local.protocol.signing import Signer
    from agentbay_local.sessions.lifecycle import Lifecycle
    from agentbay_local.sessions.ready import ReadySandboxes
    from agentbay_local.sessions.sandboxes import Sandboxes
    from agentbay_local.store import Context, Session, Store
    from agentbay_local.testing.instruments import Instruments
    from agentbay_local.tools.tool_state import ToolStates

__all__ = ["ServiceState"]

# Background work that does not end when cancelled must not keep `reset` from returning.
_GRACE = 10.0


@attrs.define
class ServiceState:
    """The parts of one service.

    Attributes:
        store: Sessions, contexts and bindings, in SQLite.
        clock: The clock of the service.
        signer: Seals page tokens and URLs.
        background: Work that outlives an answer.
        sandboxes: The sandboxes of sessions.
        ready: Sandboxes without a session yet, or None.
        files: The files of contexts.
        syncing: Moves files between sessions and contexts.
        lifecycle: Pauses, resumes and releases sessions.
        tool_states: Environment variables and watched paths of sessions.
        code: The kernels that run code in sessions.
        browsers: The browsers of sessions.
        instruments: Faults, journal, quotas and transitions, for tests.
        pages: Sizes and tokens of pages.
        images: The images of sessions.
        endpoint: ``http://HOST:PORT``, for the URLs that the service hands out.
        link_url: ``http://{label}.localhost:PORT``, of the hosts for one link.
        player: Answers all requests from a cassette, or None.
    """

    store: Store
    clock: Clock
    signer: Signer
    background: BackgroundTasks
    sandboxes: Sandboxes
    ready: ReadySandboxes | None
    files: ContextStore
    syncing: SyncService
    lifecycle: Lifecycle
    tool_states: ToolStates
    code: Kernels
    browsers: Browsers
    instruments: Instruments
    pages: Pages
    images: Images
    endpoint: str = ""
    link_url: str = ""
    player: Player | None = None

    def session(self, session_id: str | None) -> Session:
        """Return a session that is not finished.

        Raises:
            ApiError: The id is missing, unknown, or names a released session.
        """
        if session_id is None or not session_id.strip():
            raise missing("SessionId")
        session = self.store.sessions.get(session_id)
        if session is None or session.status not in states.LIVE:
            raise no_session()
        return session

    def running_session(self, session_id: str | None) -> Session:
        """Return a session that is ready to work, and count it as used.

        Raises:
            ApiError: As `session`, or the session is paused or being released.
        """
        session = self.session(session_id)
        if session.status != states.RUNNING:
            raise not_running(session.status)
        self.lifecycle.touch(session)
        return session

    async def own_context(self, session: Session) -> Context:
        """Return the internal context of a session, which is created on first use.

        Raises:
            ApiError: A context of the client is at its path.
        """
        return self.store.contexts.own(session.id) or await create_own_context(
            self.store, self.syncing, session, self.clock.time()
        )

    def context(self, context_id: str | None, name: str = "ContextId") -> Context:
        """Return a context.

        Raises:
            ApiError: The id is missing or unknown; the message calls the parameter `name`.
        """
        wanted = required(context_id, name)
        context = self.store.contexts.get(wanted)
        if context is None:
            raise no_context(wanted)
        return context

    async def reset(self) -> None:
        """Delete all sessions and contexts, and return the instruments to their beginnings."""
        self.instruments.reset()
        if self.player is not None:
            self.player.rewind()
        await self.delete_all()
        self.lifecycle.start_sweeper()
        if self.ready is not None:
            self.ready.refill()

    async def delete_all(self) -> None:
        """Cancel background work, the sweeper included, and delete all sessions and contexts."""
        await self.background.close(_GRACE)
        await self.sandboxes.remove_all()
        self.syncing.forget_all()
        self.store.wipe()
        await self.files.remove_all()
