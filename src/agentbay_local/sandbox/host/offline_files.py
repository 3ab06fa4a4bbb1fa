"""Files of a session from the host, while the session is not running.

A session may leave any link behind, and a running one could swap a directory for a link between a
check and its use. So paths are not checked first: the kernel resolves each path as if the root were
"/" (openat2 with RESOLVE_IN_ROOT), and a link to /etc leads to the session's own /etc. And a
service that is root does all of it with the rights of the session's user, as the session could.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.sandbox.host.credentials import acting_as
from agentbay_local.sandbox.host.openat import open_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Self

    from agentbay_local.sandbox.values import OpenMode

__all__ = ["FoundFile", "OfflineFiles"]

FLAGS = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "r+": os.O_RDWR,
}
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


@attrs.frozen
class FoundFile:
    """A file, link or directory found on a walk.

    Attributes:
        path: Its path relative to the start of the walk.
        facts: The result of lstat.
    """

    path: str
    facts: os.stat_result

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory, and not a link to one."""
        return stat.S_ISDIR(self.facts.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.facts.st_mode)


class OfflineFiles:
    """The files of one session's root. Use it in a `with` block.

    Args:
        root: The host directory that is the session's "/".
        uid: The session's private user, who does it; None for the service's user.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as root, OfflineFiles(Path(root)) as files:
        ...     files.make_directory("/mnt/data")
        ...     [found.path for found in files.walk("/mnt")]
        ['data']
    """

    def __init__(self, root: Path, uid: int | None = None) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._uid = uid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def open(self, path: str, mode: OpenMode = "r") -> int:
        """Open a regular file without blocking; `w` and `a` make missing parents.

        Returns:
            A descriptor that the caller closes.

        Raises:
            SandboxOSError: It does not exist, or it is not a regular file.
        """
        flags = FLAGS[mode]
        if flags & os.O_CREAT:
            self.make_directory(os.path.dirname(path))
        with acting_as(self._uid):
            fd = self._open(path, flags & ~os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY, 0o644)
            try:
                _prepare_opened(fd, path, flags)
            except BaseException:
                os.close(fd)
                raise
        return fd

    def open_directory(self, path: str) -> int:
        """Open a directory; make it and its parents if they do not exist.

        Returns:
            A descriptor that the caller closes.

        Raises:
            SandboxOSError: It cannot be made, or it is not a directory.
        """
        self.make_directory(path)
        with acting_as(self._uid):
            return self._open(path, DIRECTORY)

    def make_directory(self, path: str) -> None:
        """Create a directory and its parents, owned by the session; an existing one is fine."""
        so_far = ""
        with acting_as(self._uid):
            for name in path.split("/"):
                parent, so_far = so_far, f"{so_far}/{name}" if name else so_far
                try:
                    os.close(self._open(so_far, os.O_PATH | os.O_DIRECTORY))
                except SandboxOSError as error:
                    if error.errno != errno.ENOENT:
                        raise
                    self._make(parent, name)

    def stat(self, path: str) -> os.stat_result:
        """Return the status of the target of a path."""
        with acting_as(self._uid):
            fd = self._open(path, os.O_PATH)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def walk(self, path: str) -> Iterator[FoundFile]:
        """Yield everything below a directory, each directory before its content.

        Links are not followed.
        """
        waiting = [""]
        while waiting:
            directory = waiting.pop()
            for found in sorted(self._list(path, directory), key=lambda found: found.path):
                yield found
                if found.is_dir:
                    waiting.append(found.path)

    def _list(self, top: str, directory: str) -> list[FoundFile]:
        with acting_as(self._uid):
            fd = self._open(f"{top}/{directory}", DIRECTORY | (os.O_NOFOLLOW if directory else 0))
        try:
            return [
                FoundFile(
                    os.path.join(directory, name), os.stat(name, dir_fd=fd, follow_symlinks=False)
                )
                for name in os.listdir(fd)
            ]
        finally:
            os.close(fd)

    def _make(self, parent: str, name: str) -> None:
        fd = self._open(parent, os.O_PATH | os.O_DIRECTORY)
        try:
            os.mkdir(name, 0o755, dir_fd=fd)
        except FileExistsError:
            pass  # a running session has made it meanwhile
        except OSError as error:
            raise SandboxOSError(error.errno or errno.EIO, f"{parent}/{name}") from None
        finally:
            os.close(fd)

    def _open(self, path: str, flags: int, mode: int = 0) -> int:
        try:
            return open_beneath(self._root, path or "/", flags | os.O_CLOEXEC, mode)
        except OSError as error:
            raise SandboxOSError(error.errno or errno.EIO, path or "/") from None


def _prepare_opened(fd: int, path: str, flags: int) -> None:
    kind = os.fstat(fd).st_mode
    if not stat.S_ISREG(kind):
        raise SandboxOSError(errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL, path)
    if flags & os.O_TRUNC:
        os.ftruncate(fd, 0)
