"""The processes of a session: who they are, stopping and continuing them, ending them."""

from __future__ import annotations

import os
import signal
import time

STOP_WITHIN = 5.0


def others() -> dict[int, str]:
    """Return the state letter of every process below this one; zombies are left out."""
    parents, states, own = {}, {}, os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/" + name + "/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            states[int(name)] = fields[0].decode("ascii")
            parents[int(name)] = int(fields[1])
    return {
        pid: state
        for pid, state in states.items()
        if pid != own and state not in "ZX" and (own == 1 or descends(pid, own, parents))
    }


def descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    """Say whether a process is a child, grandchild, ... of another."""
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
    told: set[int] = set()
    until = time.monotonic() + STOP_WITHIN
    while True:
        moving = {pid: state for pid, state in others().items() if state not in "Tt"}
        fresh = moving.keys() - told
        for pid in fresh:
            signal_one(pid, signal.SIGSTOP)
        told |= fresh
        # D: a parent in the middle of vfork stops only after its child, which is stopped, goes on.
        if not fresh and (set(moving.values()) <= {"D"} or time.monotonic() > until):
            return before
        os.sched_yield()


def continue_all(stopped_before: set[int]) -> None:
    """Continue every process except those that were stopped on their own account."""
    for pid in others():
        if pid not in stopped_before:
            signal_one(pid, signal.SIGCONT)


def end_all() -> None:
    """Kill every process below this one and collect it."""
    while True:
        left = others()
        if not left:
            return
        for pid in left:
            signal_one(pid, signal.SIGKILL)
        collect()


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


def signal_session(leader: int, number: int) -> None:
    """Signal every process of a kernel session: the groups of a shell that has jobs, too."""
    signal_group(leader, number)
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getsid(int(name)) == leader:
                    signal_one(int(name), number)
            except (ProcessLookupError, PermissionError):
                continue


def exit_code(status: int) -> int:
    """Turn a wait status into the shell's number: 128 + n for signal n."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
