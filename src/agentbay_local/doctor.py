"""What ``agentbay doctor`` says: how sessions would be isolated here, line by line.

Each level is tried, not guessed. A line begins with the name of what it is about, so that programs
can find it.
"""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from agentbay_local.sandbox import seccomp
from agentbay_local.sandbox.base import Isolation, Limits
from agentbay_local.sandbox.probe import Capability, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["report"]

_MIB = 1024 * 1024


async def report() -> tuple[bool, list[str]]:
    """Probe this machine.

    Returns:
        Whether sessions are isolated without further options, and the lines to show.
    """
    namespaces = await probe(Isolation.NAMESPACES)
    landlock = await probe(Isolation.LANDLOCK)
    lines = [*_namespaces(namespaces), *_landlock(landlock, namespaces), _seccomp(), *_limits()]
    return namespaces.available, lines


def _namespaces(found: Capability) -> Iterator[str]:
    if found.available:
        yield "namespaces: available. Sessions are isolated on this machine."
        return
    yield f"namespaces: not available. {found.reason}"
    yield f"To cure it: {found.remedy}"


def _landlock(found: Capability, stronger: Capability) -> Iterator[str]:
    if not found.available:
        yield f"landlock: not available. {found.reason}"
        return
    use = (
        "not needed here"
        if stronger.available
        else "use it by --isolation landlock; it is never taken without being asked for"
    )
    yield f"landlock: available; {use}. {found.detail}"


def _seccomp() -> str:
    count = seccomp.count_refused_calls()
    if count:
        return f"seccomp: sessions are kept from {count} system calls and from unusual sockets."
    machine = os.uname().machine
    return f"seccomp: not used; the system calls of a {machine} are not known. Namespaces remain."


def _limits() -> Iterator[str]:
    usual = Limits()
    yield (
        f"limits: each session may have {usual.processes} processes, {usual.open_files} open files "
        f"in each, and {usual.shared_memory_bytes // _MIB} MiB of /dev/shm; these are hard. "
        f"{_size(usual.memory_bytes)} of memory and {_size(usual.disk_bytes)} of disk are watched, "
        "and can be passed for a moment."
    )
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield f"limits: the service itself may have {files} open files (ulimit -n)."


def _size(limit: int | None) -> str:
    return "Any amount" if limit is None else f"{limit // _MIB} MiB"
