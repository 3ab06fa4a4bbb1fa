"""Enforce the limits of a whole session: memory, disk space and number of processes.

The system has no such limits for an ordinary user, so they are checked from outside, where the
session cannot interfere. An idle session costs nothing: only the service starts processes, so each
start wakes the enforcer, and it sleeps again when it finds none. All enforcers of a backend share
one budget of processor time, so a thousand busy sessions are checked less often each.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host import process_tree, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbay_local.sandbox.host.process_tree import Process
    from agentbay_local.sandbox.values import Consumption, SandboxSpec

__all__ = ["LimitEnforcer", "SharedCost"]

EVERY = 0.2
"""Seconds between two checks, unless the check itself takes long."""

SHARE = 20
"""All checks together take at most one part in `SHARE` of the time of the event loop."""

DISK_EVERY = 10.0
"""Seconds after which the disk is measured again even if little of its free space has gone."""

DISK_WITHIN = 30.0
"""Seconds after which a measurement of the disk stops, whatever it has counted."""


class SharedCost:
    """The cost that the enforcers of one backend share.

    Attributes:
        awake: The number of enforcers that are not asleep.
    """

    def __init__(self) -> None:
        self.awake = 0

    def pause(self, took: float) -> float:
        """Return the seconds until the next check of an enforcer whose last one took some time."""
        return max(EVERY, SHARE * took * self.awake)


class LimitEnforcer:
    """Enforce the limits of one session, on the running event loop.

    Args:
        agent: The process id of the session's agent on the host.
        spec: The session's directory and limits.
        shared_cost: The cost that this enforcer shares with others.

    Attributes:
        on_excess: Called with a sentence each time that processes were killed.
    """

    def __init__(self, agent: int, spec: SandboxSpec, shared_cost: SharedCost) -> None:
        self.on_excess: Callable[[str], None] = lambda _: None
        self._agent = agent
        self._shared_cost = shared_cost
        self._spec = spec
        self._limits = spec.limits
        self._disk = _Disk(spec)
        # Processes that were killed for the limit of the disk and may still write.
        self._dying: set[tuple[int, int]] = set()
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None
        self._stopped = False

    def wake(self) -> None:
        """Check from now on: something was started."""
        if self._next is None and not self._stopped:
            self._schedule_check(0.0)

    def stop(self) -> None:
        """Stop checking. Repeatable."""
        self._stopped = True
        self._disk.stop()
        self._cancel_check()

    def consumption(self) -> Consumption:
        """Measure what the session takes now, which takes as long as to count its files.

        Raises:
            OSError: The session has ended.
        """
        until = time.monotonic() + DISK_WITHIN
        return usage.measure_consumption(
            self._agent, self._spec, lambda: self._stopped or time.monotonic() > until
        )

    def _schedule_check(self, took: float) -> None:
        """Schedule the next check after one that took some time."""
        self._shared_cost.awake += 1
        self._next = self._loop.call_later(self._shared_cost.pause(took), self._check)

    def _cancel_check(self) -> None:
        if self._next is not None:
            self._shared_cost.awake -= 1
            self._next.cancel()
            self._next = None

    def _check(self) -> None:
        self._cancel_check()
        began = time.monotonic()
        members = process_tree.list_descendants(self._agent)
        self._enforce_disk(members)
        if not members:
            return
        self._enforce_memory(members)
        self._enforce_processes(members)
        if not self._stopped:
            self._schedule_check(time.monotonic() - began)

    def _enforce_disk(self, members: Sequence[Process]) -> None:
        names = {(member.pid, member.start) for member in members}
        if self._dying:
            self._dying &= names
            if not self._dying:
                self._disk.accept_usage()
        elif members and self._disk.is_exceeded():
            self._kill(members, f"its files exceeded {self._limits.disk_bytes} bytes")
            # A process that was just being started was not in the list.
            process_tree.kill(process_tree.list_descendants(self._agent))
            self._dying = names

    def _enforce_memory(self, members: Sequence[Process]) -> None:
        most = self._limits.memory_bytes
        if most is None or sum(member.memory for member in members) <= most:
            return
        if process_tree.proportional_memory(members) > most:
            largest = max(members, key=lambda member: member.memory)
            self._kill([largest], f"its memory exceeded {most} bytes", "its largest process was")

    def _enforce_processes(self, members: Sequence[Process]) -> None:
        if sum(member.tasks for member in members) > self._limits.processes:
            self._kill(members, f"it had more than {self._limits.processes} processes and threads")

    def _kill(
        self, members: Sequence[Process], why: str, what: str = "all its processes were"
    ) -> None:
        if process_tree.kill(members):
            self.on_excess(f"the session exceeded a limit: {why}, so {what} killed")


class _Disk:
    """The disk space of a session, measured on a thread and only when that may matter."""

    def __init__(self, spec: SandboxSpec) -> None:
        self._root = spec.root
        self._most = spec.limits.disk_bytes
        self._tolerated = self._most or 0
        self._used: int | None = None
        self._free = 0
        self._not_before = 0.0
        self._at_latest = 0.0
        self._measuring: asyncio.Future[int] | None = None
        self._accepting = False
        self._stopped = False

    def stop(self) -> None:
        """Let a measurement under way end at once."""
        self._stopped = True

    def is_exceeded(self) -> bool:
        """Say whether the session has exceeded its limit since the last time.

        A session beyond its limit may go on if it takes no more, so that it can remove files.
        """
        if self._most is None:
            return False
        if self._measuring is not None and self._measuring.done():
            self._take_measurement(self._measuring, self._most)
        if self._measuring is None and self._may_be_exceeded():
            self._measure(self._tolerated)
        return self._used is not None and self._used > self._tolerated

    def accept_usage(self) -> None:
        """Tolerate the present size, because the writers have been killed."""
        self._accepting, self._used = True, None
        self._measure(None)

    def _may_be_exceeded(self) -> bool:
        """Say whether the session can have exceeded its limit, by what the whole disk has lost."""
        now = time.monotonic()
        if now < self._not_before:
            return False
        if self._used is None or now >= self._at_latest:
            return True
        return self._used + self._free - usage.free_bytes(self._root) > self._tolerated

    def _measure(self, enough: int | None) -> None:
        self._free = usage.free_bytes(self._root)
        began = time.monotonic()

        def measured() -> int:
            until = began + DISK_WITHIN
            used = usage.used_bytes(
                self._root, enough, lambda: self._stopped or time.monotonic() > until
            )
            self._not_before = time.monotonic() + SHARE * (time.monotonic() - began)
            self._at_latest = self._not_before + DISK_EVERY
            return used

        self._measuring = asyncio.get_running_loop().run_in_executor(None, measured)

    def _take_measurement(self, measuring: asyncio.Future[int], most: int) -> None:
        self._measuring = None
        # Otherwise the directory was removed, because the session has ended.
        if measuring.exception() is None:
            self._used = measuring.result()
            if self._accepting:
                self._tolerated = max(most, self._used)
            else:
                self._tolerated = max(most, min(self._tolerated, self._used))
            self._accepting = False
