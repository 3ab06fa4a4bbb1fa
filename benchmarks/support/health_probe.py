"""Health probe: a child process that polls a service and measures its latency."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time

from support.probe import Probe

_INTERVAL = 0.02


class HealthProbe(Probe):
    """A process that polls the health of a service during a ``with`` block.

    Args:
        endpoint: The service.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__("support.health_probe", endpoint)


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
