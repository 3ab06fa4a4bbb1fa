"""Trees: selection, expiry, safe writes and archives; and cutting UTF-8."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

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
from agentbay_local.trees import copying
from agentbay_local.trees.archive import DamagedArchiveError, list_members, pack, unpack
from agentbay_local.trees.atomic_write import AtomicWriter, Source
from agentbay_local.trees.budget import Budget, BudgetExceededError
from agentbay_local.trees.manifest import DIRECTORY, FILE, Stamp, UnstableFileError, scan
from agentbay_local.trees.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    """Return an open directory with a/b/f in it."""
    (tmp_path / "top/a/b").mkdir(parents=True)
    (tmp_path / "top/a/b/f").write_text("x")
    handle = os.open(tmp_path / "top", os.O_RDONLY | os.O_DIRECTORY)
    yield handle
    os.close(handle)


def test_a_directory_that_becomes_a_link_during_a_scan_is_an_error(
    top: int, tmp_path: Path
) -> None:
    """Its content would seem to be deleted, and be deleted in the context."""

    def swap(path: str) -> bool:
        if path == "a/b":
            (tmp_path / "top/a/b").rename(tmp_path / "top/moved")
            (tmp_path / "top/a/b").symlink_to("../moved")
        return True

    with pytest.raises(UnstableFileError, match="it kept changing while it was copied: 'a/b'"):
        scan(top, swap, Budget(None))


def test_a_directory_that_is_removed_during_a_scan_is_empty(top: int, tmp_path: Path) -> None:
    """A session may remove what it likes."""

    def remove(path: str) -> bool:
        if path == "a/b":
            shutil.rmtree(tmp_path / "top/a/b")
        return True

    assert sorted(scan(top, remove, Budget(None))) == ["a", "a/b"]


def test_a_scan_stops_at_the_entries_of_its_budget(top: int, tmp_path: Path) -> None:
    """A long path counts as several."""
    with pytest.raises(BudgetExceededError, match="more than 2 files and directories"):
        scan(top, lambda _: True, Budget(None, 2))
    (tmp_path / "top" / ("n" * 250) / ("n" * 250)).mkdir(parents=True)
    with pytest.raises(BudgetExceededError):
        scan(top, lambda _: True, Budget(None, 5))
    assert len(scan(top, lambda _: True, Budget(None, 7))) == 5


def test_cancelled_work_ends_at_its_next_step(top: int) -> None:
    """Files and bytes of it are not touched any more."""
    budget = Budget(None)
    budget.cancel()
    with pytest.raises(BudgetExceededError, match="cancelled"):
        scan(top, lambda _: True, budget)
    with pytest.raises(BudgetExceededError, match="cancelled"):
        budget.take_bytes(0)


def sparse_file(path: Path) -> int:
    """Write a file with content, a hole, content and a hole; return a descriptor."""
    with path.open("wb") as file:
        file.write(b"start")
        file.seek(8 << 20)
        file.write(b"middle")
        file.truncate(16 << 20)
    return os.open(path, os.O_RDONLY)


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_copy_has_the_holes_of_the_original(
    tmp_path: Path, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse file takes as little space in a context as in the session."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "another file system")

    if by_hand:
        monkeypatch.setattr(os, "copy_file_range", refuse)
    source = sparse_file(tmp_path / "f")
    target = os.open(tmp_path / "copy", os.O_WRONLY | os.O_CREAT)
    try:
        assert copying.copy_content(source, target, Budget(1 << 20)) == 16 << 20
    finally:
        os.close(source)
        os.close(target)
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "f").read_bytes()
    assert (tmp_path / "copy").stat().st_blocks * 512 < 1 << 20


def test_a_copy_stops_at_the_bytes_of_its_budget(tmp_path: Path) -> None:
    """Before anything is written."""
    (tmp_path / "f").write_bytes(b"x" * 5000)
    with (
        (tmp_path / "f").open("rb") as source,
        (tmp_path / "copy").open("wb") as target,
        pytest.raises(BudgetExceededError, match="more than 4999 bytes"),
    ):
        copying.copy_content(source.fileno(), target.fileno(), Budget(4999))
    assert (tmp_path / "copy").stat().st_size == 0


def test_a_file_that_changes_is_copied_again_within_the_same_budget(
    top: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copies that are replaced take no space."""
    file = tmp_path / "top/log"
    file.write_bytes(b"x" * 5000)
    times = iter(range(1, 3))
    in_kernel = os.copy_file_range

    def change_and_copy(*arguments: int) -> int:
        if (time := next(times, None)) is not None:
            os.utime(file, ns=(time, time))
        return in_kernel(*arguments)

    monkeypatch.setattr(os, "copy_file_range", change_and_copy)
    (tmp_path / "new").mkdir()
    new = os.open(tmp_path / "new", os.O_RDONLY | os.O_DIRECTORY)
    try:
        budget = Budget(6000)
        stamp = AtomicWriter(new).copy_file("log", Source(top, budget))
    finally:
        os.close(new)
    assert (stamp.size, stamp.mtime, next(times, None)) == (5000, 2, None)
    assert budget.taken_bytes() == 5000


