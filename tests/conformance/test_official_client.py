"""The unmodified official client is the judge of the local service.

It runs in another Python, named by ``OFFICIAL_PYTHON``, because it owns the import name
``agentbay`` too. ``./run conformance`` makes that environment.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agentbay_local import LocalService

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    """Run a local service for the official client to talk to."""
    with LocalService(home=tmp_path_factory.mktemp("home"), api_key="akm-conformance") as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_the_official_client_gets_what_it_expects(
    program: Path, official_python: str, service: LocalService, tmp_path: Path
):
    """A program written for the official client, sync or async, runs to its end."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AGENTBAY_ENDPOINT": service.endpoint,
        "AGENTBAY_API_KEY": service.api_key,
        "AGENTBAY_LOG_FILE": str(tmp_path / "official.log"),
    }

    done = subprocess.run(
        [official_python, str(program)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.rstrip().endswith("conforms")
