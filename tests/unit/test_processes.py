"""Process identities: this process, and whether another one still lives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_async._lifecycle import processes as _processes
from agentbay_async._lifecycle.processes import (
    Process,
    ProcessState,
    default_owner,
    process_state,
    this_process,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell")


def test_this_process_is_alive() -> None:
    """Its identity does not change."""
    assert process_state(this_process()) is ProcessState.ALIVE
    assert this_process() is this_process()


def test_a_process_that_ended_is_dead() -> None:
    """Its process id is free."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_state(this_process()._replace(pid=child.pid)) is ProcessState.DEAD


@_LINUX
def test_a_zombie_is_dead() -> None:
    """Its process id is still in use."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    stat = Path(f"/proc/{child.pid}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    start = stat.read_text().rpartition(")")[2].split()[19]
    assert process_state(this_process()._replace(pid=child.pid, start=start)) is ProcessState.DEAD
    child.wait()


@_LINUX
@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({"start": "1"}, ProcessState.DEAD),
        ({"boot": "another"}, ProcessState.DEAD),
        ({"boot": ""}, ProcessState.UNKNOWN),
        ({"space": "pid:[1]"}, ProcessState.UNKNOWN),
    ],
)
def test_a_process_id_alone_does_not_identify_a_process(
    change: dict[str, str], known: ProcessState
) -> None:
    """It may be reused, of an earlier boot, or of another container."""
    assert process_state(this_process()._replace(**change)) is known


def test_without_proc_a_used_process_id_is_alive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Systems without /proc have only the process id."""
    monkeypatch.setattr(_processes, "_PROC", tmp_path)
    bare = Process("run", os.getpid())
    assert process_state(bare) is ProcessState.ALIVE
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_state(bare._replace(pid=child.pid)) is ProcessState.DEAD
    assert process_state(bare._replace(boot="of another time")) is ProcessState.DEAD


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no signals")
@pytest.mark.parametrize("error", [PermissionError, OverflowError])
def test_a_process_of_another_user_is_alive(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """In doubt nothing is deleted."""

    def refuse(_pid: int, _signal: int) -> None:
        raise error

    monkeypatch.setattr(os, "kill", refuse)
    assert process_state(this_process()) is ProcessState.ALIVE


def test_identities_do_not_depend_on_the_random_seed(run_child: Callable[..., str]) -> None:
    """A reproducible program must not have the identity of its last run."""
    code = """
    import random
    random.seed(7)
    from agentbay_async._lifecycle.processes import this_process
    print(this_process().run)
    """
    assert run_child(code) != run_child(code)


def test_the_owner_of_a_user_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often run with an unknown user id."""

    def nameless() -> str:
        raise KeyError

    default_owner.cache_clear()
    monkeypatch.setattr("getpass.getuser", nameless)
    nobody = default_owner()
    default_owner.cache_clear()
    assert re.fullmatch("u-[0-9a-f]{24}", nobody)


def test_the_owner_stands_for_a_user_on_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in each process, another for each user and host, and neither can be read in it."""
    owners = set()
    for user, host in (("ann", "a"), ("ann", "a"), ("ann", "b"), ("bob", "a"), ("an", "na")):
        monkeypatch.setattr("getpass.getuser", lambda user=user: user)
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        default_owner.cache_clear()
        owners.add(default_owner())
        assert default_owner.__wrapped__() == default_owner()
    default_owner.cache_clear()
    assert len(owners) == 4
