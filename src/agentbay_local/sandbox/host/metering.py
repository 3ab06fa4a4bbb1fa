"""What a session takes at the moment, measured from outside."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host import process_tree, usage
from agentbay_local.sandbox.values import Consumption

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_local.sandbox.values import SandboxSpec

__all__ = ["consumed"]

TICKS = os.sysconf("SC_CLK_TCK")


def consumed(agent: int, spec: SandboxSpec, stop: Callable[[], bool]) -> Consumption:
    """Measure a session.

    Args:
        agent: The session's agent, as the host numbers it.
        spec: Its directory and limits.
        stop: Asked all the time whether to stop counting its files where it is.

    Raises:
        OSError: The session is gone.
    """
    members, limits = process_tree.family(agent), spec.limits
    disk = usage.used_bytes(spec.root, None, stop)
    machine = os.sysconf("SC_PHYS_PAGES") * process_tree.PAGE
    room = disk + usage.free_bytes(spec.root)
    processes = [agent, *(member.pid for member in members)]
    received, sent = _traffic(agent)
    return Consumption(
        memory_bytes=process_tree.shared_out(members),
        memory_most=min(machine, limits.memory_bytes or machine),
        disk_bytes=disk,
        disk_most=min(room, limits.disk_bytes or room),
        cpu_seconds=sum(_processor_time(pid) for pid in processes),
        received_bytes=received,
        sent_bytes=sent,
    )


def _processor_time(pid: int) -> float:
    """Return the seconds a process and those it has waited for have computed."""
    with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
        fields = process_tree.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def _traffic(pid: int) -> tuple[int, int]:
    """Return the bytes that came to and went from a process's network, its loopback left out."""
    received = sent = 0
    for line in process_tree.read(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(b":")
        fields = numbers.split()
        if name.strip() != b"lo" and len(fields) > 8:
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent
