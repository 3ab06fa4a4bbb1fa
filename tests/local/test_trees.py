"""Trees: selection, expiry, safe writes and archives; and cutting UTF-8."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_async.models.sync_policy import (
    BWList,
    Lifecycle,
    RecyclePolicy,
    SyncPolicy,
    WhiteList,
)
from agentbay_local.contexts.retention import expiry_times
from agentbay_local.tools.utf8 import MARGIN, decode_whole_characters
from agentbay_local.trees.archive import unpack
from agentbay_local.trees.atomic_write import AtomicWriter
from agentbay_local.trees.budget import Budget
from agentbay_local.trees.manifest import DIRECTORY, FILE, Stamp, scan
from agentbay_local.trees.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path


@given(st.text(), st.integers(1, 9))
def test_ranges_of_any_text_join_to_the_whole(text: str, size: int) -> None:
    """Every character is in exactly one range."""
    data = text.encode("utf-8", "replace")
    pieces = []
    for start in range(0, len(data), size):
        before = min(start, MARGIN)
        window = data[start - before : start + size + MARGIN]
        pieces.append(decode_whole_characters(window, before, before + size))
    assert "".join(pieces) == data.decode()


@given(st.binary(), st.integers(0, 20), st.integers(0, 20))
def test_any_bytes_can_be_cut(data: bytes, start: int, length: int) -> None:
    """Invalid UTF-8 is no error."""
    assert isinstance(decode_whole_characters(data, start, start + length), str)


@pytest.mark.parametrize(
    ("only", "inner", "path", "expected"),
    [
        ("", (), "a/b", True),
        ("a", (), "a/b", True),
        ("a/b", (), "a", False),
        ("a", (), "ab", False),
        ("", ("a/in",), "a/in/x", False),
        ("", ("a/in",), "a/inner", True),
        ("", (), "x/.agentbay-partial-00", False),
    ],
)
def test_a_selection_compares_whole_names(
    only: str, inner: tuple[str, ...], path: str, expected: bool
) -> None:
    """A prefix of a name does not match."""
    assert Selection(SyncPolicy(), only, inner).matcher()(path) is expected


def test_excludes_are_relative_to_their_white_list() -> None:
    """The same name elsewhere is not excluded."""
    lists = [WhiteList("src", ["tmp"]), WhiteList("doc")]
    matches = Selection(SyncPolicy(bw_list=BWList(lists))).matcher()
    assert [matches(path) for path in ("src/a", "src/tmp/a", "doc/tmp", "tmp")] == [
        True,
        False,
        True,
        False,
    ]


def test_a_lifecycle_becomes_an_expiry_time_of_its_paths() -> None:
    """Directories and other paths have none."""
    policy = RecyclePolicy(lifecycle=Lifecycle.LIFECYCLE_3DAYS, paths=["cache"])
    added = {"cache": Stamp(DIRECTORY), "cache/a": Stamp(FILE), "keep": Stamp(FILE)}
    assert expiry_times(policy, added, 1000.0) == {"cache/a": 1000.0 + 3 * 24 * 3600}


def test_writes_never_follow_a_link_out(tmp_path: Path) -> None:
    """A link on the way is an error or stays inside; a link at the end is replaced."""
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    (top / "dir").symlink_to(outside)
    (top / "file").symlink_to(outside / "file")
    handle = os.open(top, os.O_RDONLY | os.O_DIRECTORY)

    def write(target: int) -> Stamp:
        os.write(target, b"x")
        return Stamp(FILE, 1, 10**18, 0o644)

    try:
        AtomicWriter(handle).write_file("file", write)
        with pytest.raises(OSError, match="dir"):
            AtomicWriter(handle).write_file("dir/file", write)
    finally:
        os.close(handle)
    assert os.listdir(outside) == []
    assert not (top / "file").is_symlink()


def test_a_hostile_archive_writes_nothing_outside(tmp_path: Path) -> None:
    """Absolute paths, parents, devices and hard links are skipped."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("../climb", "/absolute", "a/../../climb", "good"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
        for name, kind in (("pipe", tarfile.FIFOTYPE), ("hard", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    packed.seek(0)
    top = tmp_path / "top"
    top.mkdir()
    handle = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        unpack(packed, AtomicWriter(handle), lambda _: True, Budget(None))
        assert sorted(scan(handle, lambda _: True, Budget(None))) == ["absolute", "good"]
    finally:
        os.close(handle)
    assert os.listdir(tmp_path) == ["top"]
