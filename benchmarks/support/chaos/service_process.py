"""A local service in a process of its own, as its command line starts it, which can be killed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay, Config, RetryPolicy
from support.chaos.scenario import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from support.chaos.scenario import Trial

API_KEY = "akm-local-chaos"
#: Seconds for a call with all its attempts.
DEADLINE = 20.0
_READY = "AgentBay"
_UNAVAILABLE = "Warning: sessions cannot be created here: "


class ServiceProcess:
    """A service.

    Args:
        trial: The run.
        home: The directory of its state.
        may_fail: Whether it may exit instead of starting.

    Raises:
        RuntimeError: It did not start.
        UnavailableError: This machine lacks the isolation.

    Attributes:
        endpoint: Its URL; ``""`` if it did not start.
        status: Its exit code if it did not start, else ``None``.
    """

    def __init__(self, trial: Trial, home: Path, *, may_fail: bool = False) -> None:
        self._child = trial.fork_server.start(
            trial.directory,
            "serve",
            arguments=[
                *("--home", str(home)),
                *("--api-key", API_KEY),
                *("--isolation", trial.isolation),
            ],
        )
        self.endpoint = ""
        self.status: int | None = None
        try:
            self.endpoint = self._child.read(_READY)
        except RuntimeError:
            self.status = self._child.status
            if not may_fail:
                raise
        if _UNAVAILABLE in self.log:
            self.kill()
            raise UnavailableError(self.log.partition(_UNAVAILABLE)[2].strip())

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._child.errors

    def client(self, endpoint: str = "") -> AsyncAgentBay:
        """Return a client that gives up soon.

        Args:
            endpoint: A proxy before the service.
        """
        config = Config(
            endpoint=endpoint or self.endpoint, deadline=DEADLINE, task_listing_timeout=1
        )
        return AsyncAgentBay(API_KEY, config, retry=RetryPolicy(attempts=2))

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._child.signal(number)

    def stop(self) -> None:
        """Stop it as Ctrl-C does, and wait for its end; kill it if it does not end."""
        self._child.signal(signal.SIGTERM)
        if self._child.wait(30) is None:
            self.kill()
            raise RuntimeError(f"the service does not stop: {self.log}")

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self._child.kill()
