"""The directory a service keeps its state in, and the lock that makes it the only one there."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host.removal import remove_tree_now

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Home", "HomeInUseError"]


class HomeInUseError(RuntimeError):
    """Another service works in that directory."""


@attrs.define
class Home:
    """A locked state directory.

    Attributes:
        path: The directory; private to the user who runs the service.
        temporary: It was made for this service, and goes with it.
    """

    path: Path
    temporary: bool
    _lock: int = attrs.field(repr=False)

    @classmethod
    def open(cls, path: Path | None) -> Self:
        """Create the directory when needed, and lock it.

        Args:
            path: Where; ``None`` makes a temporary directory.

        Raises:
            HomeInUseError: Another running service has it.
            OSError: It cannot be created or written.
        """
        where = Path(tempfile.mkdtemp(prefix="agentbay-")) if path is None else path.absolute()
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(where / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise HomeInUseError(
                f"another AgentBay local service is using {where}; stop it or choose another home"
            ) from error
        # Made here, because SQLite would let the rest of the machine read it.
        (where / "state.db").touch(mode=0o600)
        for leftover in where.glob("snapshot-*"):
            remove_tree_now(leftover)
        for name in ("sessions", "contexts"):
            (where / name).mkdir(mode=0o700, exist_ok=True)
        return cls(where, path is None, lock)

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
    def running(self) -> Path:
        """Where the live processes of sessions are written down."""
        return self.path / "running"

    def secret(self) -> bytes:
        """Return the service's signing secret, made at first use and kept from then on."""
        file = self.path / "secret"
        if not file.exists():
            fresh = file.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_bytes(secrets.token_bytes(32))
            fresh.replace(file)
        return file.read_bytes()

    def close(self) -> None:
        """Unlock; a temporary directory is removed. Blocking."""
        if self.temporary:
            remove_tree_now(self.path)
        os.close(self._lock)
