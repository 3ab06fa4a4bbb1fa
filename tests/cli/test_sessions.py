"""``agentbay create``, ``ls``, ``rm``, ``pause``, ``resume`` and ``keep-alive``."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_cli import sessions
from agentbay_local import Fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay import AgentBay
    from agentbay_local import LocalService

    Run = Callable[..., Any]


class Terminal(io.StringIO):
    """A terminal on which a person types a text."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def test_a_created_session_lives_on(agentbay: Run, user: LocalService) -> None:
    """Its id is all of the output; nothing takes it for one that was left behind."""
    done = agentbay("create", "-l", "job=7")
    assert done.code == 0, done.err
    assert list(user.living()) == done.out.split()
    assert agentbay("reap").out == ""
    assert agentbay("ps").out.split("\n")[1:] == [""]


def test_a_create_takes_all_that_a_session_can_have(agentbay: Run, bay: AgentBay) -> None:
    """Image, labels, variables, contexts and lifetime."""
    done = agentbay(
        "create", "code_latest", "--label", "a=1", "-e", "STAGE=test", "-v", "notes:/mnt/notes",
        "--idle", "90s", "--max-runtime", "1h", "--json",
    )  # fmt: skip
    found = json.loads(done.out)
    session = bay.get(found["id"]).unwrap()
    assert found == {"id": session.session_id, "status": "RUNNING", "image": "code_latest"}
    assert session.get_labels().data == {"a": "1"}
    assert session.command.run("echo $STAGE").stdout == "test\n"
    assert [one.context_name for one in session.context.list_bindings().unwrap()] == ["notes"]


