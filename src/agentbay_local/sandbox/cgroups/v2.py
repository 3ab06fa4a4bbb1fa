"""Control groups of version 2, where one directory has the files of all controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbay_local.sandbox.cgroups import cgroup
from agentbay_local.sandbox.cgroups.cgroup import Cgroup, Events, read_file, read_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agentbay_local.sandbox.values import Limits

__all__ = ["CgroupV2"]


class CgroupV2(Cgroup):
    """A group of version 2."""

    version: ClassVar[str] = "v2"
    EVENT_FILES: ClassVar[Mapping[str, str]] = {"memory": "memory.events", "pids": "pids.events"}

    def _set_limits(self, limits: Limits) -> None:
        (directory,) = self._paths()
        if "memory" in self.enforces and limits.memory_bytes is not None:
            cgroup.write_file(directory / "memory.max", str(limits.memory_bytes))
            # Kernels without swap do not have this file.
            if (directory / "memory.swap.max").exists():
                cgroup.write_file(directory / "memory.swap.max", "0")
            # The largest process is killed, and the session goes on.
            cgroup.write_file(directory / "memory.oom.group", "0")
        if "pids" in self.enforces:
            cgroup.write_file(directory / "pids.max", str(limits.processes))
        if "cpu" in self.enforces and limits.cpus is not None:
            quota = round(limits.cpus * cgroup.PERIOD)
            cgroup.write_file(directory / "cpu.max", f"{quota} {cgroup.PERIOD}")

    def events(self) -> Events:
        (directory,) = self._paths()
        return Events(
            oom_kills=self._count(directory / "memory.events", "oom_kill"),
            refused_forks=self._count(directory / "pids.events", "max"),
            throttled=self._count(directory / "cpu.stat", "nr_throttled"),
        )

    def memory_bytes(self) -> int | None:
        (directory,) = self._paths()
        if not (used := read_file(directory / "memory.current")):
            return None
        return max(int(used) - self._count(directory / "memory.stat", "inactive_file"), 0)

    @staticmethod
    def _count(path: Path, name: str) -> int:
        return read_numbers(path).get(name, 0)
