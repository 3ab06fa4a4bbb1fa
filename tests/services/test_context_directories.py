"""``context.push`` and ``pull``: directories of this machine and folders of contexts."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    ContextChange,
    InvalidArgumentError,
    TransferError,
)
from agentbay_async._sync.context_plan import Checksums, RemoteFile
from agentbay_async._sync.directory import place_inside
from agentbay_async._sync.ignore_file import IgnorePatterns
from agentbay_local import Fail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_async import Context, ContextChangesResult
    from agentbay_local import LocalService


@pytest.fixture
async def bay(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[AsyncAgentBay]:
    """Give a client of a user without records of earlier transfers."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as client:
        yield client
    service.reset()


@pytest.fixture
async def notes(bay: AsyncAgentBay) -> Context:
    """Give an empty context."""
    return (await bay.context.create("notes")).context


def write(root: str, texts: dict[str, str]) -> None:
    """Write files."""
    for name, text in texts.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", "surrogateescape")


def tree(root: str) -> dict[str, str]:
    """Return the files below a directory, with their content."""
    found = [path for path in Path(root).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_text() for path in found}


def steps(result: ContextChangesResult) -> list[tuple[str, str, int]]:
    """Return what was done, with which files."""
    return [(one.action, one.path, one.size) for one in result.changes]


async def paths(bay: AsyncAgentBay, context: Context, folder: str = "/") -> list[str]:
    """Return what is in a context, also in its folders."""
    entries = bay.context.iterate_files(context.id, folder, recursive=True)
    return sorted([entry.file_path async for entry in entries])


async def test_a_push_sends_what_differs(bay: AsyncAgentBay, notes: Context) -> None:
    """The plan comes first; a file of the same size differs by its checksum."""
    write("src", {"a": "a", "deep/b": "bb"})
    plan = await bay.context.push(notes, "src", dry_run=True)
    assert steps(plan) == [("add", "a", 1), ("add", "deep/b", 2)]
    assert await paths(bay, notes) == []
    done: list[ContextChange] = []
    first = await bay.context.push(notes, "src", on_change=done.append)
    assert first.success
    assert steps(first) == steps(plan)
    assert tuple(done) == first.changes
    assert await paths(bay, notes) == ["/a", "/deep", "/deep/b"]
    assert (await bay.context.push(notes.id, Path("src"))).changes == ()
    write("src", {"a": "A", "c": "c"})
    assert steps(await bay.context.push(notes, "src")) == [("change", "a", 1), ("add", "c", 1)]


async def test_a_folder_of_a_context_is_pushed_to_and_pulled(
    bay: AsyncAgentBay, notes: Context
) -> None:
    """The rest of the context is left alone; only ``delete`` deletes."""
    (await bay.context.upload_file(notes.id, "/other", b"x")).unwrap()
    write("src", {"a": "a", "b/c": "c"})
    (await bay.context.push(notes, "src", folder="some/folder", delete=True)).unwrap()
    assert await paths(bay, notes, "some/folder") == [
        "/some/folder/a", "/some/folder/b", "/some/folder/b/c",
    ]  # fmt: skip
    assert "/other" in await paths(bay, notes)
    plan = await bay.context.pull(notes, "new", folder="/some/folder/", dry_run=True)
    assert (steps(plan), tree("new")) == ([("add", "a", 1), ("add", "b/c", 1)], {})
    (await bay.context.pull(notes, "new", folder="/some/folder/")).unwrap()
    assert tree("new") == tree("src")
    write("new", {"own": "own", "a": "B"})
    assert steps(await bay.context.pull(notes, "new", folder="some/folder")) == [("change", "a", 1)]
    pulled = await bay.context.pull(notes, "new", folder="some/folder", delete=True)
    assert (steps(pulled), tree("new")) == ([("delete", "own", 0)], tree("src"))
    os.unlink("src/a")
    pushed = await bay.context.push(notes, "src", folder="some/folder", delete=True)
    assert steps(pushed) == [("delete", "a", 0)]


async def test_a_file_that_fails_is_named_and_the_others_are_sent(
    bay: AsyncAgentBay, notes: Context, service: LocalService
) -> None:
    """The failed result has all changes; the next push sends what is missing."""
    write("src", {"a": "a", "b": "b"})
    service.faults.add(Fail("No.Room", 400, "No room."), "GetContextFileUploadUrl", nth=1)
    heard: list[ContextChange] = []

    async def on_change(one: ContextChange) -> None:
        heard.append(one)

    result = await bay.context.push(notes, "src", on_change=on_change)
    assert isinstance(result.error, TransferError)
    assert "1 of 2 files failed: a: " in result.error_message
    assert [one.path for one in result.changes] == ["a", "b"]
    assert [(one.path, "No room" in str(one.error)) for one in result.failures] == [("a", True)]
    assert [one.error is None for one in heard] == [False, True]
    with pytest.raises(TransferError):
        result.unwrap()
    assert steps(await bay.context.push(notes, "src")) == [("add", "a", 1)]


async def test_a_cancelled_push_goes_on_where_it_ended(bay: AsyncAgentBay, notes: Context) -> None:
    """What was sent is noted."""
    write("src", {"a": "a", "b": "b", "c": "c"})
    second, never = asyncio.Event(), asyncio.Event()

    async def on_change(one: ContextChange) -> None:
        if one.path == "b":
            second.set()
            await never.wait()

    push = asyncio.create_task(bay.context.push(notes, "src", on_change=on_change))
    await asyncio.wait_for(second.wait(), 30)
    push.cancel()
    with pytest.raises(asyncio.CancelledError):
        await push
    assert steps(await bay.context.push(notes, "src")) == [("add", "c", 1)]


