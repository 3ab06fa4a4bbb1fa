"""`map_sessions` on real clusters: two worker processes of Ray and of Dask, one of them killed.

Each cluster lives in a process of its own with a time limit. The clusters come with extras;
``./run engines`` installs them.
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

# Seconds for a cluster to start, to work and to stop; a busy machine takes half a minute.
_LIMIT = 150

_PACKAGES = {"ray": "ray", "dask": "distributed"}


@pytest.fixture(params=_PACKAGES)
def on_cluster(
    request: pytest.FixtureRequest, service: LocalService, tmp_path: Path
) -> Callable[[str], list[str]]:
    """Do something on a cluster; return the lines that it wrote."""
    engine: str = request.param
    if find_spec(_PACKAGES[engine]) is None:
        pytest.skip(f"{_PACKAGES[engine]} is not installed: ./run engines installs it")

    def run(what: str) -> list[str]:
        variables = {
            "AGENTBAY_ENDPOINT": service.endpoint,
            "AGENTBAY_API_KEY": service.api_key,
            "MARKS": str(tmp_path),
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        done = subprocess.run(
            [sys.executable, str(_PROGRAM), engine, what],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert service.api_key not in done.stdout + done.stderr
        # Ray tells of dead workers on stdout, too.
        return [line for line in done.stdout.splitlines() if "(raylet)" not in line]

    return run


def test_the_items_are_worked_on_by_both_workers(on_cluster: OnCluster) -> None:
    """In other processes than the caller's, each item once."""
    assert on_cluster("run") == ["done 12 True 2", "here False", "again False", "failed"]


def test_a_worker_killed_in_the_middle_costs_nothing_but_time(
    on_cluster: OnCluster, service: LocalService
) -> None:
    """Its items are done elsewhere, and its sessions are deleted."""
    lines = on_cluster("kill")
    assert lines[0].startswith("done 16 True ")
    assert lines[1:] == ["here False", "again True", "failed", "living 0"]
    assert service.living() == {}


@pytest.mark.parametrize("on_cluster", ["dask"], indirect=True)
def test_a_chunk_is_not_begun_again_behind_the_callers_back(on_cluster: OnCluster) -> None:
    """A nanny starts dead workers again, and Dask their tasks; their sessions would be left."""
    assert on_cluster("begin_again") == ["the worker died, and was started again"]


@pytest.mark.parametrize(
    ("what", "words"),
    [("cancel", "cancelled True living 0"), ("cancel_blocking", "interrupted living 0")],
)
def test_a_cancel_reaches_the_workers(on_cluster: OnCluster, what: str, words: str) -> None:
    """They have deleted their sessions when the caller goes on; Ctrl-C as well."""
    assert on_cluster(what) == [words]


def test_blocking_functions_of_a_script_run_on_workers(on_cluster: OnCluster) -> None:
    """With blocking sessions; an error arrives as what it is."""
    lines = ["done 5 True 2", "here False", "again False", "failed CommandError REQ-3"]
    assert on_cluster("run_blocking") == lines
