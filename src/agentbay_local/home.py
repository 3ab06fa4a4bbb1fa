"""The home of a service: its state directory, locked against other services."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host.removal import remove_tree_now

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Home", "HomeInUseError"]


class HomeInUseError(RuntimeError):
    """Another service uses that directory."""


# From the kernel's headers; the calls are defined for a long, and take an int.
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_TOP_OF_HIERARCHIES = 0x20000


@attrs.define
class Home:
    """A locked state directory.

    Attributes:
        path: The directory; private to the user of the service.
        temporary: Whether `close` removes it.
    """

    path: Path
    temporary: bool
    _lock: int = attrs.field(repr=False)

    @classmethod
    def open(cls, path: Path | None) -> Self:
        """Create the directory if necessary, and lock it.

        Args:
            path: The directory; None makes a temporary one.

        Raises:
            HomeInUseError: Another running service uses it.
            OSError: It cannot be created or written.
        """
        directory = Path(tempfile.mkdtemp(prefix="agentbay-")) if path is None else path.absolute()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # The kernel releases the lock when the process dies, even by a crash.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise HomeInUseError(
                f"another AgentBay local service is using {directory}; stop it "
                f"or choose another home"
            ) from error
        # SQLite would create the file readable for other users.
        (directory / "state.db").touch(mode=0o600)
        for leftover in directory.glob("snapshot-*"):
            remove_tree_now(leftover)
        for name in ("sessions", "contexts"):
            (directory / name).mkdir(mode=0o700, exist_ok=True)
            _mark_unrelated(directory / name)
        return cls(directory, path is None, lock)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "state.db"

    @property
    def sessions(self) -> Path:
        """The parent of every session's directory."""
        return self.path / "sessions"

    @property
    def contexts(self) -> Path:
        """The parent of every context's directory."""
        return self.path / "contexts"

    @property
    def tls(self) -> Path:
        """The directory of the certificate authority."""
        return self.path / "tls"

    @property
    def lost_and_found(self) -> Path:
        """The directory of context files without a row; created with the first one."""
        return self.path / "lost+found"

    @property
    def running(self) -> Path:
        """The directory that records the live processes of sessions."""
        return self.path / "running"

    def secret(self) -> bytes:
        """Return the signing secret of the service, created on first use."""
        file = self.path / "secret"
        if not file.exists():
            fresh = file.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_bytes(secrets.token_bytes(32))
            # Renamed, so that a crash never leaves half a secret.
            fresh.replace(file)
        return file.read_bytes()

    def close(self) -> None:
        """Unlock the directory, and remove it if it is temporary. Blocking."""
        if self.temporary:
            remove_tree_now(self.path)
        os.close(self._lock)


def _mark_unrelated(directory: Path) -> None:
    """Let ext4 spread the directories below one over the disk, as ``chattr +T`` does.

    It keeps together what is below one directory. Where sessions come and go, that place is full of
    inodes that were deleted a moment ago, and ext4 passes over all of them, for up to five minutes,
    with each file that it creates. Other file systems have no such mark, and need none.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # It is a hint: where it cannot be given, everything works.
        with contextlib.suppress(OSError):
            flags = struct.unpack("i", fcntl.ioctl(opened, _GET_FLAGS, bytes(4)))[0]
            fcntl.ioctl(opened, _SET_FLAGS, struct.pack("i", flags | _TOP_OF_HIERARCHIES))
    finally:
        os.close(opened)
