"""Making host paths reachable for a session's private user.

A service that runs as root drops to a private user before bubblewrap starts, and that user cannot
walk through directories such as /root. Mounts of exactly the needed directories solve it: they are
made on a thread with a mount namespace of its own, so neither the host nor the service sees them,
and the processes started from that thread do.

The same thread starts every sandbox, because `--die-with-parent` means the thread that forked.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agentbay_local.sandbox.errors import IsolationUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Mounts"]

T = TypeVar("T")

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_SLAVE, MNT_DETACH = 0x1000, 0x4000, 0x80000, 2
PARENTS = ("/run", "/tmp", "/var/tmp")  # noqa: S108 - the one directory made there is checked


class Mounts:
    """A thread that starts processes, and the mounts only they can see."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentbay-sandboxes")
        self._stage: Path | None = None
        self._mounted: dict[Path, Path] = {}
        self._last = 0

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Call something on the starting thread."""
        return asyncio.get_running_loop().run_in_executor(self._thread, function)

    def reachable(self, path: Path) -> Path:
        """Return a path to the same thing that any user can walk; starting thread only.

        Raises:
            IsolationUnavailable: There is none, and this machine does not let us make one.
        """
        path = path.resolve()
        if all(parent.stat().st_mode & 0o001 for parent in path.parents):
            return path
        return self._bind(path)

    def release(self, path: Path) -> None:
        """Undo `reachable` for a directory; starting thread only. Repeatable."""
        place = self._mounted.pop(path.resolve(), None)
        if place is not None:
            _call_libc("umount2", os.fsencode(place), MNT_DETACH)
            place.rmdir()

    def close(self) -> None:
        """End the thread, and with it every process it has started."""
        self._thread.shutdown(wait=True)

    def _bind(self, source: Path) -> Path:
        if source not in self._mounted:
            try:
                place = self._make_mount_point(source)
                _call_libc("mount", os.fsencode(source), os.fsencode(place), None, MS_BIND, None)
            except OSError as error:
                raise IsolationUnavailable(
                    f"{source} cannot be reached by a session's private user, and mounting it "
                    f"elsewhere failed ({error.strerror}).",
                    "move the service's home to a directory every user may enter, "
                    "or run the service as an ordinary user.",
                ) from error
            self._mounted[source] = place
        return self._mounted[source]

    def _make_mount_point(self, source: Path) -> Path:
        """Make an empty directory or file to mount on, as the source demands."""
        if self._stage is None:
            self._stage = _make_private_stage()
        self._last += 1
        place = self._stage / str(self._last)
        if source.is_dir():
            place.mkdir()
        else:
            place.touch()
        return place


def _make_private_stage() -> Path:
    """Leave the shared mount namespace and return an empty directory to mount on."""
    stage = _make_stage_directory()
    _call_libc("unshare", CLONE_NEWNS)
    _call_libc("mount", b"none", b"/", None, MS_REC | MS_SLAVE, None)
    _call_libc("mount", b"tmpfs", os.fsencode(stage), b"tmpfs", 0, b"mode=0711,size=64k")
    return stage


def _make_stage_directory() -> Path:
    """Return a directory of root's that every service shares: what is mounted there is private."""
    parent = next(d for d in PARENTS if os.path.isdir(d) and os.access(d, os.W_OK))
    stage = Path(parent, "agentbay-stage")
    with contextlib.suppress(FileExistsError):
        stage.mkdir(mode=0o711)
    facts = stage.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != 0 or facts.st_mode & 0o022:
        raise NotADirectoryError(errno.ENOTDIR, "someone else made it", str(stage))
    return stage


def _call_libc(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if getattr(libc, function)(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
