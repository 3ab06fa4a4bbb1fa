"""Remove the files of a session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.host.removal import remove_tree

if TYPE_CHECKING:
    from pathlib import Path

DEEP = 3000


async def test_everything_inside_is_removed(tmp_path: Path) -> None:
    """Links are removed; their targets stay."""
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


@pytest.mark.slow
async def test_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    """Neither the length of paths nor the depth of the stack limits it."""
    place = os.open(tmp_path, os.O_DIRECTORY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_DIRECTORY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    await remove_tree(tmp_path / "d")

    assert os.listdir(tmp_path) == []


async def test_directories_without_permissions_are_removed(tmp_path: Path) -> None:
    """Their owner may change the permissions."""
    (tmp_path / "tree/shut/inner").mkdir(parents=True)
    (tmp_path / "tree/shut/inner/f").touch()
    for name in ("tree/shut/inner", "tree/shut", "tree"):
        (tmp_path / name).chmod(0)
    await remove_tree(tmp_path / "tree")

    assert os.listdir(tmp_path) == []


async def test_missing_path_and_single_file_are_accepted(tmp_path: Path) -> None:
    """A missing path needs no removal."""
    (tmp_path / "f").touch()
    await remove_tree(tmp_path / "f")
    await remove_tree(tmp_path / "f")
    await remove_tree(tmp_path / "no" / "such")

    assert os.listdir(tmp_path) == []
