"""How sessions begin, pause and end, and the sweeper that ends those whose time is over.

A release goes: state ``DELETING``, processes killed, files brought home to the contexts that ask
for it, directory removed, ``FINISH``. When files cannot be brought home the session is kept: it
returns to ``RUNNING`` with the failed task on record, because a client that asked for its data to
be saved must not lose it to a full disk. Releasing it again tries again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentbay_local.clock import doze_until, happens_within
from agentbay_local.protocol.errors import not_running, wrong_state
from agentbay_local.store import states

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentbay_local.background_tasks import BackgroundTasks
    from agentbay_local.clock import Clock
    from agentbay_local.contexts.sync import SyncService
    from agentbay_local.sessions.sandboxes import Sandboxes
    from agentbay_local.store import NewSession, Session, Store
    from agentbay_local.testing.transitions import Transitions
    from agentbay_local.tools.tool_state import ToolStates

__all__ = ["Lifecycle"]

_log = logging.getLogger(__name__)

# A nap is no shorter than what the numbers of a clock can tell apart, and no longer than any time
# that files are kept.
_SHORTEST_NAP = 0.001
_LONGEST_NAP = 6 * 3600.0
_RETRY_RELEASE_AFTER = 60.0
_REMEMBER_FINISHED = 24 * 3600.0
_RELEASE_WITHIN = 300.0


class Lifecycle:
    """The rules of a session's life."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        background: BackgroundTasks,
        sandboxes: Sandboxes,
        syncing: SyncService,
        tool_states: ToolStates,
        transitions: Transitions,
    ) -> None:
        self._store = store
        self._clock = clock
        self._background = background
        self._sandboxes = sandboxes
        self._syncing = syncing
        self._tool_states = tool_states
        self._transitions = transitions
        self._alarm = asyncio.Event()
        self._nap_ends = math.inf
        self._releases: dict[str, asyncio.Event] = {}
        self._busy: Counter[str] = Counter()

    def begin(self) -> None:
        """Start the sweeper."""
        self._background.launch(self.sweep_for_ever(), "sweeper")

    @property
    def releasing(self) -> frozenset[str]:
        """The ids of the sessions that are being released."""
        return frozenset(self._releases)

    def admit(self, several: Sequence[NewSession]) -> list[Session]:
        """Store new sessions, all or none; their idle time begins now."""
        expiries = [self._expiry(new) for new in several]
        sessions = self._store.sessions.add(list(zip(several, expiries, strict=True)))
        self._wake_sweeper(min((due for due in expiries if due is not None), default=None))
        return sessions

    def touch(self, session: Session) -> None:
        """Restart the idle time of a session."""
        if session.idle_seconds is not None:
            expires = self._expiry(session)
            self._store.sessions.postpone(session.id, expires)
            self._wake_sweeper(expires)

    @contextmanager
    def using(self, session: Session) -> Iterator[None]:
        """Keep a session from being released as idle until the end of the block.

        Only the end writes the new deadline. Until then the sweeper passes over the session, so
        that a short command costs one update.

        Raises:
            ApiError: The session is paused or being released.
        """
        if session.status != states.RUNNING:
            raise not_running(session.status)
        self._busy[session.id] += 1
        try:
            yield
        finally:
            self._busy[session.id] -= 1
            if not self._busy[session.id]:
                del self._busy[session.id]
                self.touch(session)

    def _expiry(self, session: Session | NewSession) -> float | None:
        idle = None
        if session.idle_seconds is not None and session.id not in self._busy:
            idle = self._clock.monotonic() + session.idle_seconds
        limits = [limit for limit in (idle, session.ends) if limit is not None]
        return min(limits, default=None)

    def release(self, session: Session, reason: str) -> None:
        """Begin to release a session, unless that is under way."""
        if session.id not in self._releases:
            self._store.sessions.set_status(session.id, states.DELETING)
            self._store.sessions.set_expiry(session.id, None)
            self._releases[session.id] = asyncio.Event()
            self._background.launch(self._release(session, reason), f"release {session.id}")

    async def wait_released(self, session: Session) -> None:
        """Wait for a release that has begun.

        Raises:
            Problem: It takes longer than five minutes; it goes on nevertheless.
        """
        released = self._releases.get(session.id)
        if released is not None and not await happens_within(
            self._clock, released, _RELEASE_WITHIN
        ):
            raise wrong_state(states.DELETING, "its files are still on their way")

    async def release_all(self, reason: str, within: float) -> None:
        """Release every session that has something, and wait for it `within` seconds at most.

        One that has neither files nor contexts is a row, and over with the service anyway.
        """
        self._transitions.immediate("delete")
        held = self._sandboxes.known | self._store.bindings.sessions()
        for session in self._store.sessions.live():
            if session.id in held:
                self.release(session, reason)
        waits = [asyncio.ensure_future(event.wait()) for event in self._releases.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=within)
            for wait in late:
                wait.cancel()

    async def _release(self, session: Session, reason: str) -> None:
        try:
            await self._end(session, reason)
        except BaseException:
            self._keep(session)
            raise
        finally:
            self._releases.pop(session.id).set()

    async def _end(self, session: Session, reason: str) -> None:
        await self._transitions.pass_through("delete")
        await self._sandboxes.close(session.id)
        if not await self._syncing.upload_before_release(session):
            _log.warning("session %s is kept: its files could not be uploaded", session.id)
            self._keep(session)
            return
        await self._sandboxes.remove(session.id)
        self._syncing.forget(session.id)
        self._tool_states.pop(session.id, None)
        self._store.sessions.finish(session.id, reason, self._clock.time())

    def _keep(self, session: Session) -> None:
        self._store.sessions.set_status(session.id, states.RUNNING)
        if session.idle_seconds is not None or session.ends is not None:
            # A fresh deadline, or the sweeper would try again every second.
            later = self._clock.monotonic() + _RETRY_RELEASE_AFTER
            self._expire(session, later)

    def _expire(self, session: Session, moment: float | None) -> None:
        """Say when a session is to be released, and let the sweeper know."""
        self._store.sessions.set_expiry(session.id, moment)
        self._wake_sweeper(moment)

    def _wake_sweeper(self, moment: float | None) -> None:
        if moment is not None and moment < self._nap_ends:
            self._alarm.set()

    def pause(self, session: Session) -> None:
        """Begin to pause a running session; time spent paused never releases it.

        Raises:
            ApiError: The session is being released.
        """
        if session.status != states.RUNNING:
            raise not_running(session.status)
        self._store.sessions.set_status(session.id, states.PAUSING)
        self._store.sessions.set_expiry(session.id, None)
        self._background.launch(self._pause(session), f"pause {session.id}")

    async def _pause(self, session: Session) -> None:
        reached = states.RUNNING
        try:
            await self._transitions.pass_through("pause")
            sandbox = self._sandboxes.alive(session.id)
            if sandbox is not None:
                await sandbox.pause()
            reached = states.PAUSED
        finally:
            self._store.sessions.set_status(session.id, reached)
            if reached == states.RUNNING:
                self._expire(session, self._expiry(session))

    def resume(self, session: Session) -> None:
        """Begin to continue a paused session."""
        self._store.sessions.set_status(session.id, states.RESUMING)
        self._background.launch(self._resume(session), f"resume {session.id}")

    async def _resume(self, session: Session) -> None:
        reached = states.PAUSED
        try:
            await self._transitions.pass_through("resume")
            sandbox = self._sandboxes.alive(session.id)
            if sandbox is not None:
                await sandbox.resume()
            reached = states.RUNNING
        finally:
            self._store.sessions.set_status(session.id, reached)
            if reached == states.RUNNING:
                self._expire(session, self._expiry(session))

    async def sweep_for_ever(self) -> None:
        """Release what is over, again and again, until cancelled."""
        while True:
            await self._nap()
            try:
                self.sweep()
            except Exception:
                _log.exception("a sweep failed; the next one follows")

    async def _nap(self) -> None:
        """Doze until something is due, or until it has been said that something is due earlier."""
        self._nap_ends = self._next_due()
        alarm = asyncio.ensure_future(self._alarm.wait())
        nap = asyncio.ensure_future(doze_until(self._clock, self._nap_ends))
        try:
            await asyncio.wait([alarm, nap], return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            nap.cancel()
            self._alarm.clear()

    def _next_due(self) -> float:
        """Return when to look again, on the monotonic clock."""
        sessions, contexts = self._store.sessions, self._store.contexts
        passed, date = self._clock.monotonic(), self._clock.time()
        dues = [
            due - reading
            for due, reading in (
                (sessions.next_expiry(), passed),
                (sessions.first_finished(), date - _REMEMBER_FINISHED),
                (contexts.next_expiry(), date),
            )
            if due is not None
        ]
        return passed + min(max(min(dues, default=_LONGEST_NAP), _SHORTEST_NAP), _LONGEST_NAP)

    def sweep(self) -> None:
        """Release sessions whose time is over, and expire files of contexts."""
        now = self._clock.monotonic()
        for session in self._store.sessions.expired(now):
            if session.ends is not None and session.ends <= now:
                self.release(session, "its longest run time is over")
            elif session.id in self._busy:
                self._store.sessions.set_expiry(session.id, session.ends)
            else:
                self.release(session, "it was idle")
        self._store.sessions.forget(self._clock.time() - _REMEMBER_FINISHED)
        self._syncing.expire_files()
