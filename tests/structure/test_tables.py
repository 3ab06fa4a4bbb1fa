"""What is written from the tables of official names is in step with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).parents[2] / "scripts" / "official_names.py"


def test_committed_files_are_what_the_tables_say() -> None:
    """Code, documents and what `agentbay migrate` looks for; `./run facade` writes them."""
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, f"run scripts/official_names.py: {done.stdout}{done.stderr}"
