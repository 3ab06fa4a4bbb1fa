"""`map_sessions` on real Ray and Dask clusters with two worker processes.

Each cluster runs in a child process with a time limit. Ray and Dask are optional dependencies;
``./run distributed`` installs them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_local import LocalService

    OnCluster = Callable[[str], list[str]]

_PROGRAM = Path(__file__).parent / "programs" / "cluster.py"

# Seconds for a cluster to start, to work and to stop; a loaded machine takes half a minute.
_TIMEOUT = 150

_PACKAGES = {"ray": "ray", "dask": "distributed"}


@pytest.fixture(params=_PACKAGES)
def on_cluster(
    request: pytest.FixtureRequest, service: LocalService, tmp_path: Path
) -> Callable[[str], list[str]]:
    """Give a function that runs a scenario on a cluster and returns the lines that it wrote."""
    engine: str = request.param
    if find_spec(_PACKAGES[engine]) is None:
        pytest.skip(f"{_PACKAGES[engine]} is not installed: ./run distributed installs it")

    def run(scenario: str) -> list[str]:
        variables = {
            "AGENTBAY_ENDPOINT": service.endpoint,
            "AGENTBAY_API_KEY": service.api_key,
            "MARKS": str(tmp_path),
            # Dask keeps its scratch directory.
            "TMPDIR": str(tmp_path),
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        done = subprocess.run(
            [sys.executable, str(_PROGRAM), engine, scenario],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert service.api_key not in done.stdout + done.stderr
        # Ray reports dead workers on stdout.
        return [line for line in done.stdout.splitlines() if "(raylet)" not in line]

    return run


def test_both_workers_process_items(on_cluster: OnCluster) -> None:
    """In other processes than the caller, each item once."""
    assert on_cluster("run") == ["done 12 True 2", "here False", "again False", "failed"]


def test_items_of_a_killed_worker_are_processed_again(
    on_cluster: OnCluster, service: LocalService
) -> None:
    """Another worker processes them, and the sessions of the dead one are deleted."""
    lines = on_cluster("kill")
    assert lines[0].startswith("done 16 True ")
    assert lines[1:] == ["here False", "again True", "failed", "living 0"]
    assert service.living() == {}


@pytest.mark.parametrize("on_cluster", ["dask"], indirect=True)
def test_dask_does_not_run_a_chunk_again(on_cluster: OnCluster) -> None:
    """A nanny restarts a dead worker, and Dask its tasks, before its sessions are deleted."""
    assert on_cluster("start_again") == ["the worker died, and was started again"]


@pytest.mark.parametrize(
    ("scenario", "line"),
    [("cancel", "cancelled True living 0"), ("cancel_blocking", "interrupted living 0")],
)
def test_a_cancel_stops_the_workers(on_cluster: OnCluster, scenario: str, line: str) -> None:
    """They have deleted their sessions when the call returns; the same after Ctrl-C."""
    assert on_cluster(scenario) == [line]


def test_blocking_functions_of_a_script_run_on_workers(on_cluster: OnCluster) -> None:
    """With blocking sessions; an error keeps its type and its request id."""
    lines = ["done 5 True 2", "here False", "again False", "failed CommandError REQ-3"]
    assert on_cluster("run_blocking") == lines
