"""The state directory of a service."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from agentbay_local.home import Home

if TYPE_CHECKING:
    from pathlib import Path


def test_sessions_are_spread_over_the_disk(tmp_path: Path) -> None:
    """ext4 is asked to; the directories themselves stay where they are."""
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True
    ).stdout
    if kind.strip() != "ext2/ext3":
        # Only ext4 has the mark; nothing is asked of other file systems.
        pytest.skip("this directory is not on ext4")
    home = Home.open(tmp_path / "home")
    try:
        marks = subprocess.run(
            ["lsattr", "-d", home.sessions, home.contexts, home.path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        home.close()

    assert ["T" in line.split()[0] for line in marks.splitlines()] == [True, True, False]
