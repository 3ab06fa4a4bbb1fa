"""Our own client against the service, on each of its channels."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from agentbay_async import AsyncAgentBay, GitConflictError, GitError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentbay_async import AsyncSession, FileChange
    from agentbay_local import LocalService

pytestmark = pytest.mark.usefixtures("sandboxed")

git_needed = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")


@pytest.fixture(params=["directly", "by way of the API"])
async def session(
    service: LocalService, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[AsyncSession]:
    """Return a session that is reached in one of two ways."""
    async with (
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session() as session,
    ):
        access = session._api.access[session.session_id]
        assert access.link_url
        assert access.ws_url
        if request.param != "directly":
            access.link_url = access.ws_url = ""
        yield session


@pytest.mark.parametrize("content", ["汉\0🎉\r\n" * 60_000, bytes(range(256)) * 3000, "", b""])
async def test_files_survive_a_round_trip(session: AsyncSession, content: str | bytes) -> None:
    """Of any size, in one or several calls; appended content follows."""
    fs = session.file_system
    for mode in ("overwrite", "append"):
        (await fs.write_file("/tmp/deep/er/f", content, mode)).unwrap()
    kind = "text" if isinstance(content, str) else "bytes"
    assert (await fs.read_file("/tmp/deep/er/f", format=kind)).unwrap() == content * 2
    info = (await fs.get_file_info("/tmp/deep/er/f")).unwrap()
    raw = content.encode() if isinstance(content, str) else content
    assert (info.size, info.is_file, info.is_directory) == (2 * len(raw), True, False)


async def test_files_are_found_edited_moved_and_deleted(session: AsyncSession) -> None:
    """With names of any kind."""
    fs = session.file_system
    names = ["a b.txt", "[DIR] c.txt", "-n.txt", "汉.txt", "skip.me"]
    for name in names:
        (await fs.write_file(f"d/{name}", f"text of {name}\n")).unwrap()
    assert [entry.name for entry in (await fs.list_directory("d")).entries] == sorted(names)
    found = (await fs.search_files("/home/wuying/d", "*.txt", ["-*"])).unwrap()
    assert sorted(found) == sorted(f"/home/wuying/d/{name}" for name in names[:2] + names[3:4])
    edit = {"oldText": "text of", "newText": "edited"}
    diff = (await fs.edit_file("d/a b.txt", [edit], dry_run=True)).diff
    assert "+edited a b.txt\n" in diff
    assert (await fs.edit_file("d/a b.txt", [edit])).diff == diff
    (await fs.move_file("d/a b.txt", "moved")).unwrap()
    contents = (await fs.read_many(["moved", "d/汉.txt"])).contents
    assert list(contents.values()) == ["edited a b.txt\n", "text of 汉.txt\n"]
    (await fs.delete_file("moved")).unwrap()
    assert not (await fs.read_file("moved")).success
    assert not (await fs.delete_file("d")).success
    (await fs.delete_directory("d", recursive=True)).unwrap()
    assert not (await fs.list_directory("d")).success


@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
async def test_a_file_is_uploaded_and_downloaded(
    session: AsyncSession, tmp_path: Path, size: int
) -> None:
    """Small ones by the tools, large ones by the store, both verified."""
    content, seen = os.urandom(size), []
    (tmp_path / "up").write_bytes(content)
    up = await session.file_system.upload_file(
        tmp_path / "up", "/tmp/a b/f", progress=lambda progress: seen.append(progress.done)
    )
    receipt = up.unwrap()
    assert receipt.verified
    assert receipt.md5 == hashlib.md5(content).hexdigest()
    assert size in seen or not size
    assert (await session.command.run("md5sum < '/tmp/a b/f'")).stdout.split()[0] == receipt.md5
    down = await session.file_system.download_file("/tmp/a b/f", tmp_path / "down")
    assert down.unwrap().verified
    assert (tmp_path / "down").read_bytes() == content
    assert (await session.command.run("ls -A /tmp/file-transfer 2>/dev/null")).stdout == ""


async def test_a_directory_is_uploaded_and_downloaded(
    session: AsyncSession, tmp_path: Path
) -> None:
    """With its links, modes and large files."""
    tree = tmp_path / "tree"
    (tree / "sub" / "empty").mkdir(parents=True)
    (tree / "sub" / "large").write_bytes(os.urandom(2_000_000))
    (tree / "run").write_text("#!/bin/sh\necho ran\n")
    (tree / "run").chmod(0o755)
    (tree / "link").symlink_to("sub/large")
    fs = session.file_system
    assert (await fs.upload_directory(tree, "tree")).unwrap().verified
    assert (await session.command.run("tree/run; readlink tree/link")).stdout == "ran\nsub/large\n"
    (tmp_path / "back").mkdir()
    assert (await fs.download_directory("tree", tmp_path / "back")).unwrap().verified
    back = tmp_path / "back"
    assert (back / "sub" / "large").read_bytes() == (tree / "sub" / "large").read_bytes()
    assert (back / "sub" / "empty").is_dir()
    assert os.access(back / "run", os.X_OK)


async def test_a_watch_reports_each_change_once(session: AsyncSession) -> None:
    """Pushed or polled, in order."""
    fs = session.file_system
    (await fs.write_file("/tmp/w/old", "old")).unwrap()
    changes: list[FileChange] = []
    come = asyncio.Event()

    def heard(batch: list[FileChange]) -> None:
        changes.extend(batch)
        come.set()

    async def received(count: int) -> list[tuple[str, str]]:
        # Pushed changes come one by one, polled ones together.
        while len(changes) < count:
            come.clear()
            await asyncio.wait_for(come.wait(), 20)
        found = [(change.event_type, change.path) for change in changes]
        changes.clear()
        return found

    watch = fs.watch_directory("/tmp/w/", heard, interval=0.05)
    await watch.start()
    await asyncio.to_thread(watch.ready_event.wait, 20)
    await fs.write_file("/tmp/w/new", "new")
    assert await received(2) == [("create", "/tmp/w/new"), ("modify", "/tmp/w/new")]
    # Replacing the content would be two changes, to nothing and to the new content.
    await fs.write_file("/tmp/w/new", "er", mode="append")
    assert await received(1) == [("modify", "/tmp/w/new")]
    await fs.delete_file("/tmp/w/old")
    assert await received(1) == [("delete", "/tmp/w/old")]
    await watch.stop()


async def test_variables_are_seen_by_commands_and_by_git(session: AsyncSession) -> None:
    """On either channel."""
    variables = {"STAGE": "a 'b'\n汉", "GIT_AUTHOR_NAME": "From The Session"}
    (await session.env.set(variables)).unwrap()
    assert (await session.env.get()).envs == variables
    assert (await session.env.get(["STAGE", "NONE"])).envs == {"STAGE": variables["STAGE"]}
    assert (await session.command.run('printf %s "$STAGE"')).stdout == variables["STAGE"]


async def test_metrics_are_numbers(session: AsyncSession) -> None:
    """None is missing."""
    metrics = (await session.get_metrics()).unwrap()
    assert metrics.cpu_count >= 1
    assert 0 < metrics.disk_used < metrics.disk_total
    assert None not in (metrics.cpu_used_pct, metrics.rx_used_kbyte, metrics.mem_used)
    assert metrics.timestamp


async def test_a_link_reaches_a_server_of_the_session(session: AsyncSession) -> None:
    """Without any other credential."""
    await session.file_system.write_file("www/page.html", "<h1>汉</h1>")
    start = "cd www; nohup python3 -m http.server --bind 127.0.0.1 30123 > log 2>&1 & "
    # The first line of its log says that it listens.
    wait = "until python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 30123))'"
    (await session.command.run(f"{start} {wait} 2> /dev/null; do sleep 0.05; done")).unwrap()
    link = (await session.get_link("https", 30123)).unwrap()
    async with aiohttp.ClientSession() as http, http.get(f"{link}page.html") as answer:
        assert (answer.status, await answer.text()) == (200, "<h1>汉</h1>")
    other = (await session.get_link("https", 30124)).unwrap()
    async with aiohttp.ClientSession() as http, http.get(other) as answer:
        assert answer.status == 502


async def test_the_tools_of_a_session_are_listed_with_schemas(session: AsyncSession) -> None:
    """Calling another tool is a clear error."""
    tools = {tool.name: tool for tool in (await session.list_mcp_tools()).tools}
    assert tools["shell"].input_schema["required"] == ["command"]
    for result in (
        await session.call_mcp_tool("click_mouse", {"x": 1, "y": 1}),
        await session.oss.upload("bucket", "object", "path"),
        await session.computer.get_screen_size(),
    ):
        assert "not offered by image 'linux_latest' here" in (result.error_message or "")


async def test_a_forbidden_download_has_a_remedy(session: AsyncSession) -> None:
    """Sessions have no outbound network by default."""
    result: Any = await session.oss.download_anonymous("http://localhost:1/x?key=secret", "x")
    assert "Download failed" in result.error_message
    assert "--allow-host" in result.error_message
    assert "secret" not in result.error_message


@git_needed
async def test_commits_pass_between_two_clones(
    session: AsyncSession,
) -> None:
    """Pushed from one, fetched and pulled by the other; conflicting pushes fail."""
    git, fs = session.git, session.file_system
    await git.init("origin.git", bare=True, initial_branch="main")
    await git.configure_user("origin.git", "Me", "me@example.com")
    for name in ("mine", "theirs"):
        await git.clone("/home/wuying/origin.git", path=name)
    await fs.write_file("mine/f", "one\n")
    await git.add("mine")
    first = (await git.commit("mine", "First")).commit_hash
    await git.push("mine", remote="origin", branch="main", set_upstream=True)
    await git.tag("mine", "v1")
    await git.push("mine", remote="origin", tags=True)
    await git.pull("theirs", remote="origin", branch="main")
    assert [entry.hash for entry in (await git.log("theirs")).entries] == [first]
    assert (await fs.read_file("theirs/f")).content == "one\n"
    await git.fetch("theirs", tags=True)
    assert (await git.list_tags("theirs")).unwrap() == ["v1"]

    for name, text in (("mine", "two\n"), ("theirs", "other\n")):
        await fs.write_file(f"{name}/f", text)
        await git.add(name)
        await git.commit(name, f"From {name}")
    await git.push("mine")
    with pytest.raises(GitError) as refused:
        await git.push("theirs", remote="origin", branch="main")
    assert not isinstance(refused.value, GitConflictError)
    with pytest.raises(GitConflictError) as conflict:
        await git.pull("theirs", remote="origin", branch="main", rebase=False)
    assert conflict.value.files == ("f",)
    assert (await git.status("theirs")).unwrap().has_conflicts
    await fs.write_file("theirs/f", "both\n")
    await git.add("theirs")
    await git.commit("theirs", "Merged")
    await git.push("theirs", remote="origin", branch="main")
    await git.pull("mine")
    assert (await fs.read_file("mine/f")).content == "both\n"
