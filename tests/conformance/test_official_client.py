"""The unmodified official client is the judge of the local service.

It runs in another Python, named by ``OFFICIAL_PYTHON``, because it owns the import name
``agentbay`` too. ``./run conformance`` makes that environment.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agentbay_local import LocalService, Recorder

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
    run(official_python, program, service, tmp_path)


@pytest.mark.parametrize("name", ["running_async", "running_blocking"])
def test_the_official_client_gets_the_same_from_a_cassette(
    name: str, official_python: str, service: LocalService, tmp_path: Path
):
    """Calls at once, streams of code, and terminals that it leaves and attaches again."""
    program, cassette = PROGRAMS[0].with_name(f"{name}.py"), tmp_path / "cassette.jsonl"
    with Recorder(cassette, endpoint=service.endpoint, api_key=service.api_key) as recorder:
        run(official_python, program, recorder, tmp_path)
    with LocalService(cassette=cassette) as replay:
        run(official_python, program, replay, tmp_path)


def run(python: str, program: Path, server: LocalService | Recorder, directory: Path) -> None:
    """Run a program with the official client against a server."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "AGENTBAY_ENDPOINT": server.endpoint,
        "AGENTBAY_API_KEY": server.api_key,
        "AGENTBAY_LOG_FILE": str(directory / "official.log"),
    }

    done = subprocess.run(
        [python, str(program)],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.rstrip().endswith("conforms")