def test_a_variable_can_come_from_here(
    agentbay: Run, bay: AgentBay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docker has it; one that is not set here is refused."""
    monkeypatch.setenv("STAGE", "from here")
    session_id = agentbay("create", "--env", "STAGE").out.strip()
    assert bay.get(session_id).unwrap().env.get(["STAGE"]).envs == {"STAGE": "from here"}
    monkeypatch.delenv("STAGE")
    done = agentbay("create", "--env", "STAGE")
    assert (done.code, "STAGE: the variable is not set here" in done.err) == (2, True)


def test_a_session_without_its_variables_is_deleted(agentbay: Run, user: LocalService) -> None:
    """The create has failed then."""
    done = agentbay("create", "-e", "A B=1")
    assert (done.code, list(user.living())) == (2, [])
    assert "must not contain" in done.err or "white space" in done.err


@pytest.mark.parametrize("command", [["create"], ["bulk", "create", "2"]])
def test_a_session_whose_id_nobody_gets_is_deleted(
    agentbay: Run, user: LocalService, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Ctrl-C while it is told, or an output that is closed."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sessions, "print_line", interrupt)
    assert agentbay(*command).code == 130
    assert not user.living()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["create", "-l", "novalue"], "--label must be KEY=VALUE, not 'novalue'"),
        (["create", "-e", "=x"], "--env must be NAME=VALUE"),
        (["create", "-v", "notes"], "--volume must be CONTEXT:/PATH, not 'notes'"),
        (["create", "--idle", "soon"], "'soon' is not a time such as 90s, 30m, 2h or 1d"),
        (["create", "--idle", "30s"], "--idle must be at least 1m"),
        (["create", "a", "b"], "unexpected extra argument"),
        (["ls", "--nonsense"], "No such option: --nonsense"),
        (["ls", "--status", "HAPPY"], "status must be one of"),
        (["rm"], "give ids, or --label, or --all"),
        (["rm", "s-1", "--all"], "give ids, or --label, or --all"),
        (["pause"], "Missing argument 'ID'"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_sent(
    agentbay: Run, user: LocalService, given: list[str], told: str
) -> None:
    """With the command that explains itself, if the command line is wrong."""
    before = len(user.journal)
    done = agentbay(*given)
    assert (done.code, done.out) == (2, "")
    assert told.lower() in done.err.lower()
    assert done.err.startswith("agentbay: ")
    assert len(done.err.splitlines()) == 1
    assert len(user.journal) == before


def test_sessions_are_listed_by_labels(agentbay: Run) -> None:
    """As a table, as ids, and as JSON."""
    first = agentbay("create", "-l", "job=1").out.strip()
    second = agentbay("create", "-l", "job=2").out.strip()
    head, *rows = agentbay("ls").out.splitlines()
    assert head.split() == ["ID", "STATUS", "IMAGE"]
    assert {row.split()[0] for row in rows} == {first, second}
    assert agentbay("ls", "-q", "-l", "job=2").out.split() == [second]
    assert json.loads(agentbay("ls", "--label", "job=1", "--json").out)["id"] == first
    assert agentbay("ls", "-q", "--status", "PAUSED").out == ""


def test_sessions_are_deleted_by_id_and_by_label(agentbay: Run, user: LocalService) -> None:
    """The ids of those that were deleted are the output."""
    ids = [agentbay("create", "-l", f"job={number % 2}").out.strip() for number in range(4)]
    assert agentbay("rm", ids[0], "--json").out == f'{{"id": "{ids[0]}"}}\n'
    assert set(agentbay("rm", "-l", "job=1").out.split()) == {ids[1], ids[3]}
    assert list(user.living()) == [ids[2]]
    assert agentbay("rm", "--all", "--yes").out.split() == [ids[2]]
    assert not user.living()


def test_what_could_not_be_deleted_is_named(agentbay: Run, user: LocalService) -> None:
    """And the exit code says that something is left."""
    session_id = agentbay("create").out.strip()
    user.faults.add(Fail("Session.Stuck", 400, "It is stuck."), "DeleteSessionAsync")
    done = agentbay("rm", session_id)
    assert (done.code, done.out) == (1, "")
    assert f"{session_id} could not be deleted: " in done.err
    assert "It is stuck." in done.err


def test_a_paused_session_is_deleted_by_force(agentbay: Run, user: LocalService) -> None:
    """The service refuses it; the error says so."""
    ids = [agentbay("create").out.strip() for _ in range(2)]
    agentbay("pause", ids[0])
    done = agentbay("rm", *ids)
    assert (done.code, done.out, "--force" in done.err) == (1, f"{ids[1]}\n", True)
    assert list(user.living()) == [ids[0]]
    user.faults.add(Fail("Session.Stuck", 400, "It is stuck."), "ResumeSessionAsync", nth=1)
    done = agentbay("rm", "-f", ids[0])
    assert (done.code, "It is stuck." in done.err) == (1, True)
    assert agentbay("rm", "-f", ids[0]).out == f"{ids[0]}\n"
    assert not user.living()


def test_all_are_deleted_only_after_a_yes(
    agentbay: Run, user: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal there is nobody to ask."""
    agentbay("create")
    done = agentbay("rm", "--all")
    assert (done.code, "give --yes" in done.err, len(user.living())) == (2, True, 1)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert agentbay("rm", "--all").code == 130
    assert len(user.living()) == 1
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    done = agentbay("rm", "--all")
    assert (done.code, "Delete all 1 sessions?" in done.err, len(user.living())) == (0, True, 0)


def test_a_session_is_paused_and_resumed(agentbay: Run) -> None:
    """Its id is the output."""
    session_id = agentbay("create").out.strip()
    assert agentbay("pause", session_id).out == f"{session_id}\n"
    assert agentbay("ls", "-q", "--status", "paused").out.split() == [session_id]
    assert json.loads(agentbay("resume", session_id, "--json").out)["status"] == "RUNNING"
    assert agentbay("keep-alive", session_id) == (0, "", "")
    assert json.loads(agentbay("keep-alive", session_id, "--json").out) == {"id": session_id}


def test_a_session_is_kept_alive_until_ctrl_c(
    agentbay: Run, user: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again and again."""
    session_id = agentbay("create").out.strip()
    monkeypatch.setattr(sessions, "sleep", Pauses(2))
    assert agentbay("keep-alive", session_id, "--every", "1m").code == 130
    assert len(user.journal.find("RefreshSessionIdleTime")) == 3


class Pauses:
    """Pauses that take no time, until a person presses Ctrl-C."""

    def __init__(self, number: int, then: Callable[[int], object] = lambda _: None) -> None:
        self._left = number
        self._then = then

    def __call__(self, _: float) -> None:
        """End one pause."""
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        self._then(self._left)


def test_an_id_that_nobody_has_is_told_with_the_cure(agentbay: Run) -> None:
    """And with the id of the request."""
    done = agentbay("pause", "s-nobody")
    assert done.code == 2
    assert "agentbay ls" in done.err
    assert "[request " in done.err
    assert len(done.err.splitlines()) == 1


def test_changes_are_watched_as_json_where_nobody_looks(
    agentbay: Run, bay: AgentBay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that come and go, and those that change."""
    steps = [
        lambda: bay.list().sessions[0].delete().unwrap(),
        lambda: bay.list().sessions[0].resume().unwrap(),
        lambda: bay.list().sessions[0].pause().unwrap(),
        lambda: bay.create().unwrap(),
    ]
    monkeypatch.setattr(sessions, "sleep", Pauses(4, lambda left: steps[left]()))
    done = agentbay("ls", "--watch")
    assert done.code == 130
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [(one["event"], one["status"]) for one in events] == [
        ("added", "RUNNING"), ("changed", "PAUSED"), ("changed", "RUNNING"), ("removed", "RUNNING"),
    ]  # fmt: skip


def test_sessions_are_watched_as_a_table_on_a_terminal(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is drawn anew."""
    session_id = agentbay("create").out.strip()
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sessions, "sleep", Pauses(1))
    assert agentbay("ls", "--watch", "--interval", "1s").code == 130
    assert screen.getvalue().count(session_id) >= 2


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    """NO_COLOR is respected."""
    agentbay("create")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    agentbay("ls")
    assert ("\x1b[32mRUNNING" in screen.getvalue()) is coloured
