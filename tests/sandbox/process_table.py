"""Inspect the processes of the host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def gone(pid: int, within: float = 10.0) -> bool:
    """Wait for the end of a process that is not our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    ended = bool(poll.poll(within * 1000))
    os.close(handle)
    return ended


def facts(pid: int) -> list[str]:
    """Return the fields of `/proc/PID/stat` after the name: state, parent, ..."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return ["X", "0"]


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(facts(pid)[1])


def descendants(pid: int) -> set[int]:
    """Return every process of the host below one."""
    parents = {int(name): parent(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def is_agent(pid: int) -> bool:
    """Return whether a process is a session's agent, or the bubblewrap that started it."""
    return b"inside." in _command_line(pid) and not is_fork_server(pid)


def is_shell(pid: int) -> bool:
    """Return whether a process is the shell that kills a bubblewrap whose start is given up."""
    return _command_line(pid).startswith(b"/bin/sh\0")


def is_fork_server(pid: int) -> bool:
    """Return whether a process forks the sandboxes of a backend, or is its bubblewrap."""
    # What it has forked has its command line, and is in a namespace below its own.
    return b"inside.fork_server" in _command_line(pid) and len(namespace_pids(pid)) < 3


def namespace_pids(pid: int) -> list[str]:
    """Return the numbers of a process, from our namespace to its own; none if it has ended."""
    try:
        with open(f"/proc/{pid}/status") as lines:
            return next(line.split()[1:] for line in lines if line.startswith("NSpid"))
    except (OSError, StopIteration):
        return []


def _command_line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def owned_by(uid: int) -> list[int]:
    """Return every process of the host that runs as a user."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/status") as file:
            if f"\nUid:\t{uid}\t" in file.read():
                found.append(int(name))
    return found


def open_count() -> int:
    """Count this process's descriptors."""
    return len(os.listdir("/proc/self/fd"))


async def until_open_at_most(most: int) -> None:
    """Wait until this process has at most that many descriptors.

    A service that other tests share lives in this process too, and a thread measures the disk of a
    sandbox: both have some open for a moment. What has leaked stays open for ever.
    """
    until = time.monotonic() + 30
    while (count := open_count()) > most:
        assert time.monotonic() < until, f"{count - most} descriptors were left open"
        await asyncio.sleep(0.01)


async def until_stopped(pids: Sequence[int]) -> None:
    """Wait until one of these processes was stopped by a signal."""
    until = time.monotonic() + 30
    while not any(facts(pid)[0] == "T" for pid in pids):
        assert time.monotonic() < until, "no process has stopped"
        await asyncio.sleep(0.01)


def unique_sleep() -> str:
    """Return a long sleep command that no other test uses."""
    return f"sleep 4000.{secrets.randbelow(10**12):012}"


def still_running(command: str) -> str:
    """Return a shell line that prints processes with a command line until there are none."""
    return f"while ps -eo args | grep '[{command[0]}]{command[1:]}'; do :; done"
