"""The official client, in its own virtual environment and process.

It has the import name ``agentbay`` as well, so it cannot run in the process of the other clients.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from support.child import LineChild
from support.clients import API_KEY
from support.samples import Sample

if TYPE_CHECKING:
    from support.service import StubService

VERSION = "0.22.3"
_PROGRAM = Path(__file__).with_name("official_program.py")


def official_python(home: Path) -> Path:
    """Return the interpreter of the environment in `home`; make it when it is missing.

    Raises:
        subprocess.CalledProcessError: It could not be installed.
    """
    environment = home / f"official-{VERSION}"
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    installed = environment / "installed"
    if not installed.exists():
        print(f"installing the official client into {environment} ...", file=sys.stderr)
        venv.create(environment, with_pip=True, clear=True)
        install = ["-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run(
            [python, *install, f"wuying-agentbay-sdk=={VERSION}"], check=True, timeout=900
        )
        # Last, so that an installation that was broken off is done again.
        installed.touch()
    return python


class Official:
    """The official client, as a child process on the same stub.

    Args:
        service: The stub.
        python: The interpreter that has it.
        colour: ``"async"`` or ``"sync"``.
    """

    def __init__(self, service: StubService, python: Path, flavour: str) -> None:
        self.name = f"official {flavour}"
        # Its asynchronous calls take some 40 ms each.
        self.share = 0.2 if flavour == "async" else 0.5
        self._child = LineChild(
            # Isolated, because a PYTHONPATH of ours would put our own `agentbay` in its place.
            [str(python), "-I", str(_PROGRAM), flavour],
            env={
                **os.environ,
                "AGENTBAY_API_KEY": API_KEY,
                "AGENTBAY_ENDPOINT": service.host,
                # Otherwise it writes a log file into the working directory.
                "AGENTBAY_LOG_FILE": f"{service.home}/official-{flavour}.log",
                "SSL_CERT_FILE": service.trusted,
            },
            # A terminal would show several lines for each call.
            log=Path(service.home, f"official-{flavour}.stderr"),
        )
        self._child.read_line()

    def run(self, operation: str, calls: int) -> Sample:
        """Repeat an operation `calls` times and return the mean time of one."""
        answer = self._child.ask({"operation": operation, "calls": calls})
        return Sample(answer["wall"], answer["cpu"])

    def close(self) -> None:
        """End the child."""
        self._child.close()
