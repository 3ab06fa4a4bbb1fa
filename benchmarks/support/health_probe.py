"""Health probe: a child process that polls a service and measures its latency."""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support.child import LineChild

if TYPE_CHECKING:
    from types import TracebackType

_BENCHMARKS = Path(__file__).parent.parent
_INTERVAL = 0.02


class HealthProbe:
    """A process that polls the health of a service during a ``with`` block.

    Args:
        endpoint: The service.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def __enter__(self) -> HealthProbe:
        self._child = LineChild(
            [sys.executable, "-m", "support.health_probe", self._endpoint],
            env={**os.environ, "PYTHONPATH": str(_BENCHMARKS)},
        )
        self.read_latencies()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.close()

    def read_latencies(self) -> list[float]:
        """Return the latency in seconds of each poll since the last call."""
        seconds: list[float] = self._child.ask({})["seconds"]
        return seconds


class _ProbeThread(threading.Thread):
    """Polls every few milliseconds, and records the latency of each answer."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(endpoint.partition("//")[2], timeout=60)
        self.seconds: list[float] = []

    def run(self) -> None:
        """Poll until the process ends."""
        while True:
            began = time.perf_counter()
            self._connection.request("GET", "/healthz")
            self._connection.getresponse().read()
            self.seconds.append(time.perf_counter() - began)
            # The sampling interval: without it the probe itself would load the service.
            time.sleep(_INTERVAL)


def main() -> None:
    """Answer each line on stdin with the latencies since the one before."""
    thread = _ProbeThread(sys.argv[1])
    thread.start()
    for _ in sys.stdin:
        seconds, thread.seconds = thread.seconds, []
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
