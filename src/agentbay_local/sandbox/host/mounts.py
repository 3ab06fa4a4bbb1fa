"""Mounts that make paths of the host reachable for a session's private user.

A service that runs as root drops to a private user before bubblewrap starts, and that user cannot
enter directories such as /root. So exactly the needed directories are mounted elsewhere, on a
thread with its own mount namespace: the processes that this thread starts see them, and neither the
host nor the rest of the service does.

The same thread starts every sandbox, because for `--die-with-parent` the kernel takes the thread
that forked for the parent.
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
    from collections.abc import Callable, Iterable

__all__ = ["Mounts"]

T = TypeVar("T")

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_SLAVE, MNT_DETACH = 0x1000, 0x4000, 0x80000, 2
PARENTS = ("/run", "/tmp", "/var/tmp")  # noqa: S108 - the one directory made there is checked


class Mounts:
    """A thread that starts processes, and the mounts that only they see."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentbay-sandboxes")
        self._stage: Path | None = None
        self._mounted: dict[Path, Path] = {}
        self._hidden: set[Path] = set()
        self._last = 0

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Call a function on the thread."""
        return asyncio.get_running_loop().run_in_executor(self._thread, function)

    def reachable(self, path: Path) -> Path:
        """Return a path to the same file that any user can walk; call it on the thread.

        Raises:
            IsolationUnavailable: There is none, and it cannot be mounted elsewhere.
        """
        path = path.resolve()
        if all(parent.stat().st_mode & 0o001 for parent in path.parents):
            return path
        return self._bind(path)

    def release(self, path: Path) -> None:
        """Undo `reachable` for a directory; call it on the thread. Repeatable."""
        mount_point = self._mounted.pop(path.resolve(), None)
        if mount_point is not None:
            _call_libc("umount2", os.fsencode(mount_point), MNT_DETACH)
            mount_point.rmdir()

    def hide(self, mount_point: Path, names: Iterable[Path]) -> None:
        """Mount /dev/null on files of a directory that `reachable` mounted; call it on the thread.

        Raises:
            IsolationUnavailable: A file cannot be hidden.
        """
        for target in (mount_point / name for name in names):
            if target in self._hidden:
                continue
            try:
                _call_libc("mount", b"/dev/null", os.fsencode(target), None, MS_BIND, None)
            except OSError as error:
                raise IsolationUnavailable(
                    f"{target.name} of the service's packages cannot be hidden ({error.strerror}).",
                    "run the service as an ordinary user.",
                ) from error
            self._hidden.add(target)

    def close(self) -> None:
        """End the thread, and with it every process that it has started."""
        self._thread.shutdown(wait=True)

    def _bind(self, source: Path) -> Path:
        if source not in self._mounted:
            try:
                mount_point = self._make_mount_point(source)
                _call_libc(
                    "mount", os.fsencode(source), os.fsencode(mount_point), None, MS_BIND, None
                )
            except OSError as error:
                raise IsolationUnavailable(
                    f"{source} cannot be reached by a session's private user, and mounting it "
                    f"elsewhere failed ({error.strerror}).",
                    "move the service's home to a directory every user may enter, "
                    "or run the service as an ordinary user.",
                ) from error
            self._mounted[source] = mount_point
        return self._mounted[source]

    def _make_mount_point(self, source: Path) -> Path:
        """Make an empty directory to mount a directory on, or an empty file to mount a file on."""
        if self._stage is None:
            self._stage = _make_private_stage()
        self._last += 1
        mount_point = self._stage / str(self._last)
        if source.is_dir():
            mount_point.mkdir()
        else:
            mount_point.touch()
        return mount_point


def _make_private_stage() -> Path:
    """Leave the shared mount namespace and return an empty directory to mount on."""
    stage = _make_stage_directory()
    _call_libc("unshare", CLONE_NEWNS)
    _call_libc("mount", b"none", b"/", None, MS_REC | MS_SLAVE, None)
    _call_libc("mount", b"tmpfs", os.fsencode(stage), b"tmpfs", 0, b"mode=0711,size=64k")
    return stage


def _make_stage_directory() -> Path:
    """Return a directory of root that all services share; what each mounts there is private."""
    parent = next(d for d in PARENTS if os.path.isdir(d) and os.access(d, os.W_OK))
    stage = Path(parent, "agentbay-stage")
    with contextlib.suppress(FileExistsError):
        stage.mkdir(mode=0o711)
    facts = stage.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != 0 or facts.st_mode & 0o022:
        raise NotADirectoryError(errno.ENOTDIR, "another user made it", str(stage))
    return stage


def _call_libc(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if getattr(libc, function)(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
