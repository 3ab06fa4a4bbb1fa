"""List, stop, continue and kill the processes of a session; set the options of this one."""

from __future__ import annotations

import fcntl
import os
import time

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any

    _ctypes: Any  # the types of its stubs are those of `ctypes`
else:
    import _ctypes
    import _signal as signal

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36

STOP_WITHIN = 5.0
VICTIM = 300
"""Added to the OOM score of programs: as much as 30 % of the memory."""

KILL_WITHIN = 5.0
"""Seconds; the kernel can hold a process for longer, and the agent serves nothing else meanwhile.
"""


def load_prctl() -> tuple[Callable[[int, int, int, int, int], int], Callable[[], int]]:
    """Return prctl of the C library, and a function that returns the error number of its call.

    Only the C part of `ctypes` is used: the module around it makes a hundred classes, which takes a
    quarter of the time in which this process starts.
    """
    integer = type("Int", (_ctypes._SimpleCData,), {"_type_": "i"})
    long = type("Long", (_ctypes._SimpleCData,), {"_type_": "l"})
    signature = {
        "_flags_": _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO,
        "_restype_": integer,
        "_argtypes_": (integer, long, long, long, long),
    }
    function: Any = type("Prctl", (_ctypes.CFuncPtr,), signature)
    return function(_ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")), _ctypes.get_errno


prctl, error_number = load_prctl()


def protect() -> None:
    """Keep the session's programs from tracing this process and from taking its descriptors.

    They run as the same user, and a process that had the channel could pose as the agent.
    Forked copies stay protected; a program that they start does not, since exec resets it.
    """
    set_option(PR_SET_DUMPABLE, 0)


def close_from(first: int, *kept: int) -> None:
    """Close every descriptor of this process from a number on, but those that are kept."""
    # Listed, not a range of numbers: a service with thousands of sessions passes high numbers.
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd >= first and fd not in kept:
            try:
                os.close(fd)
            except OSError:  # the descriptor of the listing itself
                continue


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans, so that it can kill them."""
    set_option(PR_SET_CHILD_SUBREAPER, 1)


def set_option(option: int, value: int, argument: int = 0) -> None:
    """Call prctl; raise OSError if it fails."""
    if prctl(option, value, argument, 0, 0):
        raise OSError(error_number(), os.strerror(error_number()))


def open_oom_score() -> int:
    """Return a descriptor for the OOM score of this process, above those that commands are given.

    A process that is protected or confined could not open it.
    """
    score = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(score, fcntl.F_DUPFD_CLOEXEC, 64)
    finally:
        os.close(score)


def reopen_oom_score(score: int) -> int:
    """Return a descriptor for the score of a forked copy, and close that of its parent."""
    os.close(score)
    set_option(PR_SET_DUMPABLE, 1)
    try:
        return open_oom_score()
    finally:
        protect()


def oom_score(score: int) -> int:
    """Return the OOM score."""
    return int(os.pread(score, 16, 0))


def set_oom_score(score: int, value: int) -> None:
    """Set the OOM score; a higher one is killed earlier."""
    os.pwrite(score, str(min(value, 1000)).encode(), 0)


def others() -> dict[int, str]:
    """Return the state letter of every process below this one; zombies are left out."""
    own, table = os.getpid(), process_table()
    parents = {pid: parent for pid, (_, parent, _) in table.items()}
    return {
        pid: state
        for pid, (state, _, _) in table.items()
        if pid != own and state not in "ZX" and (own == 1 or descends(pid, own, parents))
    }


def session_members(leader: int) -> dict[int, str]:
    """Return the state letter of every process of a kernel session; zombies are left out."""
    return {
        pid: state
        for pid, (state, _, session) in process_table().items()
        if session == leader and state not in "ZX"
    }


def process_table() -> dict[int, tuple[str, int, int]]:
    """Return state letter, parent and kernel session of every process that is visible here."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/" + name + "/stat", "rb") as file:
                    # The name, in parentheses, may hold anything, a parenthesis too.
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            table[int(name)] = fields[0].decode("ascii"), int(fields[1]), int(fields[3])
    return table


def descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    """Return whether a process is a child, grandchild, ... of another."""
    seen = set()
    while pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def stop_all() -> set[int]:
    """Stop everything but this process; return the ones that were stopped before."""
    before = {pid for pid, state in others().items() if state in "Tt"}
    if os.getpid() == 1:
        signal_one(-1, signal.SIGSTOP)  # one atomic call, so nobody can fork ahead of it
    stop(others, time.monotonic() + STOP_WITHIN)
    return before


def stop(find: Callable[[], dict[int, str]], until: float) -> None:
    """Stop every process that is found, also those that are forked meanwhile."""
    signalled: set[int] = set()
    while True:
        moving = {pid: state for pid, state in find().items() if state not in "Tt"}
        fresh = moving.keys() - signalled
        for pid in fresh:
            signal_one(pid, signal.SIGSTOP)
        signalled |= fresh
        # D: a parent in the middle of vfork stops only after its child, which is stopped, goes on.
        if not fresh and (set(moving.values()) <= {"D"} or time.monotonic() > until):
            return
        os.sched_yield()


def continue_all(stopped_before: set[int]) -> None:
    """Continue every process except those that were stopped on their own account."""
    for pid in others():
        if pid not in stopped_before:
            signal_one(pid, signal.SIGCONT)


def kill(find: Callable[[], dict[int, str]], until: float) -> None:
    """Kill every process that is found until none is left, or until a time.

    One scan is not enough: a process can fork after the scan has passed the number of its child.
    Scanning and killing again may never come to an end either, because a fork bomb fills the places
    of the killed. So whatever outlives the first round is stopped before it is killed: the stopped
    do not fork, and go on counting for the limit of processes.
    """
    for pid in find():
        signal_one(pid, signal.SIGKILL)
    while find() and time.monotonic() < until:
        stop(find, until)
        for pid in find():
            signal_one(pid, signal.SIGKILL)


def kill_all() -> None:
    """Kill every process below this one."""
    kill(others, float("inf"))


def kill_session(leader: int) -> None:
    """Kill every process of a kernel session: the groups of a shell that has jobs, too."""
    kill(lambda: session_members(leader), time.monotonic() + KILL_WITHIN)


def children_wakeup() -> int:
    """Return a descriptor that becomes readable when a child has ended."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read


def collect() -> dict[int, int]:
    """Return the exit status of every child that has ended."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = status


def signal_one(pid: int, number: int) -> None:
    """Signal a process that may be gone already."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def signal_group(pid: int, number: int) -> None:
    """Signal a process group that may be gone already."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def exit_code(status: int) -> int:
    """Turn a wait status into the shell's number: 128 + n for signal n."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