def test_a_sparse_file_returns_from_an_archive_as_it_was(top: int, tmp_path: Path) -> None:
    """Packed and unpacked, it takes as little space as before."""
    os.close(sparse_file(tmp_path / "top/sparse"))
    source = Source(top, Budget(None))
    packed = pack(source, scan(top, lambda _: True, source.budget), tmp_path / "archive")
    (tmp_path / "new").mkdir()
    new = os.open(tmp_path / "new", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with (tmp_path / "archive").open("rb") as archive:
            unpacked = unpack(archive, AtomicWriter(new), lambda _: True, Budget(None))
    finally:
        os.close(new)
    assert unpacked == packed
    assert (tmp_path / "new/sparse").read_bytes() == (tmp_path / "top/sparse").read_bytes()
    assert (tmp_path / "new/sparse").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no tar" * 1000, mtime=0)],
    ids=["empty", "not packed", "not a tar"],
)
def test_something_else_than_an_archive_is_damaged(tmp_path: Path, content: bytes) -> None:
    """Whatever it is, the error is the same."""
    with pytest.raises(DamagedArchiveError):
        list_members(io.BytesIO(content), Budget(None))


def _archive_of(member: tarfile.TarInfo) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("x" * 256, {}),
        ("d/" * 2047 + "xx", {}),
        ("l", {"type": tarfile.SYMTYPE, "linkname": "x" * 4096}),
        ("l", {"type": tarfile.SYMTYPE, "linkname": ""}),
        ("f", {"pax_headers": {"mtime": "yesterday"}}),
        ("f", {"pax_headers": {"mtime": "9" * 40}}),
        ("f", {"pax_headers": {"path": "a\0b"}}),
    ],
    ids=["name", "path", "target", "no target", "time", "late", "null"],
)
def test_an_archive_with_impossible_members_is_damaged(name: str, fields: dict[str, Any]) -> None:
    """Which shows before a file is written."""
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    with pytest.raises(DamagedArchiveError):
        list_members(_archive_of(member), Budget(None))


def test_members_of_an_archive_are_carried_into_the_next(top: int, tmp_path: Path) -> None:
    """With content, time, mode and holes; the others are left out."""
    os.close(sparse_file(tmp_path / "top/sparse"))
    (tmp_path / "top/left").write_bytes(b"out")
    (tmp_path / "top/link").symlink_to("sparse")
    source = Source(top, Budget(None))
    packed = pack(source, scan(top, lambda _: True, source.budget), tmp_path / "old")
    kept = {"sparse", "link"}
    with (tmp_path / "old").open("rb") as old:
        pack(source, {}, tmp_path / "new", old, kept)
    with (tmp_path / "new").open("rb") as new:
        assert list_members(new, Budget(None)) == {path: packed[path] for path in kept}


def test_carried_members_count_against_the_budget(top: int, tmp_path: Path) -> None:
    """Holes of sparse members included, which are not in the archive."""
    (tmp_path / "top/f").write_bytes(b"x" * 5000)
    source = Source(top, Budget(None))
    pack(source, scan(top, lambda _: True, source.budget), tmp_path / "old")
    with (
        (tmp_path / "old").open("rb") as old,
        pytest.raises(BudgetExceededError),
    ):
        pack(Source(top, Budget(4999)), {}, tmp_path / "new", old, {"f"})
