"""Enforce the limits of a whole session that the kernel does not enforce, and report all of them.

Where there are control groups, the kernel limits memory and processes, and this module reads what
it has stopped. Elsewhere both are checked from outside, where the session cannot interfere. The
space and the number of its files always are.

An idle session costs nothing: only the service starts processes, so each start wakes the enforcer,
and it sleeps again when it finds none. Everything is measured on threads, because a session decides
how long that takes; all enforcers of a backend share one budget of time, so a thousand busy
sessions are checked less often each.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from agentbay_local.sandbox.cgroups.cgroup import Events
from agentbay_local.sandbox.host import process_tree, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbay_local.sandbox.cgroups.cgroup import Cgroup
    from agentbay_local.sandbox.host.process_tree import Process
    from agentbay_local.sandbox.host.usage import DiskUsage
    from agentbay_local.sandbox.values import Consumption, Limits, RunningProcess, SandboxSpec

__all__ = ["LimitEnforcer", "SharedCost"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

EVERY = 0.2
"""Seconds between two checks, unless the check itself takes long."""

SHARE = 20
"""All checks together take at most one part in `SHARE` of the time."""

RETRY = 1.0
"""Seconds that a check counts for which has failed."""

THREADS = 2
"""Threads for quick checks, and as many for measurements of disks."""

SOCKET_SHARE = 2
"""Where the kernel counts TCP sockets apart and lets them exceed their limit, they may have the
memory limit divided by this."""

DISK_EVERY = 10.0
"""Seconds after which the disk is measured again even if little of its free space has gone."""

DISK_WITHIN = 30.0
"""Seconds after which a measurement of the disk stops, whatever it has counted."""


class SharedCost:
    """The threads and the time that the enforcers of one backend share.

    Attributes:
        awake: The number of enforcers that are not asleep.
    """

    def __init__(self) -> None:
        self.awake = 0
        # Apart, so that a session with a million files does not delay the checks of others.
        self._checks = ThreadPoolExecutor(THREADS, "agentbay-limits")
        self._measurements = ThreadPoolExecutor(THREADS, "agentbay-disks")

    def pause(self, took: float) -> float:
        """Return the seconds until the next check of an enforcer whose last one took some time."""
        return max(EVERY, SHARE * took * self.awake)

    def check(self, function: Callable[[], T]) -> Future[T] | None:
        """Call a quick function on a thread; return None if the threads have ended."""
        return _submit(self._checks, function)

    def measure(self, function: Callable[[], T]) -> Future[T] | None:
        """Call a function that counts files on a thread; return None if the threads have ended."""
        return _submit(self._measurements, function)

    def close(self) -> None:
        """End the threads; blocking. Nothing is checked from now on."""
        self._checks.shutdown()
        self._measurements.shutdown()


class LimitEnforcer:
    """Enforce the limits of one session; its callbacks run on the running event loop.

    Args:
        agent: The process id of the session's agent on the host.
        spec: The session's directory and limits.
        shared_cost: The cost that this enforcer shares with others.
        cgroup: The control group of the session, removed at the end.

    Attributes:
        on_excess: Called with a sentence each time that a limit was exceeded.
        is_in_use: Whether a program may be running that this enforcer has not seen yet.
        killing: Set while all processes of the session are being killed; see `wait_for_kill`.
    """

    def __init__(
        self, agent: int, spec: SandboxSpec, shared_cost: SharedCost, cgroup: Cgroup
    ) -> None:
        self.on_excess: Callable[[str], None] = lambda _: None
        self.is_in_use: Callable[[], bool] = lambda: False
        self._tree = process_tree.Tree(agent)
        self._shared_cost = shared_cost
        self._spec = spec
        self._cgroup = cgroup
        self.killing = threading.Event()
        self._watch = _Watch(self._tree, spec, shared_cost, cgroup, self.killing)
        self._reports = _KernelReports(cgroup, spec.limits)
        self._measuring: asyncio.Future[Consumption] | None = None
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None
        self._awake = False
        self._checking: asyncio.Future[tuple[bool, float]] | None = None
        self._wanted = False
        self._stopped = False

    def wake(self) -> None:
        """Check from now on: something was started."""
        self._wanted = True
        if not self._awake and not self._stopped:
            self._set_awake(True)
            self._schedule_check(0.0)

    async def wait_for_kill(self) -> None:
        """Wait for the end of a kill under way: it is not for a program that starts now."""
        while self.killing.is_set() and self._checking is not None:
            await asyncio.wait([self._checking])

    def stop(self) -> None:
        """Stop checking, and remove the control group. Repeatable."""
        if not self._stopped:
            self._stopped = True
            self._watch.stop()
            if self._next is not None:
                self._next.cancel()
            self._set_awake(False)
            self._remove_cgroup()

    def _remove_cgroup(self) -> None:
        removing = self._shared_cost.check(self._cgroup.remove)
        if removing is None:
            self._cgroup.remove()
        else:
            removing.add_done_callback(_log_failure)

    def report(self) -> None:
        """Call `on_excess` with every limit that was exceeded until now."""
        if self._watch.excesses or self._cgroup.has_new_events():
            for sentence in (*self._watch.take(), *self._reports.take()):
                self.on_excess(sentence)

    async def consumption(self) -> Consumption:
        """Measure what the session takes now, which takes as long as to count its files.

        Those who ask at the same time share one measurement.

        Raises:
            OSError: The session has ended.
        """
        if self._stopped:
            raise ProcessLookupError(errno.ESRCH, "the session has ended")
        if self._measuring is None or self._measuring.done():
            measuring = self._shared_cost.measure(self._measure)
            if measuring is None:
                raise ProcessLookupError(errno.ESRCH, "the service has ended")
            self._measuring = asyncio.wrap_future(measuring)
            # If all who asked are gone, asyncio would log an error that nobody retrieved.
            self._measuring.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._measuring)

    def running_processes(self) -> list[RunningProcess]:
        """Return the processes of the session; blocking, but short."""
        return usage.describe_processes(self._tree)

    def _measure(self) -> Consumption:
        until = time.monotonic() + DISK_WITHIN
        return usage.measure_consumption(
            self._tree, self._spec, self._cgroup, self._watch.stop_after(until)
        )

    def _schedule_check(self, took: float) -> None:
        """Schedule the next check after one that took some time."""
        self._next = self._loop.call_later(self._shared_cost.pause(took), self._check)

    def _set_awake(self, awake: bool) -> None:
        self._shared_cost.awake += awake - self._awake
        self._awake = awake

    def _check(self) -> None:
        checking = self._shared_cost.check(self._timed_check)
        if checking is None:
            self._set_awake(False)
        else:
            self._checking, self._wanted = asyncio.wrap_future(checking), False
            self._checking.add_done_callback(self._finish_check)

    def _timed_check(self) -> tuple[bool, float]:
        began = time.monotonic()
        busy = self._watch.check()
        return busy, time.monotonic() - began

    def _finish_check(self, checking: asyncio.Future[tuple[bool, float]]) -> None:
        self._checking = None
        if checking.cancelled():
            return
        if checking.exception() is not None:
            _log.error("the limits of a session cannot be checked", exc_info=checking.exception())
            busy, took = True, RETRY
        else:
            busy, took = checking.result()
        self.report()
        if self._stopped:
            return
        if busy or self._wanted or self.is_in_use():
            self._schedule_check(took)
        else:
            self._set_awake(False)


def _submit(threads: ThreadPoolExecutor, function: Callable[[], T]) -> Future[T] | None:
    try:
        return threads.submit(function)
    except RuntimeError:
        # They were shut down. Python itself does that when it exits, before the loop of an embedded
        # service has ended.
        return None


def _log_failure(done: Future[None]) -> None:
    if not done.cancelled() and done.exception() is not None:
        _log.error("a control group cannot be removed", exc_info=done.exception())


class _KernelReports:
    """What the kernel has stopped since the last time, as sentences."""

    def __init__(self, cgroup: Cgroup, limits: Limits) -> None:
        self._cgroup = cgroup
        self._limits = limits
        self._reported = Events()

    def take(self) -> list[str]:
        """Return a sentence for each limit that was exceeded since the last time."""
        before, now = self._reported, self._cgroup.events()
        self._reported = now
        found = []
        if now.oom_kills > before.oom_kills:
            why = f"its memory exceeded {self._limits.memory_bytes} bytes"
            found.append(_sentence(why, "its largest process was"))
        if now.refused_forks > before.refused_forks:
            most = self._limits.processes
            found.append(
                f"the session exceeded a limit: it has {most} processes and threads, "
                "so no more were started"
            )
        return found


class _Watch:
    """The limits that are checked from outside. One check at a time, on any thread.

    Attributes:
        excesses: A sentence for each limit that was exceeded since the last `take`.
    """

    def __init__(
        self,
        tree: process_tree.Tree,
        spec: SandboxSpec,
        shared_cost: SharedCost,
        cgroup: Cgroup,
        killing: threading.Event,
    ) -> None:
        self._tree = tree
        self._limits = spec.limits
        self._cgroup = cgroup
        self._stopped = threading.Event()
        self._disk = _Disk(spec, tree, shared_cost, self.stop_after)
        # Processes that were killed for the limit of the disk and may still write.
        self._dying: set[tuple[int, int]] = set()
        self.excesses: deque[str] = deque()
        self._killing = killing

    def take(self) -> list[str]:
        """Return a sentence for each limit that was exceeded since the last time."""
        return [self.excesses.popleft() for _ in range(len(self.excesses))]

    def stop(self) -> None:
        """Let a measurement under way end at once."""
        self._stopped.set()

    def stop_after(self, until: float) -> Callable[[], bool]:
        """Return a function that says whether a measurement has to stop."""
        return lambda: self._stopped.is_set() or time.monotonic() > until

    def check(self) -> bool:
        """Enforce the limits, and return whether the session has processes."""
        if not self._needs_members():
            return self._tree.has_descendants()
        members = self._tree.list_descendants()
        self._enforce_disk(members)
        if members and "memory" not in self._cgroup.enforces:
            self._enforce_memory(members)
        if members and self._are_sockets_exceeded():
            most = self._limits.memory_bytes
            self._kill_all(members, f"its TCP sockets exceeded half of its memory of {most} bytes")
        if "pids" not in self._cgroup.enforces:
            self._enforce_processes(members)
        return bool(members)

    def _needs_members(self) -> bool:
        if not {"memory", "pids"} <= self._cgroup.enforces or self._dying:
            return True
        return self._disk.is_exceeded() or self._are_sockets_exceeded()

    def _are_sockets_exceeded(self) -> bool:
        most = self._limits.memory_bytes
        return most is not None and self._cgroup.uncounted_socket_bytes() > most // SOCKET_SHARE

    def _enforce_disk(self, members: Sequence[Process]) -> None:
        names = {(member.pid, member.start) for member in members}
        if self._dying:
            self._dying &= names
            if not self._dying:
                self._disk.accept_usage()
        elif members and self._disk.is_exceeded():
            self._kill_all(members, self._disk.excess())
            self._dying = names

    def _kill_all(self, members: Sequence[Process], why: str) -> None:
        self._killing.set()
        try:
            self._kill(members, why)
            # A process that was just being started was not in the list.
            process_tree.kill(self._tree.list_descendants())
        finally:
            self._killing.clear()

    def _enforce_memory(self, members: Sequence[Process]) -> None:
        most = self._limits.memory_bytes
        if most is None:
            return
        stop = self.stop_after(time.monotonic() + DISK_WITHIN)
        held = usage.held_memory(self._tree, members, stop)
        if sum(member.memory for member in members) + held.total <= most:
            return
        if usage.memory_in_use(members, held) <= most:
            return
        largest = max(members, key=lambda member: member.memory + held.by_pid.get(member.pid, 0))
        why = f"its memory exceeded {most} bytes"
        self._kill([largest], why, "its largest process was")

    def _enforce_processes(self, members: Sequence[Process]) -> None:
        if sum(member.tasks for member in members) > self._limits.processes:
            why = f"it had more than {self._limits.processes} processes and threads"
            self._kill(members, why)

    def _kill(
        self, members: Sequence[Process], why: str, what: str = "all its processes were"
    ) -> None:
        # Before the kill: the command that dies by it reports the reason.
        self.excesses.append(_sentence(why, what))
        if not process_tree.kill(members):
            with contextlib.suppress(IndexError):
                self.excesses.pop()


def _sentence(why: str, what: str) -> str:
    return f"the session exceeded a limit: {why}, so {what} killed"


class _Disk:
    """The files of a session, measured on a thread and only when that may matter."""

    def __init__(
        self,
        spec: SandboxSpec,
        tree: process_tree.Tree,
        shared_cost: SharedCost,
        stop_after: Callable[[float], Callable[[], bool]],
    ) -> None:
        self._root = spec.root
        self._tree = tree
        self._most = usage.DiskUsage.most(spec.limits)
        self._tolerated = self._most
        self._used: DiskUsage | None = None
        self._free = usage.DiskUsage(0, 0)
        self._not_before = 0.0
        self._at_latest = 0.0
        self._shared_cost = shared_cost
        self._stop_after = stop_after
        self._measuring: Future[DiskUsage] | None = None
        self._accepting = False

    def is_exceeded(self) -> bool:
        """Return whether the session has exceeded its limit since the last time.

        A session beyond its limit may go on if it takes no more, so that it can remove files.
        """
        if self._most.is_unlimited():
            return False
        with contextlib.suppress(FileNotFoundError):  # the session has ended
            if self._measuring is not None and self._measuring.done():
                self._take_measurement(self._measuring)
            if self._measuring is None and self._may_be_exceeded():
                self._measure(self._tolerated)
        return self._used is not None and self._used.exceeds(self._tolerated)

    def excess(self) -> str:
        """Describe the limit that is exceeded."""
        if self._used is not None and self._used.bytes > self._tolerated.bytes:
            return f"its files exceeded {self._most.bytes} bytes"
        return f"it had more than {self._most.files} files and directories"

    def accept_usage(self) -> None:
        """Tolerate the present size, because the writers have been killed."""
        self._accepting, self._used = True, None
        with contextlib.suppress(FileNotFoundError):
            self._measure(None)

    def _may_be_exceeded(self) -> bool:
        """Return whether the whole disk lost so much that the session may exceed its limit."""
        now = time.monotonic()
        if now < self._not_before:
            return False
        if self._used is None or now >= self._at_latest:
            return True
        free = usage.free_space(self._root)
        grown = usage.DiskUsage(
            self._used.bytes + self._free.bytes - free.bytes,
            self._used.files + self._free.files - free.files,
        )
        return grown.exceeds(self._tolerated)

    def _measure(self, enough: DiskUsage | None) -> None:
        self._free = usage.free_space(self._root)
        began = time.monotonic()

        def measured() -> DiskUsage:
            stop = self._stop_after(began + DISK_WITHIN)
            used = usage.used_space(self._root, enough, stop)
            used = used.plus(usage.deleted_files(self._tree, self._root, stop))
            self._not_before = time.monotonic() + SHARE * (time.monotonic() - began)
            self._at_latest = self._not_before + DISK_EVERY
            return used

        self._measuring = self._shared_cost.measure(measured)

    def _take_measurement(self, measuring: Future[DiskUsage]) -> None:
        self._measuring = None
        # Otherwise the directory was removed, because the session has ended.
        if measuring.exception() is None:
            self._used = measuring.result()
            tolerated = self._used if self._accepting else self._used.least(self._tolerated)
            self._tolerated = self._most.largest(tolerated)
            self._accepting = False
