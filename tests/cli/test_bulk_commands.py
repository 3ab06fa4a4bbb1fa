"""``agentbay bulk``: many sessions, and many commands."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_cli import program
from agentbay_local import Fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay import AgentBay
    from agentbay_local import LocalService

    Run = Callable[..., Any]

LIMIT = 60


def test_sessions_are_created_and_live_on(agentbay: Run, user: LocalService) -> None:
    """Their ids are the output."""
    done = agentbay("bulk", "create", "3", "-l", "job=1")
    assert (done.code, set(done.out.split())) == (0, set(user.living()))
    assert len(user.living()) == 3
    assert "3 of 3 created" in done.err
    assert agentbay("reap").out == ""


def test_a_session_that_was_not_created_is_told(agentbay: Run, user: LocalService) -> None:
    """The others are there."""
    user.faults.add(Fail("No.Room", 400, "No room."), "CreateMcpSession", nth=1)
    done = agentbay("bulk", "create", "2", "--json")
    assert (done.code, len(done.out.splitlines())) == (1, 1)
    assert json.loads(done.out)["status"] == "RUNNING"
    assert "No room." in done.err
    assert "1 of 2 created" in done.err


def test_commands_run_over_a_few_sessions(agentbay: Run, user: LocalService) -> None:
    """One on each line; comments are none. The sessions are deleted."""
    Path("commands").write_text("# three\necho a; echo err >&2\n\necho $STAGE\nexit 3\n")
    done = agentbay("bulk", "run", "commands", "--sessions", "2", "-e", "STAGE=test", "--json")
    found = {one["index"]: one for one in map(json.loads, done.out.splitlines())}
    assert done.code == 1
    assert [found[index]["output"] for index in range(3)] == ["a\nerr\n", "test\n", ""]
    assert [found[index]["exit_code"] for index in range(3)] == [0, 0, 3]
    assert found[2]["command"] == "exit 3"
    assert "2 of 3 commands succeeded" in done.err
    assert not user.living()
    assert len(user.journal.find("CreateMcpSession")) <= 2


def test_commands_can_have_a_session_each(
    agentbay: Run, user: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their output comes as it is, when they have ended."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("echo one\necho two\n"))
    done = agentbay("bulk", "run", "-", "--fresh", "-n", "1")
    assert (done.code, done.out) == (0, "one\ntwo\n")
    assert "[1] echo one: exit code 0" in done.err
    assert len(user.journal.find("CreateMcpSession")) == 2


def test_a_command_is_killed_when_its_time_is_over(agentbay: Run) -> None:
    """The others go on."""
    Path("commands").write_text("sleep 600\necho done\n")
    done = agentbay("bulk", "run", "commands", "--timeout", "2s", "--json")
    found = {one["index"]: one for one in map(json.loads, done.out.splitlines())}
    assert {index: one["exit_code"] for index, one in found.items()} == {0: 124, 1: 0}
    assert {index: one["timed_out"] for index, one in found.items()} == {0: True, 1: False}


def test_ctrl_c_ends_the_commands_and_deletes_their_sessions(
    agentbay: Run, user: LocalService, bay: AgentBay
) -> None:
    """None of either is left."""
    Path("commands").write_text("sleep 600\nsleep 600\n")

    def press() -> None:
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            running = [one.command.run("ps ax").output for one in bay.list()]
            if sum("sleep 600" in text for text in running) == 2:
                break
        os.kill(os.getpid(), signal.SIGINT)

    person = threading.Thread(target=press)
    person.start()
    done = agentbay("bulk", "run", "commands")
    person.join()
    assert (done.code, done.out) == (130, "")
    assert not user.living()


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_a_command_without_a_session_is_told(
    agentbay: Run, user: LocalService, flag: list[str]
) -> None:
    """With the reason."""
    Path("commands").write_text("echo one\n")
    user.faults.add(Fail("No.Room", 400, "No room."), "CreateMcpSession")
    done = agentbay("bulk", "run", "commands", *flag)
    assert (done.code, "No room." in done.out + done.err) == (1, True)


def test_too_much_output_is_cut(agentbay: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command cannot fill the memory here."""
    monkeypatch.setattr(program, "_MAX_OUTPUT", 1000)
    Path("commands").write_text("head -c 5000 /dev/zero | tr '\\0' x\n")
    assert agentbay("bulk", "run", "commands").out == "x" * 1000
    found = json.loads(agentbay("bulk", "run", "commands", "--json").out)
    assert (found["output"], found["truncated"]) == ("x" * 1000, True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["create", "0"], "0 is not in the range"),
        (["run", "none"], "none: No such file"),
        (["run", "empty"], "there is no command in empty"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    agentbay: Run, user: LocalService, given: list[str], told: str
) -> None:
    """In one line."""
    Path("empty").write_text("# nothing\n")
    done = agentbay("bulk", *given)
    assert (done.code, len(done.err.splitlines()), len(user.journal)) == (2, 1, 0)
    assert told in done.err or "greater than or equal to 1" in done.err
