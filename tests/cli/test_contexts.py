"""``agentbay context``: contexts, and directories that are pushed to and pulled from them."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_cli import contexts
from agentbay_local import Fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay import AgentBay
    from agentbay_local import LocalService

    Run = Callable[..., Any]


def write(root: str, **texts: str) -> None:
    """Write files; two underscores in a name are a slash, one is a dot."""
    for name, text in texts.items():
        path = Path(root, name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tree(root: str) -> dict[str, str]:
    """Return the files below a directory, with their content."""
    found = [path for path in Path(root).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_text() for path in found}


def steps(done: Any) -> list[tuple[str, str]]:
    """Return what was done, and with which files."""
    return [(line.split()[0], line.split()[1]) for line in done.out.splitlines()]


def test_contexts_are_created_listed_and_deleted(agentbay: Run, bay: AgentBay) -> None:
    """By name or id."""
    first = agentbay("context", "create", "notes").out.strip()
    second = json.loads(agentbay("context", "create", "models", "--json").out)["id"]
    rows = [line.split()[:3] for line in agentbay("context", "ls").out.splitlines()]
    assert rows == [
        ["NAME", "ID", "STATE"],
        ["models", second, "available"],
        ["notes", first, "available"],
    ]
    assert agentbay("context", "rm", "notes", second, "-y").out.split() == [first, second]
    assert list(bay.context.iterate()) == []


def test_deleting_a_context_asks(agentbay: Run, bay: AgentBay) -> None:
    """All its files would be gone."""
    agentbay("context", "create", "notes")
    done = agentbay("context", "rm", "notes")
    assert (done.code, "give --yes" in done.err) == (2, True)
    assert [one.name for one in bay.context.iterate()] == ["notes"]


def test_a_context_that_nobody_has_is_told_with_the_cure(agentbay: Run) -> None:
    """In one line."""
    for command in (["files", "nobody"], ["pull", "nobody", "new"]):
        done = agentbay("context", *command)
        assert (done.code, "agentbay context ls" in done.err) == (2, True)
        assert len(done.err.splitlines()) == 1


def test_a_push_sends_what_has_changed(agentbay: Run, user: LocalService) -> None:
    """With --dry-run only the plan is printed, and nothing is changed."""
    write("src", a_txt="a", deep__b_txt="b")
    assert agentbay("context", "create", "notes").code == 0

    plan = agentbay("context", "push", "notes", "src", "--dry-run")
    assert steps(plan) == [("add", "a.txt"), ("add", "deep/b.txt")]
    assert agentbay("context", "files", "notes", "--json").out == ""

    assert steps(agentbay("context", "push", "notes", "src")) == steps(plan)
    files = [
        json.loads(line)
        for line in agentbay("context", "files", "notes", "--json").out.splitlines()
    ]
    assert [(one["path"], one["size"]) for one in files] == [("a.txt", 1), ("deep/b.txt", 1)]

    done = agentbay("context", "push", "notes", "src")
    assert (done.code, done.out, done.err) == (0, "", "0 of 0 done, 0 failed\n")

    # The same size: only the checksum tells.
    write("src", a_txt="A", c_txt="c")
    assert steps(agentbay("context", "push", "notes", "src")) == [
        ("change", "a.txt"), ("add", "c.txt"),
    ]  # fmt: skip


def test_a_push_creates_the_context_and_goes_to_a_folder(agentbay: Run) -> None:
    """Other files of the context are not touched."""
    write("src", a_txt="a")
    write("other", z_txt="z")
    agentbay("context", "push", "notes", "other")
    done = agentbay(
        "context", "push", "notes", "src", "--path", "some/folder", "--delete", "--json"
    )
    assert json.loads(done.out) == {"action": "add", "path": "a.txt", "size": 1}
    files = agentbay("context", "files", "notes").out.split()
    assert {"some/folder/a.txt", "z.txt"} < set(files)
    assert agentbay("context", "files", "notes", "--path", "some").out.split()[3] == "folder/a.txt"


def test_a_pull_fetches_what_has_changed(agentbay: Run) -> None:
    """Into a new directory, and into one that has some of it."""
    write("src", a_txt="a", deep__b_txt="b")
    agentbay("context", "push", "notes", "src")
    assert agentbay("context", "pull", "notes", "new", "-n").out.split()[:2] == ["add", "a.txt"]
    assert not Path("new").exists()

    assert agentbay("context", "pull", "notes", "new").code == 0
    assert tree("new") == tree("src")
    assert agentbay("context", "pull", "notes", "new").out == ""

    write("new", a_txt="B", own_txt="own")
    assert steps(agentbay("context", "pull", "notes", "new")) == [("change", "a.txt")]
    assert steps(agentbay("context", "pull", "notes", "new", "--delete")) == [("delete", "own.txt")]
    assert tree("new") == tree("src")


def test_a_diff_shows_what_a_push_would_do(agentbay: Run) -> None:
    """Its exit code tells whether there is anything."""
    write("src", a_txt="a", b_txt="b")
    agentbay("context", "push", "notes", "src")
    done = agentbay("context", "diff", "notes", "src")
    assert (done.code, done.out) == (0, "")
    Path("src/a.txt").unlink()
    write("src", b_txt="longer", c_txt="c")
    done = agentbay("context", "diff", "notes", "src")
    assert (done.code, steps(done)) == (
        1, [("change", "b.txt"), ("add", "c.txt"), ("delete", "a.txt")],
    )  # fmt: skip
    assert steps(agentbay("context", "push", "notes", "src", "--delete"))[-1] == ("delete", "a.txt")
    assert agentbay("context", "diff", "notes", "src").code == 0


def test_what_somebody_else_has_changed_is_sent_again(agentbay: Run, bay: AgentBay) -> None:
    """The checksum of an earlier push does not hold for another size or time."""
    write("src", a_txt="a")
    agentbay("context", "push", "notes", "src")
    context = bay.context.get("notes").context
    bay.context.upload_file(context.id, "/a.txt", b"longer").unwrap()
    assert steps(agentbay("context", "diff", "notes", "src")) == [("change", "a.txt")]


def test_a_push_that_was_interrupted_goes_on_where_it_ended(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C does not lose what was sent."""
    write("src", a_txt="a", b_txt="b", c_txt="c")

    def interrupted(_printer: object, one: Any) -> None:
        if one.path == "a.txt":
            # As the terminal does, for the thread that waits for the push.
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(0.5)

    with monkeypatch.context() as patch:
        patch.setattr(contexts._Printer, "show", interrupted)
        assert agentbay("context", "push", "notes", "src").code == 130
    done = agentbay("context", "push", "notes", "src")
    assert steps(done)[-1] == ("add", "c.txt")
    assert ("add", "a.txt") not in steps(done)