async def test_what_another_machine_has_changed_is_sent_again(
    bay: AsyncAgentBay, notes: Context
) -> None:
    """The noted checksum does not hold for another size."""
    write("src", {"a": "a"})
    (await bay.context.push(notes, "src")).unwrap()
    (await bay.context.upload_file(notes.id, "/a", b"longer")).unwrap()
    assert steps(await bay.context.push(notes, "src")) == [("change", "a", 1)]


async def test_files_are_left_out_on_both_sides(bay: AsyncAgentBay, notes: Context) -> None:
    """By the ignore file and by the argument; links are no files."""
    write("src", {"a": "a", "b.log": "b", "secret": "s", ".agentbayignore": "*.log\n.agentbay*\n"})
    os.symlink("a", "src/link")
    (await bay.context.upload_file(notes.id, "/z.log", b"z")).unwrap()
    pushed = await bay.context.push(notes, "src", exclude=["secret"], delete=True)
    assert steps(pushed) == [("add", "a", 1)]


async def test_a_record_that_cannot_be_used_costs_a_transfer_only(
    bay: AsyncAgentBay, notes: Context, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged one, and one that cannot be written."""
    write("src", {"a": "a"})
    (await bay.context.push(notes, "src")).unwrap()
    [record] = (tmp_path / "data" / "agentbay" / "contexts").iterdir()
    for text in ("no JSON", "[]"):
        record.write_text(text)
        assert steps(await bay.context.push(notes, "src")) == [("change", "a", 1)]
    record.unlink()
    record.mkdir()
    assert steps(await bay.context.push(notes, "src")) == [("change", "a", 1)]
    assert "were not noted" in caplog.text


async def test_a_file_that_cannot_be_read_fails_alone(
    bay: AsyncAgentBay, notes: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is made all the same."""
    write("src", {"a": "a"})
    (await bay.context.push(notes, "src")).unwrap()

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("agentbay_async._sync.context_plan.LocalFiles.checksum", refuse)
    assert steps(await bay.context.push(notes, "src", dry_run=True)) == [("change", "a", 1)]


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"directory": "none"}, InvalidArgumentError, "there is no directory 'none'"),
        ({"directory": 5}, ArgumentTypeError, "directory must be a path, not int"),
        ({"folder": "a/../b"}, InvalidArgumentError, "folder must not contain"),
        ({"exclude": "*.log"}, ArgumentTypeError, "exclude"),
        ({"delete": "yes"}, ArgumentTypeError, "delete"),
        ({"context": ""}, InvalidArgumentError, "context"),
        ({"directory": "bad"}, InvalidArgumentError, "cannot be read"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    bay: AsyncAgentBay, service: LocalService, given: dict[str, Any], error: type[Exception],
    told: str,
) -> None:  # fmt: skip
    """By name."""
    write(".", {"src/a": "a", "bad/.agentbayignore": "\udcff"})
    with pytest.raises(error, match=told):
        await bay.context.push(**{"context": "c-1", "directory": "src", **given})
    assert len(service.journal) == 0


async def test_a_pull_refuses_a_file_for_a_directory(bay: AsyncAgentBay) -> None:
    """Before anything is sent."""
    write(".", {"file": ""})
    with pytest.raises(InvalidArgumentError, match="there is no directory 'file'"):
        await bay.context.pull("c-1", "file")


def test_a_file_of_a_context_stays_in_its_directory(tmp_path: Path) -> None:
    """Whatever it is called, and whatever links there are."""
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    assert place_inside(root, "in/a") == root / "in/a"
    for path in ("../a", "/etc/passwd", "out/a", "in/../../a", "a\0b"):
        with pytest.raises(TransferError, match="outside"):
            place_inside(root, path)


def test_a_checksum_holds_as_long_as_size_and_time_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A transfer whose time was not noted yet counts as the last one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    one = Checksums("service", "context")
    one.note("a", 1, "sum")
    assert one.of("a", RemoteFile(1, "now")) == "sum"
    one.settle({"a": RemoteFile(1, "now"), "b": RemoteFile(2, "now")})
    one.save()
    again = Checksums("service", "context")
    again.load()
    assert again.of("a", RemoteFile(1, "now")) == "sum"
    assert again.of("a", RemoteFile(1, "later")) == ""
    assert again.of("a", RemoteFile(2, "now")) == ""
    assert again.of("b", RemoteFile(2, "now")) == ""
    other = Checksums("service", "other")
    other.load()
    assert other.of("a", RemoteFile(1, "now")) == ""


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("# comment", "# comment", False),
        ("", "a", False),
        ("*.py[co]", "x/y.pyc", True),
        ("*.py[!co]", "x/y.pyc", False),
        ("?", "ab", False),
        ("/a", "b/a", False),
        ("a/b", "c/a/b", False),
        ("**/b", "c/a/b", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("**", "a/b", True),
        ("dir/", "dir", False),
        ("dir/", "x/dir/file", True),
        ("a.b", "axb", False),
    ],
)
def test_patterns_mean_what_git_says(pattern: str, path: str, ignored: bool) -> None:
    """Also those with wildcards in the middle."""
    assert IgnorePatterns([pattern]).is_ignored(path) is ignored
