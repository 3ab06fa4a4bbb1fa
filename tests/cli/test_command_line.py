"""The command ``agentbay`` and its subcommands."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async._clock import SystemClock
from agentbay_async._lifecycle.ledger import Ledger
from agentbay_async.client import AsyncAgentBay
from agentbay_async.errors import ConfigurationError, ServiceError
from agentbay_async.models.results import ReapResult
from agentbay_async.models.sessions import Reaping
from agentbay_cli import app, main, reaper
from agentbay_cli.basic import BASIC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Return the ledger that the command line reads."""
    path = tmp_path / "ledger.jsonl"
    monkeypatch.setenv("AGENTBAY_LEDGER", str(path))
    return Ledger(str(path), "https://service", SystemClock())


@pytest.fixture
def reap_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Return the arguments of calls of ``reap``; it deletes, keeps and fails a session each."""
    calls: list[tuple[Any, ...]] = []

    async def reap(
        self: AsyncAgentBay, owner: str | None, older_than: float | None, *, dry_run: bool
    ) -> ReapResult:
        calls.append((repr(self), owner, older_than, dry_run))
        return ReapResult.ok(answers.pop())

    answers: list[Reaping] = [Reaping(("s-1",), ("s-2",), {"s-3": "it broke"})]
    monkeypatch.setattr(AsyncAgentBay, "reap", reap)
    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-1")
    monkeypatch.setenv("AGENTBAY_ENDPOINT", "https://service")
    return calls


def test_ps_lists_sessions_that_were_not_deleted(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a table for people, and as JSON for programs."""
    ledger.began()
    ledger.created("s-1", "me@here", 60.0)
    assert main.main(["ps"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["SESSION", "PROCESS", "AGE", "OWNER", "SERVICE"]
    assert line.split() == ["s-1", "alive", "0s", "me@here", "https://service"]
    assert main.main(["ps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "session": "s-1",
        "process": "alive",
        "age": "0s",
        "owner": "me@here",
        "service": "https://service",
    }


def test_ps_needs_a_ledger_that_is_switched_on(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty or missing file is not an error."""
    assert main.main(["ps"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    monkeypatch.setenv("AGENTBAY_LEDGER", "off")
    assert main.main(["ps"]) == 2
    assert "switched off" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")]
)
def test_ages_are_rounded_down_to_the_largest_unit(seconds: float, expected: str) -> None:
    """A clock that was set back gives no negative age."""
    assert reaper._age(seconds) == expected


def test_reap_prints_its_result(
    reap_calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Ids go to standard output, messages to standard error; a failure sets the exit code."""
    assert main.main(["reap", "--owner", "ci", "--older-than", "2h"]) == 1
    assert reap_calls == [("AsyncAgentBay('https://service')", "ci", 7200.0, False)]
    output = capsys.readouterr()
    assert output.out == "s-1\n"
    assert "s-3 could not be deleted: it broke" in output.err
    assert "1 deleted, 1 kept, 1 failed" in output.err


def test_reap_prints_json(
    reap_calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """One object, with the reasons of failures."""
    assert main.main(["reap", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "deleted": ["s-1"],
        "kept": ["s-2"],
        "failed": {"s-3": "it broke"},
        "dry_run": False,
    }
    assert len(reap_calls) == 1


def test_reap_takes_an_endpoint_and_dry_run(
    reap_calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run says that it deleted nothing."""
    main.main(["reap", "--endpoint", "https://other", "--dry-run"])
    assert reap_calls == [("AsyncAgentBay('https://other')", None, None, True)]
    assert "1 would be deleted" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "h", "0s", "0", "-1h", "2 h", "1w", "9" * 20 + "s"])
def test_invalid_times_are_rejected(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message lists valid forms."""
    with pytest.raises(SystemExit) as refused:
        main.main(["reap", f"--older-than={text}"])
    assert refused.value.code == 2
    assert "90s, 30m, 2h or 1d" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ConfigurationError("no key"), ServiceError("not well")])
def test_an_error_is_printed_and_exits_with_2(
    error: Exception,
    reap_calls: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a line, and without a traceback."""

    async def fail(*_: object, **__: object) -> ReapResult:
        raise error

    monkeypatch.setattr(AsyncAgentBay, "reap", fail)
    assert main.main(["reap"]) == 2
    assert capsys.readouterr().err == f"agentbay: {error}\n"


@pytest.fixture(params=["with the extra", "without it"])
def extra(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether the extra ``cli`` is installed; without it, its modules cannot be imported."""
    if request.param == "with the extra":
        return True
    for name in ("typer", "agentbay_cli.app"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    return False


@pytest.mark.parametrize(("given", "code"), [(["--help"], 0), (["-h"], 0), ([], 2)])
def test_the_command_explains_itself(
    given: list[str], code: int, extra: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """All its commands, whichever package they belong to."""
    assert main.main(given) == code
    output = capsys.readouterr()
    text = output.out + output.err
    for command in BASIC:
        assert f"\n  {command} " in text
    assert ("agentbay-async[cli]" in text) is not extra


def test_an_unknown_command_is_an_error(extra: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the extra it may be one of the extra's, so a line says how to install that."""
    assert main.main(["nonsense"]) == 2
    text = capsys.readouterr().err
    assert "nonsense" in text
    if not extra:
        assert text == (
            "agentbay: 'nonsense' needs the extra cli: pip install 'agentbay-async[cli]'\n"
        )


@pytest.mark.usefixtures("extra")
def test_basic_commands_do_not_need_the_extra(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    """They never import typer, so their start is as fast as before."""
    ledger.began()
    assert main.main(["ps"]) == 0
    assert capsys.readouterr().out.startswith("SESSION")
    for command in ("status", "env", "stop"):
        assert main.main(["local", command, "--home", "/nowhere"]) == (
            0 if command == "stop" else 3
        )


def test_the_start_of_a_basic_command_imports_neither_typer_nor_rich(
    run_child: Callable[..., str],
) -> None:
    """Each takes longer to import than some commands take to run."""
    code = """
        import contextlib, io, sys
        from agentbay_cli.main import main
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            main(["local", "--help"])
        print({"typer", "rich", "agentbay"} & set(sys.modules) or "neither")
    """
    assert run_child(code) == "neither"


@pytest.mark.parametrize("command", ["status", "env", "stop"])
def test_commands_that_look_for_a_service_do_not_import_it(
    run_child: Callable[..., str], command: str
) -> None:
    """Shells evaluate the variables when they start."""
    code = f"""
        import contextlib, io, sys
        from agentbay_cli.main import main
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            main(["local", "{command}", "--home", "/nowhere"])
        print({{"agentbay_local.service", "aiohttp", "agentbay"}} & set(sys.modules) or "none")
    """
    assert run_child(code) == "none"


def test_the_application_runs_basic_commands_as_they_are(
    reap_calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """With all that follows them, options for help included."""
    assert app.run(["reap", "--owner", "ci", "--dry-run"]) == 1
    assert reap_calls == [("AsyncAgentBay('https://service')", "ci", None, True)]
    capsys.readouterr()
    assert app.run(["reap", "--help"]) == 0
    assert "--older-than" in capsys.readouterr().out


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of this program must not look like one of its user."""

    def fail(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(reaper, "main", fail)
    with pytest.raises(ZeroDivisionError):
        main.main(["ps"])


def test_a_missing_module_of_our_own_is_not_taken_for_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The advice to install the extra would lead astray."""
    monkeypatch.delitem(sys.modules, "agentbay_cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "agentbay_cli.app", None)
    with pytest.raises(ModuleNotFoundError):
        main.main(["nonsense"])


def test_the_local_service_gets_its_own_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """With all that follows them."""
    with pytest.raises(SystemExit) as ended:
        main.main(["local", "--help"])
    assert ended.value.code == 0
    assert "--isolation" in capsys.readouterr().out
