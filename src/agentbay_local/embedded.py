"""The service inside the user's own process, for ``endpoint="local"``: one, made on first use.

It runs on a thread of its own with a temporary home. A forked child starts its own on its own first
use. At exit nothing can be awaited any more (Python has ended its worker threads by then), so the
end is brought about directly: the processes of all sessions are killed, and the home is removed.
"""

from __future__ import annotations

import atexit
import os
import threading

from agentbay_local.service import LocalService

__all__ = ["embedded"]


class _Holder:
    """The one service of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._service: LocalService | None = None
        self._abandoned: list[LocalService | None] = []

    def get(self) -> LocalService:
        """Return the service, starting it on first use."""
        with self._lock:
            if self._service is None:
                service = LocalService()
                service.start()
                atexit.register(_at_exit, service, os.getpid())
                self._service = service
            return self._service

    def after_fork(self) -> None:
        """Forget the parent's service in a child: its thread is not here.

        The object is kept, because its end would close files that the parent still uses.
        """
        self._lock = threading.Lock()
        self._abandoned.append(self._service)
        self._service = None


def _at_exit(service: LocalService, owner: int) -> None:
    if os.getpid() == owner:
        service.abort()


_holder = _Holder()
os.register_at_fork(after_in_child=_holder.after_fork)


def embedded() -> LocalService:
    """Return the embedded service of this process, which is running.

    Raises:
        OSError: It cannot be started: no free port, or no temporary directory.

    Example:
        ::

            service = embedded()
            client = AgentBay(service.api_key, endpoint=service.endpoint)
    """
    return _holder.get()
