"""Control groups of services that were killed: found by their names, and removed.

The name of a group says which service made it. So nothing has to be recorded, and a group that
another service has just made is never taken for a leftover.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_local.sandbox.cgroups.cgroup import read_file, remove_group

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["own_prefix", "remove_own", "sweep", "sweep_in"]

NAME = re.compile(r"(agentbay\.(\d+)\.(\d+)\.(\d+))\.(?:\d+|service)")
"""Namespace of process ids, process id and start of the service; then a number."""

MOST_DIRECTORIES = 50_000


def own_prefix() -> str:
    """Return the beginning of the names of this service's groups."""
    return _prefix(os.getpid())


def sweep() -> int:
    """Remove the groups of services that have ended; return how many. Blocking, short."""
    mounts = [
        Path(line.split()[4])
        for line in read_file(Path("/proc/self/mountinfo")).splitlines()
        if " - cgroup" in line
    ]
    return sum(sweep_in(mount) for mount in mounts)


def sweep_in(top: Path) -> int:
    """Remove the groups of services that have ended below a directory; return how many."""
    removed = 0
    for visited, (directory, names, _) in enumerate(os.walk(top)):
        if visited > MOST_DIRECTORIES:
            break
        leftovers = [name for name in names if _is_leftover(name)]
        names[:] = [name for name in names if not NAME.fullmatch(name)]
        for name in leftovers:
            # Another user's, or another service removes it at this moment.
            with contextlib.suppress(OSError):
                remove_group(Path(directory, name))
                removed += 1
    return removed


def remove_own(parents: Iterable[Path]) -> None:
    """Kill the sessions of this process and remove their groups, at its end. Blocking.

    Args:
        parents: The directories that groups are made in.
    """
    for parent in dict.fromkeys(parents):
        for group in parent.glob(f"{own_prefix()}.[0-9]*"):
            with contextlib.suppress(OSError):  # the next service that starts removes it
                remove_group(group)


def _is_leftover(name: str) -> bool:
    """Return whether the service that made a group has ended.

    A service in another namespace of process ids cannot be looked up, so its groups are kept.
    """
    found = NAME.fullmatch(name)
    if found is None or found[2] != str(_namespace()):
        return False
    try:
        return _prefix(int(found[3])) != found[1]
    except (FileNotFoundError, ProcessLookupError):
        return True


def _prefix(pid: int) -> str:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return f"agentbay.{_namespace()}.{pid}.{int(fields[19])}"


def _namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
