"""A program for the official client, async: files, watches, variables, git and ports."""

import asyncio
import os
import tempfile
import threading
import urllib.request
from itertools import groupby
from pathlib import Path

from agentbay import AsyncAgentBay, AsyncSession, CreateSessionParams


async def files(session: AsyncSession) -> None:
    """Write and read texts and bytes that are longer than one message."""
    fs = session.file_system
    text = "汉字 and ascii\n" * 12_000
    assert (await fs.write_file("/tmp/deep/text", text)).success
    assert (await fs.write_file("/tmp/deep/text", "end", mode="append")).success
    info = await fs.get_file_info("/tmp/deep/text")
    assert info.success and int(info.file_info["size"]) == len((text + "end").encode()), info
    raw = await fs.read_file("/tmp/deep/text", format="bytes")
    assert raw.success and raw.content == (text + "end").encode(), len(raw.content)
    # Its pieces of text begin and end at bytes; none of its characters may be lost.
    read = await fs.read_file("/tmp/deep/text")
    assert read.success and read.content == text + "end", len(read.content)
    assert (await fs.write_file("/tmp/deep/empty", "")).success
    assert (await fs.read_file("/tmp/deep/empty")).content == ""
    assert not (await fs.read_file("/tmp/deep")).success
    assert {entry.name for entry in (await fs.list_directory("/tmp/deep")).entries} == {
        "text",
        "empty",
    }
    assert (await fs.search_files("/tmp/deep", "t*t")).matches == ["/tmp/deep/text"]
    several = await fs.read_multiple_files(["/tmp/deep/empty", "/tmp/deep/none"])
    assert several.success and "/tmp/deep/empty" in several.contents, several
    edits = [{"oldText": "end", "newText": "END"}]
    assert (await fs.edit_file("/tmp/deep/text", edits)).success
    assert (await fs.move_file("/tmp/deep/text", "/tmp/moved")).success
    assert (await fs.read_file("/tmp/moved")).content.endswith("END")
    assert (await fs.delete_file("/tmp/moved")).success
    assert not (await fs.get_file_info("/tmp/moved")).success


async def watches(session: AsyncSession) -> None:
    """Hear of each change, and of each once."""
    fs = session.file_system
    assert (await fs.create_directory("/tmp/watched")).success
    assert (await fs.write_file("/tmp/watched/old", "old")).success
    events, enough = [], threading.Event()

    def heard(batch: list) -> None:
        events.extend((event.event_type, event.path, event.path_type) for event in batch)
        if batch[-1].event_type == "delete":
            enough.set()

    thread = fs.watch_directory("/tmp/watched", heard, interval=0.2)
    thread.start()
    assert await asyncio.to_thread(thread.ready_event.wait, 20)
    for name in ("new", "new", "second"):
        before = len(events)
        assert (await fs.write_file(f"/tmp/watched/{name}", "x" * (before + 1))).success
        await until(lambda start=before: "modify" in {kind for kind, *_ in events[start:]})
    assert (await fs.delete_file("/tmp/watched/old")).success
    assert await asyncio.to_thread(enough.wait, 20), events
    thread.stop_event.set()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
    # A write may be told in several events: of the emptied file, and of the written one.
    changes = [one for one, _ in groupby((kind, Path(path).name) for kind, path, _ in events)]
    assert changes == [
        ("create", "new"),
        ("modify", "new"),
        ("create", "second"),
        ("modify", "second"),
        ("delete", "old"),
    ], changes
    assert {kind for _, _, kind in events} == {"file"}


async def until(check) -> None:
    """Wait until something is so."""
    for _ in range(1000):
        if await asyncio.to_thread(check):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")


async def failure(call, *args: object) -> str:
    """Return what a call raises."""
    try:
        await call(*args)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


async def variables(session: AsyncSession) -> None:
    """Set and get, and see them in commands."""
    assert (await session.env.set({"STAGE": 'it\'s "a" test', "OTHER": "汉"})).success
    assert (await session.env.get()).envs == {"STAGE": 'it\'s "a" test', "OTHER": "汉"}
    assert (await session.env.get(["OTHER", "NONE"])).envs == {"OTHER": "汉"}
    assert (await session.command.run('printf %s "$STAGE"')).stdout == 'it\'s "a" test'


