"""Detection of control groups, and version 2, on hierarchies that were recorded."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.cgroups import cgroup
from agentbay_local.sandbox.cgroups.cgroup import Events
from agentbay_local.sandbox.cgroups.detection import NO_CGROUPS, detect_in
from agentbay_local.sandbox.cgroups.v2 import CgroupV2
from agentbay_local.sandbox.values import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PID = 4321
V2_MOUNT = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
SCOPE = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r8.scope"
FILES = {
    "memory": {
        "memory.current": "5242880\n",
        "memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
        "memory.max": "max\n",
        "memory.oom.group": "0\n",
        "memory.stat": "anon 1048576\nfile 3145728\ninactive_file 1048576\n",
        "memory.swap.max": "max\n",
    },
    "pids": {"pids.current": "4\n", "pids.events": "max 7\n", "pids.max": "max\n"},
    "cpu": {
        "cpu.max": "max 100000\n",
        "cpu.stat": "usage_usec 900\nnr_periods 50\nnr_throttled 9\nthrottled_usec 1\n",
    },
}
ACCEPTED = {
    "cgroup.procs": r"\d+",
    "cpu.cfs_period_us": r"\d+",
    "cpu.cfs_quota_us": r"\d+",
    "cpu.max": r"\d+ \d+",
    "memory.limit_in_bytes": r"\d+",
    "memory.max": r"\d+",
    "memory.oom.group": "[01]",
    "memory.swap.max": r"\d+",
    "pids.max": r"\d+",
}
"""The files that the service writes, and what the kernel takes."""


class Hierarchy:
    """A directory tree that answers as the file system of control groups does."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.top = root / "sys/fs/cgroup"
        self._real_write = cgroup.write_file
        self._read_only: set[Path] = set()
        monkeypatch.setattr(cgroup, "make_directory", self.make_directory)
        monkeypatch.setattr(cgroup, "write_file", self.write_file)
        monkeypatch.setattr(cgroup, "remove_group", self.remove)
        self.removed: list[Path] = []

    def service(self, group: str, mountinfo: str = V2_MOUNT, more: str = "") -> None:
        """Set the group of the service, and the mounts."""
        (self.root / "proc/self").mkdir(parents=True)
        (self.root / "proc/self/cgroup").write_text(f"{more}0::{group}\n")
        (self.root / "proc/self/mountinfo").write_text(mountinfo)

    def group(
        self, path: str, offers: str, enabled: str = "", procs: str = "", writable: bool = True
    ) -> Path:
        """Make a group as a service manager would."""
        directory = self.top / path.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        self._fill(directory, offers.split())
        (directory / "cgroup.subtree_control").write_text(enabled + "\n")
        (directory / "cgroup.procs").write_text(procs)
        if not writable:
            self._read_only.add(directory)
        return directory

    def _fill(self, directory: Path, controllers: list[str]) -> None:
        (directory / "cgroup.controllers").write_text(" ".join(controllers) + "\n")
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            (directory / name).write_text("")
        if directory != self.top:
            (directory / "cgroup.type").write_text("domain\n")
            for controller in controllers:
                for name, content in FILES[controller].items():
                    (directory / name).write_text(content)

    def make_directory(self, path: Path) -> None:
        """Make a group as the kernel does: its files are those its parent enables."""
        if path.parent in self._read_only:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        path.mkdir()
        self._fill(path, (path.parent / "cgroup.subtree_control").read_text().split())

    def write_file(self, path: Path, text: str) -> None:
        """Write as the kernel does, with its rules."""
        group = path.parent
        if group in self._read_only:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        if path.name == "cgroup.subtree_control":
            if text[1:] not in (group / "cgroup.controllers").read_text().split():
                raise OSError(errno.ENOENT, "no such controller")
            if (group / "cgroup.procs").read_text().split() and group != self.top:
                raise OSError(errno.EBUSY, "the group has processes")
            if not re.fullmatch(r"\+\w+", text):
                raise OSError(errno.EINVAL, "Invalid argument")
            path.write_text(f"{path.read_text().strip()} {text[1:]}\n")
            return
        if path.name == "cgroup.procs":
            if (group / "cgroup.subtree_control").read_text().split() and group != self.top:
                raise OSError(errno.EBUSY, "its children have controllers")
            for procs in self.top.rglob("cgroup.procs"):
                left = [pid for pid in procs.read_text().split() if pid != text]
                procs.write_text("".join(f"{pid}\n" for pid in left))
            text = path.read_text() + text + "\n"
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        self._check_limit(path.name, text.strip())
        path.write_text("")
        self._real_write(path, text)

    @staticmethod
    def _check_limit(name: str, text: str) -> None:
        """Refuse what the kernel does not understand, and files that can only be read."""
        if name not in ACCEPTED:
            raise PermissionError(errno.EACCES, "Permission denied", name)
        if not re.fullmatch(ACCEPTED[name], text):
            raise OSError(errno.EINVAL, "Invalid argument", name)

    def remove(self, directory: Path) -> None:
        """Remove a group; the files of the kernel are no obstacle."""
        self.removed.append(directory)
        if directory.exists():
            for file in directory.iterdir():
                file.unlink()
            directory.rmdir()


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hierarchy:
    """Return an empty hierarchy."""
    return Hierarchy(tmp_path, monkeypatch)