def test_a_file_that_cannot_be_sent_is_named_and_the_others_are_sent(
    agentbay: Run, user: LocalService
) -> None:
    """The exit code tells."""
    write("src", a_txt="a", b_txt="b")
    agentbay("context", "create", "notes")
    user.faults.add(Fail("No.Room", 400, "No room."), "GetContextFileUploadUrl", nth=1)
    done = agentbay("context", "push", "notes", "src")
    assert (done.code, steps(done)) == (1, [("add", "b.txt")])
    assert "a.txt: " in done.err
    assert "1 of 2 done, 1 failed" in done.err


def test_files_are_left_out(agentbay: Run) -> None:
    """By the ignore file and by options; links are no files."""
    write("src", a_txt="a", b_log="b", build__x="x", keep_log="k", secret="s")
    Path("src/.agentbayignore").write_text("*.log\n!keep.log\nbuild/\n.agentbayignore\n")
    Path("src/link").symlink_to("a.txt")
    done = agentbay("context", "push", "notes", "src", "--exclude", "secret")
    assert steps(done) == [("add", "a.txt"), ("add", "keep.log")]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["push", "notes", "none"], "there is no directory 'none'"),
        (["diff", "notes", "none"], "there is no directory 'none'"),
        (["push", "notes", ".", "--path", "a/../b"], "--path must not contain '..'"),
        (["push", "notes", "bad"], "is not UTF-8 text"),
    ],
)
def test_bad_directories_are_refused_before_anything_is_sent(
    agentbay: Run, user: LocalService, given: list[str], told: str
) -> None:
    """In one line."""
    Path("bad").mkdir()
    Path("bad/.agentbayignore").write_bytes(b"\xff")
    done = agentbay("context", *given)
    assert (done.code, told in done.err, len(user.journal)) == (2, True, 0)


def test_folders_without_an_end_are_not_followed(agentbay: Run, bay: AgentBay) -> None:
    """Nobody has such ones by intention."""
    context = bay.context.create("notes").context
    for depth in (64, 65):
        path = "/".join(["d"] * depth)
        bay.context.upload_file(context.id, f"/{path}/a.txt", b"a").unwrap()
    lines = agentbay("context", "files", "notes", "--json").out.splitlines()
    assert [json.loads(line)["path"].count("/") for line in lines] == [64]


def test_a_damaged_record_costs_a_transfer_only(agentbay: Run) -> None:
    """Nothing else is in it."""
    write("src", a_txt="a")
    agentbay("context", "push", "notes", "src")
    [record] = Path(os.environ["XDG_DATA_HOME"], "agentbay", "contexts").iterdir()
    for text in ("no JSON", "[]"):
        record.write_text(text)
        assert steps(agentbay("context", "push", "notes", "src")) == [("change", "a.txt")]
