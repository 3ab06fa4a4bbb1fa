"""The session of an adapter: handed in, or made on first use and deleted at the end."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import TYPE_CHECKING, TypeVar

import anyio
import attrs

from agentbay_async.session_params import DEFAULT_LIFETIME, CreateSessionParams

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import agentbay
    from agentbay_async import AsyncAgentBay, AsyncSession

__all__ = ["BlockingSessionOwner", "SessionOwner", "session_params", "uninterrupted"]

T = TypeVar("T")


def session_params(
    framework: str, params: CreateSessionParams | None = None, run: str | None = None
) -> CreateSessionParams:
    """Return the parameters of an adapter's session.

    It gets the labels ``framework`` and ``run``, and, if `params` has no lifetime, one that ends it
    after the program has been killed.

    Args:
        framework: The name of the framework's package.
        params: What the caller wishes; it is copied.
        run: What tells this run of the framework from others. Default: a random id.
    """
    params = CreateSessionParams() if params is None else params
    labels = {"framework": framework, "run": run or uuid.uuid4().hex[:12], **params.labels}
    changed = attrs.evolve(params, labels=labels, framework=params.framework or framework)
    if params.lifecycle_policy is None and params.idle_release_timeout is None:
        changed.lifecycle_policy = DEFAULT_LIFETIME
    return changed


async def uninterrupted(work: Awaitable[T]) -> T:
    """Await work that a cancel must not stop; the cancel is raised when it is done."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # anyio would cancel again and again.
        with anyio.CancelScope(shield=True):
            await task
        raise


class SessionOwner:
    """The session of one adapter.

    Args:
        framework: The name of the framework's package, for labels.
        session: A session of the caller. It is used, and never deleted here.
        session_id: The same by its id; it is looked up on the first use.
        bay: The client that makes a session if none is handed in. Default: one with the settings of
            the environment, which is closed with the session.
        params: The parameters of the session that is made.
        run: The value of its label ``run``. Default: a random id.

    Attributes:
        session: The session, or ``None`` before the first use.
    """

    def __init__(
        self,
        framework: str,
        *,
        session: AsyncSession | None = None,
        session_id: str | None = None,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
    ) -> None:
        self.session = session
        self._session_id = session_id
        self._bay = bay
        self._params = session_params(framework, params, run)
        self._has_contexts = bool(self._params.context_syncs)
        self._own_bay: AsyncAgentBay | None = None
        self._is_ours = False
        # Not asyncio's, which belongs to one event loop: a program may run several, one by one.
        self._lock = anyio.Lock()

    async def get(self) -> AsyncSession:
        """Return the session; the first call makes it, or looks it up.

        Raises:
            AgentBayError: It could not be created, or is gone.
        """
        async with self._lock:
            if self.session is None:
                self.session = await self._make()
            return self.session

    async def _make(self) -> AsyncSession:
        if self._bay is not None:
            return await self._make_with(self._bay)
        from agentbay_async import AsyncAgentBay

        bay = AsyncAgentBay()
        try:
            session = await self._make_with(bay)
        except BaseException:
            # A framework does not close what has not begun.
            await uninterrupted(bay.aclose())
            raise
        self._own_bay = bay
        return session

    async def _make_with(self, bay: AsyncAgentBay) -> AsyncSession:
        if self._session_id is not None:
            return (await bay.get(self._session_id)).unwrap()
        session = (await bay.create(self._params)).unwrap()
        self._is_ours = True
        return session

    async def close(self) -> None:
        """Delete the session if it was made here, and close the client if that was made here.

        The files of its contexts are saved first. A cancel waits for it.

        Raises:
            ContextSyncError: They could not be saved. The session lives on; they are in it.
            AgentBayError: The session could not be deleted.
        """
        await uninterrupted(self._close())

    async def _close(self) -> None:
        # A create that is under way ends first, so that its session is found.
        async with self._lock:
            bay, self._own_bay = self._own_bay, None
            try:
                if self.session is not None and self._is_ours:
                    (await self.session.delete(self._has_contexts)).unwrap()
                    self.session, self._is_ours = None, False
            finally:
                if bay is not None:
                    await bay.aclose()


class BlockingSessionOwner:
    """The session of one adapter of a framework that blocks; see :class:`SessionOwner`.

    Args:
        framework: The name of the framework's package, for labels.
        session: A session of the caller. It is used, and never deleted here.
        bay: The client that makes a session if none is handed in.
        params: The parameters of the session that is made.
        run: The value of its label ``run``.

    Attributes:
        session: The session, or ``None`` before the first use.
    """

    def __init__(
        self,
        framework: str,
        *,
        session: agentbay.Session | None = None,
        bay: agentbay.AgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
    ) -> None:
        self.session = session
        self._bay = bay
        self._params = session_params(framework, params, run)
        self._has_contexts = bool(self._params.context_syncs)
        self._own_bay: agentbay.AgentBay | None = None
        self._is_ours = False
        self._lock = threading.Lock()

    def get(self) -> agentbay.Session:
        """Return the session; the first call makes it.

        Raises:
            AgentBayError: It could not be created.
        """
        with self._lock:
            if self.session is None:
                self.session = self._make()
            return self.session

    def _make(self) -> agentbay.Session:
        if self._bay is not None:
            session = self._bay.create(self._params).unwrap()
        else:
            session = self._make_with_own()
        self._is_ours = True
        return session

    def _make_with_own(self) -> agentbay.Session:
        from agentbay import AgentBay

        bay = AgentBay()
        try:
            session = bay.create(self._params).unwrap()
        except BaseException:
            # A framework does not close what has not begun.
            bay.close()
            raise
        self._own_bay = bay
        return session

    def close(self) -> None:
        """Delete the session if it was made here, and close the client if that was made here.

        Raises:
            AgentBayError: The session could not be deleted.
        """
        with self._lock:
            bay, self._own_bay = self._own_bay, None
            try:
                if self.session is not None and self._is_ours:
                    self.session.delete(self._has_contexts).unwrap()
                    self.session, self._is_ours = None, False
            finally:
                if bay is not None:
                    bay.close()