async def git(session: AsyncSession) -> None:
    """Make a repository, commit, branch, clone, and pull."""
    here = session.git
    repo = "/home/wuying/repo"
    await here.init(repo, initial_branch="main")
    await here.configure_user(repo, "Me", "me@example.com")
    await session.file_system.write_file(f"{repo}/a b.txt", "one\n")
    assert not (await here.status(repo)).is_clean
    await here.add(repo)
    commit = await here.commit(repo, "First, with 'quotes'")
    assert commit.commit_hash, commit
    (entry,) = (await here.log(repo)).entries
    assert entry.message == "First, with 'quotes'" and entry.hash.startswith(commit.commit_hash)
    await here.create_branch(repo, "topic")
    await session.file_system.write_file(f"{repo}/a b.txt", "two\n")
    await here.add(repo)
    await here.commit(repo, "Second")
    await here.checkout_branch(repo, "main")
    assert (await here.list_branches(repo)).current == "main"
    cloned = await here.clone(repo, path="/home/wuying/copy", branch="topic")
    assert cloned.path == "/home/wuying/copy"
    assert len((await here.log("/home/wuying/copy")).entries) == 2
    await here.remote_add(repo, "copy", "/home/wuying/copy")
    await here.pull(repo, remote="copy", branch="topic")
    assert (await here.status(repo)).is_clean
    assert (await session.file_system.read_file(f"{repo}/a b.txt")).content == "two\n"
    assert (await failure(here.status, "/tmp")).startswith("GitNotARepoError")


async def transfers(session: AsyncSession) -> None:
    """Bring a file into the session and another one out of it."""
    fs = session.file_system
    content = os.urandom(2_000_000)
    with tempfile.TemporaryDirectory() as place:
        up, down = Path(place, "up"), Path(place, "down")
        await asyncio.to_thread(up.write_bytes, content)
        sent = await fs.upload_file(str(up), "/tmp/file-transfer/sub/x", poll_interval=0.1)
        assert sent.success and sent.bytes_sent == len(content), sent
        found = await session.command.run(
            "md5sum < /tmp/file-transfer/sub/x; wc -c < /tmp/file-transfer/sub/x"
        )
        assert str(len(content)) in found.stdout, found
        assert (
            await session.command.run("cp /tmp/file-transfer/sub/x /tmp/file-transfer/y")
        ).success
        got = await fs.download_file("/tmp/file-transfer/y", str(down), poll_interval=0.1)
        assert got.success, got
        assert await asyncio.to_thread(down.read_bytes) == content
        # Any path of the session, as the guides show it.
        sent = await fs.upload_file(str(up), "/tmp/uploaded_file.txt", poll_interval=0.1)
        assert sent.success, sent
        cp = "cp /tmp/uploaded_file.txt /home/wuying/cloud_file.txt"
        assert (await session.command.run(cp)).success
        got = await fs.download_file("/home/wuying/cloud_file.txt", str(down), poll_interval=0.1)
        assert got.success and await asyncio.to_thread(down.read_bytes) == content, got
    assert not (await fs.upload_file(str(up), "/tmp/file-transfer/none")).success


async def ports(session: AsyncSession) -> None:
    """Reach what listens in the session, and read its numbers."""
    serve = "cd /home/wuying; nohup python3 -m http.server 30150 > /dev/null 2>&1 &"
    assert (await session.command.run(f"echo served > /home/wuying/page; {serve}")).success
    link = await session.get_link("https", 30150)
    assert link.success, link.error_message

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{link.data}page", timeout=10) as answer:
                return answer.read() == b"served\n"
        except OSError:
            return False

    await until(answers)
    assert "[30100, 30199]" in await failure(session.get_link, "https", 80)
    metrics = await session.get_metrics()
    assert metrics.success and metrics.metrics.cpu_count >= 1, metrics
    assert metrics.metrics.disk_total > metrics.metrics.disk_used > 0, metrics
    assert not (await session.oss.env_init("id", "secret", "token")).success
    assert not (await session.oss.download_anonymous("http://localhost:1/x", "/tmp/x")).success


async def main() -> None:
    """Do all of it, by each way there is to a session."""
    bay = AsyncAgentBay()
    for direct in (True, False):
        created = await bay.create(CreateSessionParams(image_id="linux_latest"))
        assert created.success, created.error_message
        worker = created.session
        assert worker.link_url and worker.token
        if not direct:
            # Calls then go by the API: files are read and written in pieces.
            worker.link_url = ""
        for work in (files, watches, variables, git, transfers, ports):
            await work(worker)
        assert (await bay.delete(worker)).success
    print("conforms")


asyncio.run(main())
