"""Run the conformance suite of the Model Context Protocol against ``agentbay mcp``.

python tests/mcp/run_conformance.py DIRECTORY, where npm has installed the suite and a Node.js.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

_BASELINE = Path(__file__).with_name("conformance-baseline.yml")
_START_WITHIN = 60.0


def main() -> int:
    """Return the exit code of the suite."""
    modules = Path(sys.argv[1], "node_modules")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = str(Path(sys.executable).with_name("agentbay"))
    options = ["mcp", "--http", "--port", str(port), "--endpoint", "local"]
    server = subprocess.Popen([program, *options])
    try:
        _wait(server, port)
        suite = [modules / "node/bin/node", modules / ".bin/conformance", "server"]
        url = f"http://127.0.0.1:{port}/mcp"
        return subprocess.call([*suite, "--url", url, "--expected-failures", _BASELINE])
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _START_WITHIN
    while server.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("agentbay mcp did not start")


if __name__ == "__main__":
    sys.exit(main())
