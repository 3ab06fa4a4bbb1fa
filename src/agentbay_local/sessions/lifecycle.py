"""Session lifecycle: create, pause, resume and release sessions, and sweep those that expire.

The steps of a release: state ``DELETING``, processes killed, files uploaded to the contexts whose
policies ask for it, directory removed, ``FINISH``. If an upload fails the session is kept: it
returns to ``RUNNING`` with the failed task on record, because a client that asked for its data to
be saved must not lose it to a full disk. Releasing it again tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay_local.clock import doze_until, happens_within
from agentbay_local.protocol.errors import not_running, wrong_state
from agentbay_local.store import StateFullError, states

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from agentbay_local.background_tasks import BackgroundTasks
    from agentbay_local.clock import Clock
    from agentbay_local.contexts.sync import SyncService
    from agentbay_local.sessions.sandboxes import Sandboxes
    from agentbay_local.store import NewSession, Session, Store
    from agentbay_local.testing.transitions import Transitions
    from agentbay_local.tools.tool_state import ToolStates

__all__ = ["Lifecycle"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Below a millisecond the sum of a clock reading and a delay can round to the reading itself.
_MIN_SWEEP_INTERVAL = 0.001
_MAX_SWEEP_INTERVAL = 6 * 3600.0
_RETRY_RELEASE_AFTER = 60.0
# A finished session stays visible in its detail for a day.
_KEEP_FINISHED = 24 * 3600.0
_RELEASE_WITHIN = 300.0
# Seconds for which a question about a session waits for the end of its release. Most take less.
_BRIEFLY = 0.1


class Lifecycle:
    """Changes the states of sessions, and releases those whose time is over."""

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
        self._wake = asyncio.Event()
        self._next_sweep = math.inf
        self._releases: dict[str, asyncio.Event] = {}
        self._until_paused: dict[str, set[asyncio.Future[Any]]] = {}
        self._busy: Counter[str] = Counter()

    def start_sweeper(self) -> None:
        """Start the sweeper."""
        self._background.launch(self._sweep_forever(), "sweeper")

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
            try:
                self._store.sessions.postpone(session.id, expires)
            except StateFullError as error:
                # A command that removes files must not fail because nothing can be written.
                _log.warning("the idle time of %s was not restarted: %s", session.id, error)
                return
            self._wake_sweeper(expires)

    @contextlib.contextmanager
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

    async def run_until_paused(self, session: Session, work: Awaitable[T]) -> T:
        """Do some work of a session, but end it as soon as the session is paused.

        Raises:
            ApiError: The session was paused.
        """
        task = asyncio.ensure_future(work)
        tasks = self._until_paused.setdefault(session.id, set())
        tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if task in tasks:
                raise
            raise not_running(states.PAUSED) from None
        finally:
            tasks.discard(task)
            if not tasks and self._until_paused.get(session.id) is tasks:
                del self._until_paused[session.id]

    def _end_paused_work(self, session_id: str) -> None:
        tasks = self._until_paused.pop(session_id, set())
        ended = list(tasks)
        tasks.clear()  # so that `run_until_paused` can tell this from other cancellations
        for task in ended:
            task.cancel()

    def _expiry(self, session: Session | NewSession) -> float | None:
        idle = None
        if session.idle_seconds is not None and session.id not in self._busy:
            idle = self._clock.monotonic() + session.idle_seconds
        limits = [limit for limit in (idle, session.ends) if limit is not None]
        return min(limits, default=None)

    def release(self, session: Session, reason: str) -> None:
        """Start to release a session, unless its release is under way."""
        if session.id not in self._releases:
            # The removal of the session makes the room that these rows may need.
            with contextlib.suppress(StateFullError):
                self._store.sessions.begin_release(session.id, reason)
            self._releases[session.id] = asyncio.Event()
            self._background.launch(self._release(session, reason), f"release {session.id}")

    async def wait_released(self, session: Session) -> None:
        """Wait for a release under way.

        Raises:
            ApiError: The release takes longer than five minutes; it continues.
        """
        released = self._releases.get(session.id)
        if released is not None and not await happens_within(
            self._clock, released, _RELEASE_WITHIN
        ):
            raise wrong_state(states.DELETING, "its files are still being uploaded")

    async def wait_briefly(self, session: Session) -> None:
        """Wait for a release under way, if that takes no longer than a tenth of a second.

        A tenth of the machine's clock: a test that holds a release must see it.
        """
        released = self._releases.get(session.id)
        if released is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(released.wait(), _BRIEFLY)

    async def release_all(self, reason: str, within: float) -> None:
        """Release every session with files or contexts, and wait `within` seconds at most.

        Any other session is only a row, and ends with the service.
        """
        self._transitions.immediate("delete")
        ids = self._sandboxes.ids | self._store.bindings.sessions()
        for session in self._store.sessions.live():
            if session.id in ids:
                self.release(session, reason)
        waits = [asyncio.ensure_future(event.wait()) for event in self._releases.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=within)
            for wait in late:
                wait.cancel()

    async def _release(self, session: Session, reason: str) -> None:
        try:
            await self._tear_down(session, reason)
        except BaseException:
            self._keep(session)
            raise
        finally:
            self._releases.pop(session.id).set()

    async def _tear_down(self, session: Session, reason: str) -> None:
        await self._transitions.pass_through("delete")
        await self._sandboxes.close(session.id)
        if not await self._syncing.upload_before_release(session):
            _log.warning("session %s is kept: its files could not be uploaded", session.id)
            self._keep(session)
            return
        await self._syncing.end(session.id)
        await self._sandboxes.remove(session.id)
        self._syncing.forget(session.id)
        self._tool_states.pop(session.id, None)
        self._store.sessions.finish(session.id, reason, self._clock.time())

    def _keep(self, session: Session) -> None:
        self._store.sessions.set_status(session.id, states.RUNNING)
        if session.idle_seconds is not None or session.ends is not None:
            # Without a later deadline the sweeper would try again at once, for ever.
            later = self._clock.monotonic() + _RETRY_RELEASE_AFTER
            self._expire(session, later)

    def _expire(self, session: Session, moment: float | None) -> None:
        """Set the time at which to release a session, and tell the sweeper."""
        self._store.sessions.set_expiry(session.id, moment)
        self._wake_sweeper(moment)

    def _wake_sweeper(self, moment: float | None) -> None:
        if moment is not None and moment < self._next_sweep:
            self._wake.set()

    def pause(self, session: Session) -> None:
        """Start to pause a running session; time spent paused never releases it.

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
            if reached == states.PAUSED:
                self._end_paused_work(session.id)
            if reached == states.RUNNING:
                self._expire(session, self._expiry(session))

    def resume(self, session: Session) -> None:
        """Start to resume a paused session."""
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

    async def _sweep_forever(self) -> None:
        while True:
            await self._wait_until_due()
            try:
                self.sweep()
            except Exception:
                _log.exception("a sweep failed; the next one follows")

    async def _wait_until_due(self) -> None:
        """Wait for the next deadline, or until `_wake_sweeper` announces an earlier one."""
        self._next_sweep = self._next_due()
        alarm = asyncio.ensure_future(self._wake.wait())
        timer = asyncio.ensure_future(doze_until(self._clock, self._next_sweep))
        try:
            await asyncio.wait([alarm, timer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            timer.cancel()
            self._wake.clear()

    def _next_due(self) -> float:
        """Return the time of the next sweep on the monotonic clock."""
        sessions, contexts = self._store.sessions, self._store.contexts
        monotonic, date = self._clock.monotonic(), self._clock.time()
        dues = [
            due - reading
            for due, reading in (
                (sessions.next_expiry(), monotonic),
                (sessions.first_finished(), date - _KEEP_FINISHED),
                (contexts.next_expiry(), date),
            )
            if due is not None
        ]
        wait = min(dues, default=_MAX_SWEEP_INTERVAL)
        return monotonic + min(max(wait, _MIN_SWEEP_INTERVAL), _MAX_SWEEP_INTERVAL)

    def sweep(self) -> None:
        """Release sessions whose time is over, and expire files of contexts."""
        now = self._clock.monotonic()
        for session in self._store.sessions.expired(now):
            if session.ends is not None and session.ends <= now:
                self.release(session, "its longest run time is over")
            elif session.id in self._busy:
                # `using` sets the deadline when the last command ends.
                self._store.sessions.set_expiry(session.id, session.ends)
            else:
                self.release(session, "it was idle")
        self._store.sessions.forget(self._clock.time() - _KEEP_FINISHED)
        self._syncing.expire_files()
