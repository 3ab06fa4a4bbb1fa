"""How many functions a call passes, within the limits of `benchmarks/count_hops.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_warm_call_passes_few_functions() -> None:
    """If it fails, `count_hops.py --list` names them: what few calls need belongs off their way."""
    # A child process: the profile function sees every thread.
    done = subprocess.run(
        [sys.executable, "count_hops.py", "--check", "--list"],
        cwd=_BENCHMARKS,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.count(" functions in ") == 4
