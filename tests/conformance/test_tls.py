"""The unmodified official client works over TLS, with nothing but what the command line sets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))


CHECKED = (
    "import os, runpy, sys\n"
    "assert '://' not in os.environ['AGENTBAY_ENDPOINT']\n"
    "runpy.run_path(sys.argv[1], run_name='__main__')\n"
)


def run(program: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a program with a service of its own, and no settings of the user."""
    command = [sys.executable, "-m", "agentbay_local", "exec", "--tls", "--home", "home", "--"]
    return subprocess.run(
        [*command, *program],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "AGENTBAY_LOG_FILE": str(directory / "official.log"),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_the_official_client_works_over_tls(program: Path, official_python: str, tmp_path: Path):
    """`agentbay local exec` gives it an address without a scheme, a key, and certificates."""
    done = run([official_python, "-c", CHECKED, str(program)], tmp_path)

    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.rstrip().endswith("conforms")


def test_the_official_client_checks_certificates(official_python: str, tmp_path: Path):
    """Without the variables, it does not talk to the service: what it says is encrypted."""
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    without = ["env", *(f"--unset={name}" for name in names)]

    done = run([*without, official_python, "-c", CHECKED, str(PROGRAMS[0])], tmp_path)

    assert done.returncode != 0
    assert "certificate verify failed" in done.stdout + done.stderr
