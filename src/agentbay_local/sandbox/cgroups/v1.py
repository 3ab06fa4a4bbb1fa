"""Control groups of version 1, where each controller has a hierarchy of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbay_local.sandbox.cgroups import cgroup
from agentbay_local.sandbox.cgroups.cgroup import Cgroup, Events, read_file, read_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agentbay_local.sandbox.values import Limits

__all__ = ["CgroupV1"]

SOCKET_SHARE = 4
"""The memory limit divided by this is the separate limit for the buffers of TCP sockets.

The kernel slows them down there, but grants each socket some pages more; see `LimitEnforcer`.
"""


class CgroupV1(Cgroup):
    """A group of version 1."""

    version: ClassVar[str] = "v1"
    EVENT_FILES: ClassVar[Mapping[str, str]] = {
        "memory": "memory.oom_control",
        "pids": "pids.events",
    }

    @property
    def join_files(self) -> list[Path]:
        # A thread that moves itself has no others to wait for; `cgroup.procs` moves all threads.
        return [directory / "tasks" for directory in self._paths()]

    def _set_limits(self, limits: Limits) -> None:
        if limits.memory_bytes is not None:
            self._limit_memory(limits.memory_bytes)
        self._write("pids", "pids.max", str(limits.processes))
        if limits.cpus is not None:
            self._write("cpu", "cpu.cfs_period_us", str(cgroup.PERIOD))
            self._write("cpu", "cpu.cfs_quota_us", str(round(limits.cpus * cgroup.PERIOD)))

    def events(self) -> Events:
        return Events(
            oom_kills=self._numbers("memory", "memory.oom_control").get("oom_kill", 0),
            refused_forks=self._numbers("pids", "pids.events").get("max", 0),
            throttled=self._numbers("cpu", "cpu.stat").get("nr_throttled", 0),
        )

    def memory_bytes(self) -> int | None:
        directory = self._directories.get("memory")
        if directory is None or not (used := read_file(directory / "memory.usage_in_bytes")):
            return None
        cache = self._numbers("memory", "memory.stat").get("total_inactive_file", 0)
        return max(int(used) + self.uncounted_socket_bytes() - cache, 0)

    def uncounted_socket_bytes(self) -> int:
        directory = self._directories.get("memory")
        if directory is None:
            return 0
        return int(read_file(directory / "memory.kmem.tcp.usage_in_bytes") or "0")

    def _limit_memory(self, most: int) -> None:
        self._write("memory", "memory.limit_in_bytes", str(most))
        # The kernel may be built without these two.
        self._write("memory", "memory.memsw.limit_in_bytes", str(most), optional=True)
        sockets = str(most // SOCKET_SHARE)
        self._write("memory", "memory.kmem.tcp.limit_in_bytes", sockets, optional=True)

    def _write(self, controller: str, name: str, text: str, optional: bool = False) -> None:
        directory = self._directories.get(controller)
        if directory is not None and not (optional and not (directory / name).exists()):
            cgroup.write_file(directory / name, text)

    def _numbers(self, controller: str, name: str) -> dict[str, int]:
        directory = self._directories.get(controller)
        return {} if directory is None else read_numbers(directory / name)
