"""The state file of a running service, for other commands: its process, address and key.

The service locks the file before it gets its name, and holds the lock until it has stopped. The
kernel releases the lock of a process that is killed. So a file that nobody locks is stale, whatever
it says, and the process id in a locked one belongs to the service.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import tempfile
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._paths import data_dir

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agentbay_local.service import LocalService

__all__ = ["RunningService", "StateFile", "default_home", "find_running", "home_option"]

_NAME = "service.json"
_MAX_BYTES = 1024 * 1024


def default_home() -> Path:
    """Return the home of services in the background.

    Raises:
        ConfigurationError: The home directory of the user is unknown.
    """
    return data_dir(os.environ) / "local"


def home_option(home: Path) -> str:
    """Return the option that leads other commands to a home; "" for the default one."""
    return "" if home == default_home() else f" --home {shlex.quote(str(home))}"


@attrs.frozen
class RunningService:
    """A running service, as its state file describes it.

    Attributes:
        pid: Its process id.
        endpoint: Its URL.
        api_key: The key that clients must send.
        ca_file: The certificate that clients must trust; "" without TLS.
        ca_bundle: The same certificate with those that the machine trusts; "" without TLS.
        isolation: The level of isolation of its sessions.
        started: The time of its start, in Unix seconds.
        options: The options that it was started with.
    """

    pid: int = attrs.field(validator=attrs.validators.instance_of(int))
    endpoint: str
    api_key: str = attrs.field(repr=False)
    ca_file: str
    ca_bundle: str
    isolation: str
    started: float
    options: Mapping[str, Any] = attrs.field(validator=attrs.validators.instance_of(dict))

    @classmethod
    def of(
        cls, service: LocalService, options: Mapping[str, Any], started: float
    ) -> RunningService:
        """Describe a service that runs in this process."""
        return cls(
            pid=os.getpid(),
            endpoint=service.endpoint,
            api_key=service.api_key,
            ca_file=str(service.ca_file or ""),
            ca_bundle=str(service.ca_bundle or ""),
            isolation=service.isolation.isolation.value,
            started=started,
            options=options,
        )


class StateFile:
    """The state file of the service in this process; close it after the service has stopped."""

    def __init__(self) -> None:
        self._handle: int | None = None

    def write(self, home: Path, running: RunningService) -> None:
        """Replace the state file of a home. Only the service that holds the home may do this.

        Raises:
            OSError: It cannot be written.
        """
        self._handle, path = tempfile.mkstemp(dir=home)
        try:
            # Locked before it has its name: nobody ever sees a file of this service without a lock.
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            text = json.dumps(attrs.asdict(running)).encode()
            # On a disk that is nearly full, a part may be written without an error.
            if os.write(self._handle, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.replace(path, home / _NAME)
        except BaseException:
            os.unlink(path)
            raise

    def close(self) -> None:
        """Empty the file and unlock it. Repeatable.

        The name stays: it may already be that of the file of the next service.
        """
        handle, self._handle = self._handle, None
        if handle is not None:
            os.truncate(handle, 0)
            os.close(handle)


def find_running(home: Path) -> RunningService | None:
    """Return the service that runs in a home; None if there is none.

    Raises:
        OSError: The state file cannot be read.
        ValueError: A running service has a damaged one, or one of another user.
    """
    path = home / _NAME
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        if not _is_locked(file.fileno()):
            return None
        # Somebody else's file could name any process of this user.
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise ValueError(f"the service in {home} belongs to another user")
        text = file.read(_MAX_BYTES)
    return _parse(text, path) if text else None


def _is_locked(handle: int) -> bool:
    try:
        # Shared, because other commands look at the same time.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _parse(text: bytes, path: Path) -> RunningService:
    try:
        return RunningService(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"a service runs in {path.parent}, but {path} is damaged; end its process"
        ) from error
