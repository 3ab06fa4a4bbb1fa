"""Logging for programs that do not set it up themselves."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AgentBayLogger, InvalidArgumentError, get_logger, log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Give the logger back as it was."""
    level, handlers = log.level, list(log.handlers)
    yield
    for handler in set(log.handlers) - set(handlers):
        log.removeHandler(handler)
        handler.close()
    log.setLevel(level)


def test_loggers_of_a_program_are_below_that_of_the_library():
    """So they share its level and handlers."""
    assert get_logger() is log is logging.getLogger("agentbay")
    assert AgentBayLogger.get_logger("app").parent is log


def test_the_log_is_written_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """From the level on; the console can be left out."""
    file = tmp_path / "new" / "agent.log"
    AgentBayLogger.setup(level="warning", log_file=file, enable_console=False)
    get_logger("app").info("too little")
    get_logger("app").warning("enough")
    AgentBayLogger.set_level("DEBUG")
    log.debug("details")

    lines = file.read_text("utf-8").splitlines()
    assert [line.split(" | ")[1:] for line in lines] == [
        ["WARNING ", "agentbay.app", "enough"],
        ["DEBUG   ", "agentbay", "details"],
    ]
    assert capsys.readouterr().err == ""


def test_without_a_name_the_file_is_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """That is where the official client writes it; the variable names another."""
    monkeypatch.delenv("AGENTBAY_LOG_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    AgentBayLogger.setup(enable_console=False)
    assert list(tmp_path.iterdir()) == []
    log.error("first")
    assert "first" in (tmp_path / "agentbay.log").read_text("utf-8")

    monkeypatch.setenv("AGENTBAY_LOG_FILE", str(tmp_path / "named.log"))
    AgentBayLogger.setup(enable_console=False)
    log.error("second")
    assert "second" in (tmp_path / "named.log").read_text("utf-8")
    assert "second" not in (tmp_path / "agentbay.log").read_text("utf-8")


def test_the_file_is_in_the_users_directory_if_the_working_directory_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The user root may write everywhere, so the answer of the system is replaced."""
    monkeypatch.delenv("AGENTBAY_LOG_FILE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("agentbay_async.logger.os.access", lambda _path, _mode: False)
    AgentBayLogger.setup(enable_console=False)
    log.error("kept")
    assert "kept" in (tmp_path / "agentbay" / "agentbay.log").read_text("utf-8")


def test_the_console_can_be_coloured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Without a file, only the console is written to."""
    monkeypatch.chdir(tmp_path)
    AgentBayLogger.setup(colorize=True, enable_file=False)
    log.error("broken")

    assert "\033[31mERROR\033[0m" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_second_setup_replaces_the_first_or_leaves_it(tmp_path: Path):
    """Handlers of the program itself always stay."""
    own = logging.NullHandler()
    log.addHandler(own)
    AgentBayLogger.setup(log_file=tmp_path / "one.log")
    AgentBayLogger.setup(log_file=tmp_path / "two.log", force_reinit=False)
    log.warning("first")
    AgentBayLogger.setup(log_file=tmp_path / "two.log")
    log.warning("second")

    assert "first" in (tmp_path / "one.log").read_text("utf-8")
    assert (tmp_path / "two.log").read_text("utf-8").count("\n") == 1
    assert own in log.handlers


def test_old_files_are_deleted_when_a_new_one_begins(tmp_path: Path):
    """By their age; those of other programs stay."""
    file = tmp_path / "a.log"
    for name in ("a.log.7", "a.log.8", "a.log.bak"):
        (tmp_path / name).write_text("x")
    os.utime(tmp_path / "a.log.7", (0, 0))
    os.utime(tmp_path / "a.log.bak", (0, 0))
    AgentBayLogger.setup(log_file=file, enable_console=False, max_file_size="1 kb")
    for _ in range(20):
        log.warning("x" * 100)

    names = {path.name for path in tmp_path.iterdir()}
    assert {"a.log", "a.log.1", "a.log.bak"} <= names
    assert all(path.stat().st_mtime > 0 for path in tmp_path.glob("a.log.[0-9]*"))


@pytest.mark.parametrize(
    "arguments",
    [{"level": "LOUD"}, {"level": None}, {"max_file_size": "many"}, {"retention": "7 moons"}],
)
def test_what_cannot_be_read_is_an_error(arguments: dict[str, str]):
    """Before anything is changed."""
    before = list(log.handlers)
    with pytest.raises(InvalidArgumentError):
        AgentBayLogger.setup(**arguments)
    assert log.handlers == before
