"""``agentbay cp``, ``watch``, ``port`` and ``open``: files, ports and pages of sessions."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import urllib.request
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_cli import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay import AgentBay, Session
    from agentbay_local import LocalService

    Run = Callable[..., Any]

LIMIT = 60


@pytest.fixture
def session(bay: AgentBay) -> Session:
    """Return a session."""
    return bay.create().session


def tree(root: Path) -> dict[str, str]:
    """Return the files below a directory, with their content."""
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_file_is_copied_both_ways(agentbay: Run, session: Session) -> None:
    """To a path, into a directory that exists, and with its receipt."""
    Path("a.txt").write_text("hello")
    Path("out").mkdir()
    name = session.session_id

    assert agentbay("cp", "a.txt", f"{name}:/tmp/b.txt").code == 0
    assert agentbay("cp", "a.txt", f"{name}:/tmp").code == 0
    assert session.command.run("cat /tmp/b.txt /tmp/a.txt").stdout == "hellohello"

    done = agentbay("cp", "--json", f"{name}:/tmp/b.txt", "out")
    assert json.loads(done.out) == {"path": "/tmp/b.txt", "size": 5, "verified": True}
    assert agentbay("cp", f"{name}:/tmp/b.txt", "c.txt").code == 0
    assert tree(Path()) == {"a.txt": "hello", "out/b.txt": "hello", "c.txt": "hello"}


def test_a_directory_is_copied_both_ways(agentbay: Run, session: Session) -> None:
    """As a whole into one that exists, and as its content into a new one."""
    name = session.session_id
    Path("src/deep").mkdir(parents=True)
    Path("src/a.txt").write_text("a")
    Path("src/deep/b.txt").write_text("b")

    assert agentbay("cp", "src", f"{name}:new").code == 0
    assert agentbay("cp", "src", f"{name}:/tmp").code == 0
    assert agentbay("cp", "src/.", f"{name}:/tmp/content").code == 0
    found = session.command.run("cat new/a.txt /tmp/src/deep/b.txt /tmp/content/a.txt").stdout
    assert found == "aba"

    Path("here").mkdir()
    assert agentbay("cp", f"{name}:/tmp/src", "here").code == 0
    assert agentbay("cp", f"{name}:/tmp/src", "there/new").code == 0
    assert agentbay("cp", f"{name}:/tmp/src/.", "here").code == 0
    texts = {"a.txt": "a", "deep/b.txt": "b"}
    assert tree(Path("there/new")) == texts
    assert tree(Path("here")) == {**texts, **{f"src/{path}": text for path, text in texts.items()}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["cp", "a", "b"], "one of the two must be ID:PATH"),
        (["cp", "s-1:a", "s-2:b"], "one of the two must be ID:PATH"),
        (["cp", "./s-1:a", "s-2:b"], "there is no file or directory './s-1:a'"),
        (["port", "s-1", "80"], "80 is not in the range"),
        (["port", "s-1", "web"], "not a valid int"),
    ],
)
def test_bad_places_are_refused_before_anything_is_sent(
    agentbay: Run, user: LocalService, given: list[str], told: str
) -> None:
    """In one line."""
    done = agentbay(*given)
    assert (done.code, done.out, len(user.journal)) == (2, "", 0)
    assert told in done.err or "30100" in done.err or "integer" in done.err
    assert len(done.err.splitlines()) == 1


def test_what_is_not_there_cannot_be_copied(agentbay: Run, session: Session) -> None:
    """The error names it."""
    done = agentbay("cp", f"{session.session_id}:/tmp/none", "here")
    assert (done.code, "/tmp/none" in done.err, Path("here").exists()) == (2, True, False)
    done = agentbay("cp", __file__, "s-nobody:/tmp")
    assert (done.code, "agentbay ls" in done.err) == (2, True)


def test_the_progress_of_a_copy_is_for_people(
    agentbay: Run, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, if that is a terminal; the line is removed in the end."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    Path("a.bin").write_bytes(bytes(1024 * 1024))
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    assert agentbay("cp", "a.bin", f"{session.session_id}:/tmp/a.bin").out == ""
    assert "a.bin: 1.0 of 1.0 MiB" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_changes_of_files_are_watched(
    agentbay: Run, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until Ctrl-C; each is an object on a line."""
    seen = threading.Event()
    shown: list[Any] = []

    def show(columns: Any, row: Any, *, as_json: bool) -> None:
        shown.append((columns, row, as_json))
        seen.set()

    def change() -> None:
        # The watch begins at some time: files are written until it has seen one.
        number = 0
        while not seen.wait(0.1) and number < LIMIT * 10:
            number += 1
            session.file_system.write_file(f"/tmp/file{number}", "x")
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(files, "print_row", show)
    writer = threading.Thread(target=change)
    writer.start()
    done = agentbay("watch", session.session_id, "/tmp", "--json")
    writer.join()
    columns, (event, kind, path), as_json = shown[0]
    assert (done.code, as_json, columns) == (130, True, ("event", "type", "path"))
    assert (event in ("create", "modify"), kind, path[:9]) == (True, "file", "/tmp/file")


def test_a_watch_that_cannot_be_ends(agentbay: Run) -> None:
    """With the reason."""
    done = agentbay("watch", "s-nobody", "/tmp", "--json")
    assert (done.code, done.out, "agentbay ls" in done.err) == (2, "", True)


def test_a_port_has_a_link(agentbay: Run, session: Session) -> None:
    """That leads to the program which listens there."""
    session.file_system.write_file("/tmp/site/index.html", "from inside").unwrap()
    server = session.command.start("cd /tmp/site && exec python3 -m http.server 30100")
    assert session.command.run("until curl -s localhost:30100; do sleep 0.1; done").success
    url = agentbay("port", session.session_id, "30100").out.strip()
    assert json.loads(agentbay("port", session.session_id, "30100", "--json").out)["url"]
    with urllib.request.urlopen(url, timeout=LIMIT) as answer:
        assert answer.read() == b"from inside"
    server.kill()


def test_open_prints_the_page_and_opens_a_browser_for_people_only(
    agentbay: Run, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that reads the output wants no window."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    url = agentbay("open", session.session_id).out.strip()
    assert "resourceId=" in url
    assert opened == []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    agentbay("open", session.session_id)
    assert opened == [url]