def written(group: CgroupV2) -> Mapping[str, str]:
    """Return the limits of a group."""
    (directory,) = group._paths()
    names = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max")
    found = {name: directory / name for name in names}
    return {name: path.read_text().strip() for name, path in found.items() if path.exists()}


def test_service_alone_in_a_delegated_scope_moves_to_a_child(
    hierarchy: Hierarchy, tmp_path: Path
) -> None:
    """Controllers are enabled only for the children of a group without processes."""
    hierarchy.group("", "cpu memory pids", "cpu memory pids", "1\n2\n", writable=False)
    scope = hierarchy.group(SCOPE, "cpu memory pids", procs=f"{PID}\n")
    hierarchy.service(SCOPE)

    found = detect_in(tmp_path, PID)

    assert found.describe() == "v2 (cpu, memory, pids)"
    assert set(found.parents.values()) == {scope}
    assert (scope / "cgroup.procs").read_text() == ""
    (leaf,) = (path for path in scope.iterdir() if path.name.endswith(".service"))
    assert (leaf / "cgroup.procs").read_text() == f"{PID}\n"


def test_group_of_a_session_has_its_limits(hierarchy: Hierarchy, tmp_path: Path) -> None:
    """In the words of version 2."""
    hierarchy.group("", "cpu memory pids", "cpu memory pids", writable=False)
    hierarchy.group(SCOPE, "cpu memory pids", procs=f"{PID}\n")
    hierarchy.service(SCOPE)
    limits = Limits(memory_bytes=1_000_000, processes=30, cpus=1.5)

    group = detect_in(tmp_path, PID).make(limits)

    assert isinstance(group, CgroupV2)
    assert group.enforces == {"memory", "pids", "cpu"}
    assert written(group) == {
        "memory.max": "1000000",
        "memory.swap.max": "0",
        "memory.oom.group": "0",
        "pids.max": "30",
        "cpu.max": "150000 100000",
    }
    assert group.events() == Events(oom_kills=2, refused_forks=7, throttled=9)
    assert group.memory_bytes() == 4 * 1024**2
    group.add(77)
    (directory,) = group._paths()
    assert (directory / "cgroup.procs").read_text() == "77\n"
    group.remove()
    assert hierarchy.removed[-1] == directory
    assert (group.events(), group.memory_bytes()) == (Events(), None)


def test_shared_group_is_left_for_the_nearest_usable_one_above(
    hierarchy: Hierarchy, tmp_path: Path
) -> None:
    """Other programs run in the group of a terminal; the slice of the user is there for all."""
    hierarchy.group("", "cpu memory pids", "cpu memory pids", writable=False)
    slice_ = hierarchy.group(
        "/user.slice/user-1000.slice/user@1000.service/app.slice", "memory pids", "memory pids"
    )
    scope = hierarchy.group(SCOPE, "memory pids", procs=f"10\n{PID}\n")
    hierarchy.service(SCOPE)

    found = detect_in(tmp_path, PID)

    assert dict(found.parents) == {"memory": slice_, "pids": slice_}
    assert (scope / "cgroup.procs").read_text() == f"10\n{PID}\n"
    assert (scope / "cgroup.subtree_control").read_text().split() == []


