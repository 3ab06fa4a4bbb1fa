"""The embedded service for ``endpoint="local"``: one in each process, started on first use.

It runs on its own thread with a temporary home. A forked child starts another one on its first
use. At exit nothing can be awaited, because Python has ended its worker threads by then: the
processes of all sessions are killed directly, and the home is removed.
"""

from __future__ import annotations

import atexit
import os
import threading

from agentbay_local.service import LocalService

__all__ = ["embedded"]


class _Holder:
    """Holds the service of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._service: LocalService | None = None
        self._abandoned: list[LocalService | None] = []

    def get(self) -> LocalService:
        """Return the service; start it on first use."""
        with self._lock:
            if self._service is None:
                service = LocalService()
                service.start()
                atexit.register(_at_exit, service, os.getpid())
                self._service = service
            return self._service

    def after_fork(self) -> None:
        """Forget the parent's service in a child, which does not have its thread.

        Keep a reference: collecting the object would close files that the parent still uses.
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
    """Return the running embedded service of this process.

    Raises:
        OSError: The service cannot start: no free port, or no temporary directory.

    Example:
        ::

            service = embedded()
            client = AgentBay(service.api_key, endpoint=service.endpoint)
    """
    return _holder.get()
