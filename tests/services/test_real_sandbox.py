"""Files and git in real sandboxes of the local service."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncAgentBay, FileError, GitConflictError, GitNotARepoError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentbay_async import AsyncSession
    from agentbay_local import LocalService

_NAMES = ["a b", " lead", "[FILE] x", "new\nline", "汉字", "-n", "back\\slash"]


@pytest.fixture
async def real(service: LocalService) -> AsyncIterator[AsyncSession]:
    """Give a session of it."""
    async with (
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session() as session,
    ):
        yield session


@pytest.mark.parametrize("content", ["汉字🎉\r\n" * 40_000, bytes(range(256)) * 4096, "", b""])
async def test_content_of_any_size_survives(real: AsyncSession, content: str | bytes) -> None:
    """Written, appended to and read back."""
    fs = real.file_system
    (await fs.write_file("/tmp/new dir/f", content)).unwrap()
    (await fs.write_file("/tmp/new dir/f", content, "append")).unwrap()
    kind = "text" if isinstance(content, str) else "bytes"
    assert (await fs.read_file("/tmp/new dir/f", format=kind)).content == content * 2
    assert [entry.name for entry in (await fs.ls("/tmp/new dir")).entries] == ["f"]


async def test_names_of_any_kind_survive(real: AsyncSession) -> None:
    """Written, listed, read together, moved and deleted."""
    fs = real.file_system
    for name in _NAMES:
        (await fs.write_file(f"d/{name}", name)).unwrap()
    (await fs.create_directory("d/[DIR] sub")).unwrap()
    entries = (await fs.list_directory("d")).entries
    assert [entry.name for entry in entries] == sorted([*_NAMES, "[DIR] sub"])
    assert [entry.name for entry in entries if entry.is_directory] == ["[DIR] sub"]
    paths = [f"d/{name}" for name in _NAMES]
    assert list((await fs.read_many(paths)).contents.values()) == _NAMES
    (await fs.move_file("d/a b", "d/[DIR] sub/moved")).unwrap()
    (await fs.delete_file("d/new\nline")).unwrap()
    (await fs.delete_directory("d", recursive=True)).unwrap()
    assert isinstance((await fs.list_directory("d")).error, FileError)


async def test_edit_returns_a_diff(real: AsyncSession) -> None:
    """Each edit applies to its first match; a dry run changes nothing."""
    fs = real.file_system
    await fs.write_file("f", "one\ntwo\ntwo\n")
    edits = [{"oldText": "two", "newText": "TWO"}]
    dry = (await fs.edit_file("f", edits, dry_run=True)).diff
    assert (await fs.read_file("f")).content == "one\ntwo\ntwo\n"
    assert (await fs.edit_file("f", edits)).diff == dry
    assert "+TWO\n" in dry
    assert (await fs.read_file("f")).content == "one\nTWO\ntwo\n"
    assert (await fs.search_files(".", "*", ["x"])).success
    info = (await fs.get_file_info("f")).file_info
    assert (info.size, info.is_file, info.is_directory) == (12, True, False)


async def test_files_and_directories_are_uploaded_and_downloaded(
    real: AsyncSession, tmp_path: Path
) -> None:
    """Small and large, with every byte."""
    fs = real.file_system
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "large 汉字").write_bytes(bytes(range(256)) * 4096)
    (tree / "run").write_text("#!/bin/sh\necho ran\n")
    (tree / "run").chmod(0o755)
    up = (await fs.upload_directory(tree, "tree")).unwrap()
    assert up.verified
    assert (await real.command.run("tree/run")).stdout == "ran\n"
    (tmp_path / "back").mkdir()
    assert (await fs.download_directory("tree", tmp_path / "back")).unwrap().verified
    for path in ("run", "sub/large 汉字"):
        assert (tmp_path / "back" / path).read_bytes() == (tree / path).read_bytes()
    receipt = (await fs.upload_file(tree / "sub" / "large 汉字", "/tmp/x/large")).unwrap()
    assert receipt.md5 == hashlib.md5((tree / "sub" / "large 汉字").read_bytes()).hexdigest()
    assert (await fs.download_file("/tmp/x/large", tmp_path / "f")).unwrap().verified
    assert (tmp_path / "f").read_bytes() == (tree / "sub" / "large 汉字").read_bytes()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")
async def test_git_works_in_a_real_sandbox(real: AsyncSession) -> None:
    """Create, commit, branch, merge and clone; failures have their own errors."""
    git, fs = real.git, real.file_system
    await git.init("project", initial_branch="main")
    await git.configure_user("project", "Me", "me@example.com", scope="local")
    await fs.write_file("project/汉字 a.txt", "base\n")
    assert [file.path for file in (await git.status("project")).files] == ["汉字 a.txt"]
    await git.add("project")
    first = (await git.commit("project", "First")).commit_hash
    await git.create_branch("project", "topic#1")
    await fs.write_file("project/汉字 a.txt", "theirs\n")
    await git.add("project")
    await git.commit("project", "Second")
    await git.checkout_branch("project", "main")
    await git.clone("project", path="copy")
    assert [entry.hash for entry in (await git.log("copy")).entries] == [first]
    await fs.write_file("project/汉字 a.txt", "ours\n")
    await git.add("project")
    await git.commit("project", "Third")
    with pytest.raises(GitConflictError) as conflict:
        await git.merge("project", "topic#1")
    assert conflict.value.files == ("汉字 a.txt",)
    with pytest.raises(GitNotARepoError):
        await git.status("/tmp")
