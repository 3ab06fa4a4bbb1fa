"""Run a local service in a child process, as users do: `python -m support.local`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay_local import LocalService
from support.child import LineChild

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType


#: The host that sessions may reach. Nothing connects to it.
ALLOWED_HOST = "allowed.invalid"


class LocalChild:
    """A local service in a child process, for the length of a ``with`` block.

    Args:
        isolation: The level of its sessions.
        checkout: Another checkout of this repository, whose service is run instead.
        ready: Sandboxes that it starts before a session needs them.

    Attributes:
        endpoint: Its URL.
        api_key: The key that it wants.
        pid: Its process.
        ready: As given.
        home: The directory of its state.
    """

    def __init__(
        self, isolation: str = "namespaces", checkout: Path | None = None, ready: int = 0
    ) -> None:
        self.ready = ready
        self._options = [isolation, *([str(ready)] if ready else [])]
        self._variables = {}
        if checkout is not None:
            places = checkout / "benchmarks", checkout / "src"
            self._variables = {"PYTHONPATH": os.pathsep.join(map(str, places))}

    def __enter__(self) -> LocalChild:
        self._home = tempfile.TemporaryDirectory(prefix="agentbay-bench-")
        self._child = LineChild.of_module(
            "support.local", self._home.name, *self._options, **self._variables
        )
        said = self._child.read_line()
        self.endpoint: str = said["endpoint"]
        self.api_key: str = said["api_key"]
        self.pid = self._child.pid
        self.home = Path(self._home.name)
        return self

    def seed(self, labels: Sequence[Mapping[str, str]]) -> list[str]:
        """Store a session for each set of labels, and return their ids."""
        ids: list[str] = self._child.ask({"labels": labels})["ids"]
        return ids

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.close()
        self._home.cleanup()


def main() -> None:
    """Serve until stdin ends; store the sessions that each of its lines asks for."""
    home, isolation, *ready = sys.argv[1:]
    # Other levels have no proxy for outbound access.
    hosts = [ALLOWED_HOST] if isolation == "namespaces" else []
    # Another checkout may not know the last one.
    more: dict[str, Any] = {"ready": int(ready[0])} if ready else {}
    with LocalService(home=home, isolation=isolation, allow_hosts=hosts, **more) as service:
        print(json.dumps({"endpoint": service.endpoint, "api_key": service.api_key}), flush=True)
        for line in sys.stdin:
            print(
                json.dumps({"ids": service.seed(json.loads(line)["labels"]).sessions}), flush=True
            )


if __name__ == "__main__":
    main()
