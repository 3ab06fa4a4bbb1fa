"""Find out where this service may make control groups, by making one.

A group is made below the group of the service, so that its own limits hold for its sessions too.
Version 2 wants more than that: a group whose children have controllers may have no processes of its
own. So a service that is alone in its group moves to a child of it; where other programs share the
group, the nearest group above that the service may use is taken, such as the slice of a user.

Mounts prove nothing: version 2 may be mounted without any controller.
"""

from __future__ import annotations

import itertools
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.cgroups import cgroup, leftovers
from agentbay_local.sandbox.cgroups.cgroup import CONTROLLERS, Cgroup, read_file
from agentbay_local.sandbox.cgroups.v1 import CgroupV1
from agentbay_local.sandbox.cgroups.v2 import CgroupV2
from agentbay_local.sandbox.values import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NO_CGROUPS", "Cgroups", "detect", "detect_in"]

_numbers = itertools.count(1)


@attrs.frozen
class Cgroups:
    """Makes the control groups of sessions.

    Attributes:
        kind: The class of the groups.
        parents: For each controller that can be used, the directory to make groups in.

    Example:
        >>> NO_CGROUPS.describe()
        'none'
    """

    kind: type[Cgroup] = Cgroup
    parents: Mapping[str, Path] = attrs.field(factory=dict)

    def make(self, limits: Limits) -> Cgroup:
        """Make a group with a name that no other service uses.

        Raises:
            OSError: The kernel refuses.
        """
        name = f"{leftovers.own_prefix()}.{next(_numbers)}"
        made = self.kind({one: parent / name for one, parent in self.parents.items()})
        made.make(limits)
        return made

    def describe(self) -> str:
        """Return the version and the controllers, or "none"."""
        if not self.parents:
            return "none"
        return f"{self.kind.version} ({', '.join(sorted(self.parents))})"


NO_CGROUPS = Cgroups()
"""For machines without usable control groups: the service watches the limits itself."""


@cache
def detect() -> Cgroups:
    """Find out, once in a process, where this service may make control groups. Blocking, short."""
    return detect_in(Path("/"), os.getpid())


def detect_in(root: Path, pid: int) -> Cgroups:
    """Find out where a service may make control groups.

    Args:
        root: The directory that has `proc` and the mounts.
        pid: The process id of the service.
    """
    own = _own_groups(read_file(root / "proc/self/cgroup"))
    mounts = list(_mounts(read_file(root / "proc/self/mountinfo")))
    for mount in mounts:
        if mount.version == 2 and "" in own:
            group = mount.directory_of(root, own[""])
            found = _usable_v2(root / mount.point.lstrip("/"), group, pid)
            if found.parents:
                return found
    return _usable_v1(root, own, mounts)


@attrs.frozen
class _Mount:
    """A mounted hierarchy of control groups.

    Attributes:
        version: 1 or 2.
        point: Where it is mounted.
        group: The group that is seen at the mount point.
        controllers: The controllers of version 1.
    """

    version: int
    point: str
    group: str
    controllers: frozenset[str]

    def directory_of(self, root: Path, group: str) -> Path:
        """Return the directory of a group."""
        # In a container without a namespace for control groups, its own group is mounted.
        below = os.path.relpath(group, self.group) if self.group != "/" else group.lstrip("/")
        if below.startswith(".."):
            below = "."
        return root / self.point.lstrip("/") / below


def _own_groups(text: str) -> dict[str, str]:
    """Return the group of the service for each controller; for version 2 under an empty name."""
    found = {}
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), group))
    return found


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and len(kind) > 2 and kind[0] in ("cgroup", "cgroup2"):
            version = 2 if kind[0] == "cgroup2" else 1
            names = frozenset(kind[2].split(",")) if version == 1 else frozenset()
            yield _Mount(version, fields[4], fields[3], names)


def _usable_v1(root: Path, own: Mapping[str, str], mounts: list[_Mount]) -> Cgroups:
    parents = {}
    for controller in CONTROLLERS:
        for mount in mounts:
            if controller in mount.controllers and controller in own:
                directory = mount.directory_of(root, own[controller])
                if _can_make(CgroupV1, {controller: directory}):
                    parents[controller] = directory
    return Cgroups(CgroupV1, parents) if parents else NO_CGROUPS


def _usable_v2(top: Path, own: Path, pid: int) -> Cgroups:
    """Return the nearest group at or above the service's own that can limit memory."""
    for directory in (own, *own.parents):
        if not directory.is_relative_to(top):
            break
        enabled = _enable(directory, pid if directory == own else None)
        parents = dict.fromkeys(enabled, directory)
        if "memory" in enabled and _can_make(CgroupV2, parents):
            return Cgroups(CgroupV2, parents)
    return NO_CGROUPS


def _enable(directory: Path, pid: int | None) -> list[str]:
    """Enable the controllers for the children of a group; return those that are enabled.

    Args:
        directory: The group.
        pid: The service, if this is its own group.
    """
    offered = read_file(directory / "cgroup.controllers").split()
    enabled = set(read_file(directory / "cgroup.subtree_control").split())
    missing = [one for one in CONTROLLERS if one in offered and one not in enabled]
    if missing and _leave_empty(directory, pid):
        for one in missing:
            try:
                cgroup.write_file(directory / "cgroup.subtree_control", f"+{one}")
            except OSError:
                continue
            enabled.add(one)
    return [one for one in CONTROLLERS if one in enabled]


def _leave_empty(directory: Path, pid: int | None) -> bool:
    """Return whether controllers can be enabled; move the service to a child if it is alone."""
    # The root of the hierarchy, which has no such file, may have processes of its own.
    if not (directory / "cgroup.type").exists():
        return True
    members = read_file(directory / "cgroup.procs").split()
    if members != [str(pid)]:
        return not members
    leaf = directory / f"{leftovers.own_prefix()}.service"
    try:
        cgroup.make_directory(leaf)
        cgroup.write_file(leaf / "cgroup.procs", str(pid))
    except OSError:
        return False
    return True


def _can_make(kind: type[Cgroup], parents: Mapping[str, Path]) -> bool:
    """Return whether a group can be made and limited there, by doing it."""
    try:
        Cgroups(kind, parents).make(Limits(cpus=1)).remove()
    except OSError:
        return False
    return True
