"""Removing what a session has left behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host.removal import remove_tree

if TYPE_CHECKING:
    from pathlib import Path

DEEP = 3000


async def test_everything_goes_and_nothing_outside_does(tmp_path: Path) -> None:
    """Links are removed, what they lead to stays."""
    tree = tmp_path / "tree"
    (tree / "a/b/c").mkdir(parents=True)
    (tree / "a/b/c/f").touch()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/f").touch()
    os.symlink(tmp_path / "kept", tree / "a/link")
    os.mkfifo(tree / "fifo")
    await remove_tree(tree)

    assert not tree.exists()
    assert (tmp_path / "kept/f").exists()


async def test_tree_deeper_than_any_path_goes(tmp_path: Path) -> None:
    """Neither the length of a path nor the depth of a stack ends it."""
    place = os.open(tmp_path, os.O_DIRECTORY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_DIRECTORY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    await remove_tree(tmp_path / "d")

    assert os.listdir(tmp_path) == []


async def test_directories_nobody_may_enter_go(tmp_path: Path) -> None:
    """Their owner may change that, and does."""
    (tmp_path / "tree/shut/inner").mkdir(parents=True)
    (tmp_path / "tree/shut/inner/f").touch()
    for name in ("tree/shut/inner", "tree/shut", "tree"):
        (tmp_path / name).chmod(0)
    await remove_tree(tmp_path / "tree")

    assert os.listdir(tmp_path) == []


async def test_nothing_and_single_files_are_fine(tmp_path: Path) -> None:
    """What is not there needs no removing."""
    (tmp_path / "f").touch()
    await remove_tree(tmp_path / "f")
    await remove_tree(tmp_path / "f")
    await remove_tree(tmp_path / "no" / "such")

    assert os.listdir(tmp_path) == []
