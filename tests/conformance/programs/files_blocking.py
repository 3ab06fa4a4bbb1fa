"""A program for the official client, blocking: files, watches, variables, git and ports."""

import os
import tempfile
import threading
import urllib.request
from itertools import groupby
from pathlib import Path

from agentbay import AgentBay, CreateSessionParams, Session


def files(session: Session) -> None:
    """Write and read texts and bytes that are longer than one message."""
    fs = session.file_system
    text = "汉字 and ascii\n" * 12_000
    assert fs.write_file("/tmp/deep/text", text).success
    assert fs.write_file("/tmp/deep/text", "end", mode="append").success
    info = fs.get_file_info("/tmp/deep/text")
    assert info.success and int(info.file_info["size"]) == len((text + "end").encode()), info
    raw = fs.read_file("/tmp/deep/text", format="bytes")
    assert raw.success and raw.content == (text + "end").encode(), len(raw.content)
    # Its pieces of text begin and end at bytes; none of its characters may be lost.
    read = fs.read_file("/tmp/deep/text")
    assert read.success and read.content == text + "end", len(read.content)
    assert fs.write_file("/tmp/deep/empty", "").success
    assert fs.read_file("/tmp/deep/empty").content == ""
    assert not fs.read_file("/tmp/deep").success
    assert {entry.name for entry in fs.list_directory("/tmp/deep").entries} == {"text", "empty"}
    assert fs.search_files("/tmp/deep", "t*t").matches == ["/tmp/deep/text"]
    several = fs.read_multiple_files(["/tmp/deep/empty", "/tmp/deep/none"])
    assert several.success and "/tmp/deep/empty" in several.contents, several
    edits = [{"oldText": "end", "newText": "END"}]
    assert fs.edit_file("/tmp/deep/text", edits).success
    assert fs.move_file("/tmp/deep/text", "/tmp/moved").success
    assert fs.read_file("/tmp/moved").content.endswith("END")
    assert fs.delete_file("/tmp/moved").success
    assert not fs.get_file_info("/tmp/moved").success


def watches(session: Session) -> None:
    """Hear of each change, and of each once."""
    fs = session.file_system
    assert fs.create_directory("/tmp/watched").success
    assert fs.write_file("/tmp/watched/old", "old").success
    events, enough = [], threading.Event()

    def heard(batch: list) -> None:
        events.extend((event.event_type, event.path, event.path_type) for event in batch)
        if batch[-1].event_type == "delete":
            enough.set()

    thread = fs.watch_directory("/tmp/watched", heard, interval=0.2)
    thread.start()
    assert thread.ready_event.wait(20)
    for name in ("new", "new", "second"):
        before = len(events)
        assert fs.write_file(f"/tmp/watched/{name}", "x" * (before + 1)).success
        until(lambda start=before: "modify" in {kind for kind, *_ in events[start:]})
    assert fs.delete_file("/tmp/watched/old").success
    assert enough.wait(20), events
    thread.stop_event.set()
    thread.join(20)
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


def until(check) -> None:
    """Wait until something is so."""
    for _ in range(1000):
        if check():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not come true")


def failure(call, *args: object) -> str:
    """Return what a call raises."""
    try:
        call(*args)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def variables(session: Session) -> None:
    """Set and get, and see them in commands."""
    assert session.env.set({"STAGE": 'it\'s "a" test', "OTHER": "汉"}).success
    assert session.env.get().envs == {"STAGE": 'it\'s "a" test', "OTHER": "汉"}
    assert session.env.get(["OTHER", "NONE"]).envs == {"OTHER": "汉"}
    assert session.command.run('printf %s "$STAGE"').stdout == 'it\'s "a" test'


