"""Resources of a process and its children, read from /proc."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator


@attrs.frozen
class Footprint:
    """The resources of a service at one moment.

    Attributes:
        processes: All below it.
        descriptors: Its open files and sockets.
        mounts: The largest mount table of its threads; one thread has a private one.
        directories: Those of sessions in its home.
    """

    processes: int
    descriptors: int
    mounts: int
    directories: int

    @classmethod
    def of(cls, pid: int, home: Path) -> Footprint:
        """Measure a service and its home."""
        tables = Path(f"/proc/{pid}/task").glob("*/mountinfo")
        return cls(
            processes=len(below(pid)),
            descriptors=len(os.listdir(f"/proc/{pid}/fd")),
            mounts=max(len(table.read_text().splitlines()) for table in tables),
            directories=len(os.listdir(home / "sessions")),
        )


def below(pid: int) -> list[int]:
    """Return every process that descends from one."""
    found = list(_children(pid))
    for child in found:
        found.extend(_children(child))
    return found


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                yield from map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())


def memory(pids: list[int]) -> tuple[int, int]:
    """Return the bytes of processes in memory: shared pages shared out, and counted for each."""
    shared_out = counted = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, figure = line.partition(":")
                shared_out += int(figure.split()[0]) * 1024 if name == "Pss" else 0
                counted += int(figure.split()[0]) * 1024 if name == "Rss" else 0
    return shared_out, counted


def available() -> int:
    """Return the bytes that this machine could still give, what its kernel holds left out."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def cpu(pid: int) -> float:
    """Return the seconds that the threads of a process have computed, those that ended left out."""
    spent = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            spent += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return spent / 1e9


def forget_peak(pid: int) -> None:
    """Let the peak of a process's memory begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def status_bytes(pid: int, field: str) -> int:
    """Return a number of bytes from the status of a process, such as ``VmHWM``, its peak."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(found[1]) * 1024 if found else 0
