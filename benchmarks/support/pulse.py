"""Whether a service still answers: asked again and again, from a process of its own."""

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
_EVERY = 0.02


class Pulse:
    """A process that asks a service whether it is well, for the length of a ``with`` block.

    Args:
        endpoint: The service.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def __enter__(self) -> Pulse:
        self._child = LineChild(
            [sys.executable, "-m", "support.pulse", self._endpoint],
            env={**os.environ, "PYTHONPATH": str(_BENCHMARKS)},
        )
        self.taken()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.close()

    def taken(self) -> list[float]:
        """Return the seconds of each answer since this was last asked."""
        seconds: list[float] = self._child.ask({})["seconds"]
        return seconds


class _Beating(threading.Thread):
    """Asks every few milliseconds, and remembers what each answer took."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(endpoint.partition("//")[2], timeout=60)
        self.seconds: list[float] = []

    def run(self) -> None:
        """Ask until the process ends."""
        while True:
            began = time.perf_counter()
            self._connection.request("GET", "/healthz")
            self._connection.getresponse().read()
            self.seconds.append(time.perf_counter() - began)
            time.sleep(_EVERY)


def main() -> None:
    """Answer each line with what was measured since the one before."""
    beating = _Beating(sys.argv[1])
    beating.start()
    for _ in sys.stdin:
        seconds, beating.seconds = beating.seconds, []
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
