"""The embedded service for ``endpoint="local"``: one in each process for equal options.

It is started on first use, and runs on its own thread with a temporary home. A forked child starts
another one on its first use. At exit nothing can be awaited, because Python has ended its worker
threads by then: the processes of all sessions are killed directly, and the home is removed.
"""

from __future__ import annotations

import atexit
import os
import threading

from agentbay_async.models.local import LocalOptions
from agentbay_local.service import LocalService

__all__ = ["check_options", "embedded"]


class _Holder:
    """Holds the services of this process, by their options."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: dict[LocalOptions, LocalService] = {}
        self._abandoned: list[dict[LocalOptions, LocalService]] = []

    def get(self, options: LocalOptions) -> LocalService:
        """Return the service with these options; start it on first use."""
        with self._lock:
            if options not in self._services:
                service = _make(options)
                service.start()
                atexit.register(_at_exit, service, os.getpid())
                self._services[options] = service
            return self._services[options]

    def after_fork(self) -> None:
        """Forget the parent's services in a child, which does not have their threads.

        Keep references: collecting the objects would close files that the parent still uses.
        """
        self._lock = threading.Lock()
        self._abandoned.append(self._services)
        self._services = {}


def _make(options: LocalOptions) -> LocalService:
    return LocalService(allow_hosts=options.allow_hosts, limits=options.limits)


def _at_exit(service: LocalService, owner: int) -> None:
    if os.getpid() == owner:
        service.abort()


_holder = _Holder()
os.register_at_fork(after_in_child=_holder.after_fork)


def check_options(options: LocalOptions) -> None:
    """Check options without starting anything.

    Raises:
        ValueError: A host or a limit is invalid.
    """
    _make(options)


def embedded(options: LocalOptions | None = None) -> LocalService:
    """Return the running embedded service of this process.

    Args:
        options: Its options; by default, sessions reach no host and have the usual limits.

    Raises:
        OSError: The service cannot start: no free port, or no temporary directory.

    Example:
        ::

            service = embedded()
            client = AgentBay(service.api_key, endpoint=service.endpoint)
    """
    return _holder.get(options or LocalOptions())
