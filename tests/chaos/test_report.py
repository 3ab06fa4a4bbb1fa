"""What a chaos scenario measures, and what the program says about it."""

from __future__ import annotations

import asyncio
import importlib
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture
def scenario(registry: Any) -> Any:
    """Give the module with the values of a scenario."""
    return importlib.import_module("support.chaos.scenario")


@pytest.fixture
def trial(scenario: Any, fork_server: Any, tmp_path: Path) -> Any:
    """Give a run of a scenario."""
    tally = scenario.Tally()
    return scenario.Trial("killed", random.Random(1), 1, tmp_path, fork_server, tally)


def test_sessions_of_a_killed_program_are_counted(trial: Any) -> None:
    """It held none, deleted none and named none."""
    sessions_left = importlib.import_module("support.chaos.sessions_left")
    with sessions_left.service() as service:
        child = trial.fork_server.start(
            trial.directory,
            "create_sessions",
            endpoint=service.endpoint,
            api_key=service.api_key,
            count=10_000,
        )
        service.journal.wait_for("CreateMcpSession", count=5, timeout=60)
        child.kill()
        sessions_left.compare(trial, service, child)
        left = service.living()
    assert child.status == -9
    assert len(trial.tally.unheld) == len(left) >= 5
    assert not trial.tally.ok


def test_errors_of_a_program_are_found_but_interrupts_are_not(registry: Any) -> None:
    """A chain of errors ends with the one that was raised."""
    complaints = importlib.import_module("support.chaos.sessions_left").complaints
    frame = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n'
    assert complaints(f"a warning\n{frame}KeyboardInterrupt\n") == []
    assert complaints(f"{frame}ValueError: no\n\n{frame}KeyboardInterrupt\n") == ["ValueError: no"]
    assert complaints("RuntimeWarning: coroutine f was never awaited\n") != []
    for cut in ("M.__aexit__", "ClientRequest.write_bytes"):
        assert not complaints(f"RuntimeWarning: coroutine '{cut}' was never awaited\n")


async def test_a_late_call_and_a_foreign_error_are_recorded(scenario: Any) -> None:
    """Errors of the library are no problem."""
    tally = scenario.Tally()

    async def fail(error: Exception) -> None:
        raise error

    await tally.timed("typed", fail(importlib.import_module("agentbay").ClosedError("no")), 60)
    assert tally.ok
    await tally.timed("foreign", fail(KeyError("no")), 60)
    assert tally.untyped == ["foreign: KeyError('no')"]
    await tally.timed("late", asyncio.sleep(0), -50)
    assert tally.past_deadline > 50
    assert tally.problems


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value", "row"),
    [
        ("unheld", ["s-1"], "1 1 0 0 0.0 0"),
        ("bytes_lost", 7, "1 0 0 7 0.0 0"),
        ("past_deadline", 31.0, "1 0 0 0 31.0 0"),
        ("untyped", ["KeyError"], "1 0 0 0 0.0 1"),
        ("problems", ["a process is left"], "1 0 0 0 0.0 0"),
        ("named", 3, "1 0 3 0 0.0 0"),
    ],
)
def test_a_missed_goal_is_reported_and_fails_the_program(
    registry: Any,
    scenario: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    field: str,
    value: object,
    row: str,
) -> None:
    """Each goal alone; sessions that a warning names are no miss."""
    program = importlib.import_module("chaos")

    def lose(trial: Any) -> None:
        setattr(trial.tally, field, value)

    monkeypatch.setitem(registry.SCENARIOS, "lose", scenario.Scenario("lose", lose))
    status = program.main(["--scenario", "lose", "--minutes", "0"])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("lose "))
    missed = field != "named"
    assert (status, line.split()[1:]) == (missed, ["MISSED" if missed else "met", *row.split()])


def test_a_scenario_that_cannot_run_is_skipped_with_its_reason(
    registry: Any,
    scenario: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It misses no goal."""
    program = importlib.import_module("chaos")

    def refuse(trial: Any) -> None:
        raise scenario.UnavailableError("only root mounts anything")

    monkeypatch.setitem(registry.SCENARIOS, "refuse", scenario.Scenario("refuse", refuse))
    assert program.main(["--scenario", "refuse", "--minutes", "0"]) == 0
    assert "refuse was skipped: only root mounts anything" in capsys.readouterr().out