def test_group_that_belongs_to_the_system_is_not_usable(
    hierarchy: Hierarchy, tmp_path: Path
) -> None:
    """A login over ssh is in a group that nobody delegated."""
    session = "/user.slice/user-1000.slice/session-3.scope"
    hierarchy.group("", "cpu memory pids", "cpu memory pids", "1\n", writable=False)
    for path in ("/user.slice", "/user.slice/user-1000.slice"):
        hierarchy.group(path, "cpu memory pids", "cpu memory pids", writable=False)
    hierarchy.group(session, "memory pids", procs=f"9\n{PID}\n", writable=False)
    hierarchy.service(session)

    assert detect_in(tmp_path, PID) == NO_CGROUPS
    assert NO_CGROUPS.make(Limits()).enforces == frozenset()


def test_mount_without_controllers_proves_nothing(hierarchy: Hierarchy, tmp_path: Path) -> None:
    """Version 2 is mounted beside version 1 on many machines, and has no memory there."""
    hierarchy.group("", "", procs=f"{PID}\n")
    hierarchy.service("/")

    assert detect_in(tmp_path, PID).parents == {}


REAL_MOUNT = """
import os, subprocess, sys
from pathlib import Path
from agentbay_local.sandbox.cgroups.detection import detect_in

root = Path(sys.argv[1])
point = root / "sys/fs/cgroup"
point.mkdir(parents=True)
subprocess.run(["mount", "-t", "cgroup2", "none", point], check=True)
(root / "proc/self").mkdir(parents=True)
(root / "proc/self/cgroup").write_text("0::/\\n")
(root / "proc/self/mountinfo").write_text("35 24 0:30 / /sys/fs/cgroup rw - cgroup2 none rw\\n")
before = sorted(path.name for path in point.iterdir())
print("memory" in (point / "cgroup.controllers").read_text().split())
print(detect_in(root, os.getpid()).describe())
print(sorted(path.name for path in point.iterdir()) == before)
"""


def test_real_mount_without_controllers_is_not_used(tmp_path: Path) -> None:
    """The kernel itself says so, where its controllers belong to version 1; nothing is left."""
    if os.geteuid():
        pytest.skip("only root mounts anything")
    command = ["unshare", "--mount", sys.executable, "-c", REAL_MOUNT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mount:" in done.stderr or done.stdout.startswith("True"):
        pytest.skip("this machine does not mount version 2 without controllers")

    assert (done.stdout, done.stderr) == ("False\nnone\nTrue\n", "")


def test_root_of_the_hierarchy_may_have_processes(hierarchy: Hierarchy, tmp_path: Path) -> None:
    """The rule against processes beside controllers does not hold there."""
    hierarchy.group("", "cpu memory pids", procs=f"1\n2\n{PID}\n")
    hierarchy.service("/")

    found = detect_in(tmp_path, PID)

    assert set(found.parents.values()) == {hierarchy.top}
    assert found.describe() == "v2 (cpu, memory, pids)"


def test_controllers_of_version_1_are_found_at_their_mounts(
    hierarchy: Hierarchy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container without a namespace for them, its own group is mounted."""
    mounts = (
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 /docker/a1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "39 31 0:36 / /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n"
    )
    own = "6:memory:/docker/a1/inner\n5:cpu,cpuacct:/docker/a1\n4:pids:/docker/a1\n"
    hierarchy.service("/", mounts, own)
    files = ("cpu.cfs_period_us", "cpu.cfs_quota_us", "memory.limit_in_bytes")

    def make_directory(path: Path) -> None:
        if "pids" in path.parts:
            raise OSError(errno.EROFS, "Read-only file system")
        path.mkdir()
        for name in files:
            if name.startswith(("cpu", "memory")):
                (path / name).write_text("")

    monkeypatch.setattr(cgroup, "make_directory", make_directory)
    memory, cpu = hierarchy.top / "memory/inner", hierarchy.top / "cpu,cpuacct/docker/a1"
    for directory in (memory, cpu):
        directory.mkdir(parents=True)

    found = detect_in(tmp_path, PID)

    assert dict(found.parents) == {"memory": memory, "cpu": cpu}
    assert found.describe() == "v1 (cpu, memory)"