def git(session: Session) -> None:
    """Make a repository, commit, branch, clone, and pull."""
    here = session.git
    repo = "/home/wuying/repo"
    here.init(repo, initial_branch="main")
    here.configure_user(repo, "Me", "me@example.com")
    session.file_system.write_file(f"{repo}/a b.txt", "one\n")
    assert not here.status(repo).is_clean
    here.add(repo)
    commit = here.commit(repo, "First, with 'quotes'")
    assert commit.commit_hash, commit
    (entry,) = here.log(repo).entries
    assert entry.message == "First, with 'quotes'" and entry.hash.startswith(commit.commit_hash)
    here.create_branch(repo, "topic")
    session.file_system.write_file(f"{repo}/a b.txt", "two\n")
    here.add(repo)
    here.commit(repo, "Second")
    here.checkout_branch(repo, "main")
    assert here.list_branches(repo).current == "main"
    cloned = here.clone(repo, path="/home/wuying/copy", branch="topic")
    assert cloned.path == "/home/wuying/copy"
    assert len(here.log("/home/wuying/copy").entries) == 2
    here.remote_add(repo, "copy", "/home/wuying/copy")
    here.pull(repo, remote="copy", branch="topic")
    assert here.status(repo).is_clean
    assert session.file_system.read_file(f"{repo}/a b.txt").content == "two\n"
    assert failure(here.status, "/tmp").startswith("GitNotARepoError")


def transfers(session: Session) -> None:
    """Bring a file into the session and another one out of it."""
    fs = session.file_system
    content = os.urandom(2_000_000)
    with tempfile.TemporaryDirectory() as place:
        up, down = Path(place, "up"), Path(place, "down")
        up.write_bytes(content)
        sent = fs.upload_file(str(up), "/tmp/file-transfer/sub/x", poll_interval=0.1)
        assert sent.success and sent.bytes_sent == len(content), sent
        found = session.command.run(
            "md5sum < /tmp/file-transfer/sub/x; wc -c < /tmp/file-transfer/sub/x"
        )
        assert str(len(content)) in found.stdout, found
        assert session.command.run("cp /tmp/file-transfer/sub/x /tmp/file-transfer/y").success
        got = fs.download_file("/tmp/file-transfer/y", str(down), poll_interval=0.1)
        assert got.success and down.read_bytes() == content, got
        # Any path of the session, as the guides show it.
        sent = fs.upload_file(str(up), "/tmp/uploaded_file.txt", poll_interval=0.1)
        assert sent.success, sent
        cp = "cp /tmp/uploaded_file.txt /home/wuying/cloud_file.txt"
        assert (session.command.run(cp)).success
        got = fs.download_file("/home/wuying/cloud_file.txt", str(down), poll_interval=0.1)
        assert got.success and down.read_bytes() == content, got
    assert not fs.upload_file(str(up), "/tmp/file-transfer/none").success


def ports(session: Session) -> None:
    """Reach what listens in the session, and read its numbers."""
    serve = "cd /home/wuying; nohup python3 -m http.server 30150 > /dev/null 2>&1 &"
    assert session.command.run(f"echo served > /home/wuying/page; {serve}").success
    link = session.get_link("https", 30150)
    assert link.success, link.error_message

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{link.data}page", timeout=10) as answer:
                return answer.read() == b"served\n"
        except OSError:
            return False

    until(answers)
    assert "[30100, 30199]" in failure(session.get_link, "https", 80)
    metrics = session.get_metrics()
    assert metrics.success and metrics.metrics.cpu_count >= 1, metrics
    assert metrics.metrics.disk_total > metrics.metrics.disk_used > 0, metrics
    assert not session.oss.env_init("id", "secret", "token").success
    assert not session.oss.download_anonymous("http://localhost:1/x", "/tmp/x").success


bay = AgentBay()
for direct in (True, False):
    created = bay.create(CreateSessionParams(image_id="linux_latest"))
    assert created.success, created.error_message
    worker = created.session
    assert worker.link_url and worker.token
    if not direct:
        # Calls then go by the API, whose messages are short: files are read and written in pieces.
        worker.link_url = ""
    for work in (files, watches, variables, git, transfers, ports):
        work(worker)
    assert bay.delete(worker).success

print("conforms")
