"""``agentbay config``, ``completion`` and ``--version``; the service of the endpoint "local"."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import runpy
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import __version__
from agentbay_cli import reaper, sessions
from agentbay_cli.main import main
from agentbay_local import Fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentbay_local import LocalService

    Run = Callable[..., Any]

LIMIT = 60


def test_settings_are_shown_with_their_origins(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Environment, .env file, profile and default; the key is not shown."""
    (tmp_path / ".env").write_text("AGENTBAY_TIMEOUT_MS=5000\n")
    (tmp_path / "agentbay").mkdir()
    (tmp_path / "agentbay" / "profiles.ini").write_text("[default]\nregion_id = cn-shanghai\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-secret")
    monkeypatch.delenv("AGENTBAY_ENDPOINT")
    done = agentbay("config", "--json")
    assert done.code == 0, done.err
    found = {one["setting"]: one for one in map(json.loads, done.out.splitlines())}
    assert found["api_key"]["value"] == "(set)"
    assert found["api_key"]["source"] == "AGENTBAY_API_KEY in the environment"
    assert found["timeout_ms"]["value"] == "5000"
    assert found["timeout_ms"]["source"].endswith(".env")
    assert found["region_id"]["value"] == "cn-shanghai"
    assert found["region_id"]["source"].endswith("profiles.ini")
    assert found["endpoint"]["value"] == "https://agentbay.cn-shanghai.aliyuncs.com"
    assert found["owner"]["source"] == "default"
    assert "akm-secret" not in done.out


def test_an_endpoint_of_the_environment_and_of_an_option_are_told_apart(agentbay: Run) -> None:
    """The option wins."""
    assert "AGENTBAY_ENDPOINT in the environment" in agentbay("config").out
    line = agentbay("config", "--endpoint", "https://other").out.splitlines()[2]
    assert line.split() == ["endpoint", "https://other", "argument"]


def test_settings_that_cannot_be_used_are_shown_too(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then the error, with the cure."""
    monkeypatch.delenv("AGENTBAY_API_KEY")
    done = agentbay("config")
    assert (done.code, "there is no API key" in done.err, "api_key" in done.out) == (2, True, True)
    assert "AGENTBAY_API_KEY" in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands(
    agentbay: Run, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its script asks this program."""
    assert "_AGENTBAY_COMPLETE=complete_" in agentbay("completion", shell).out
    monkeypatch.setenv("_AGENTBAY_COMPLETE", f"complete_{shell}")
    # bash has words and a place, the others the line
    monkeypatch.setenv("COMP_WORDS", "agentbay conte")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "agentbay conte")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    assert "context" in agentbay().out


def test_bash_completes_with_the_script(user: LocalService) -> None:
    """As a person presses the key."""
    line = (
        "source <(agentbay completion bash); COMP_WORDS=(agentbay context pu); COMP_CWORD=2; "
        "$(complete -p agentbay | sed 's/.*-F \\([^ ]*\\).*/\\1/') agentbay; echo ${COMPREPLY[@]}"
    )
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], env={**os.environ, "PATH": path}, capture_output=True, text=True,
        timeout=LIMIT, check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["push", "pull"], "")


@pytest.mark.parametrize("command", ["exec", "rm", "shell"])
def test_a_shell_can_complete_the_ids_of_sessions(
    agentbay: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the service has; without one there is nothing to complete, and no error."""
    session_id = agentbay("create").out.strip()
    monkeypatch.setenv("_AGENTBAY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"agentbay {command} {session_id[:3]}")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert agentbay().out.split() == [session_id]
    # No service is started for a completion.
    for endpoint in ("http://127.0.0.1:9", "local"):
        monkeypatch.setenv("AGENTBAY_ENDPOINT", endpoint)
        done = agentbay()
        assert (done.out.strip(), done.err) == ("", "")


def test_help_and_mistakes_import_no_client(run_child: Callable[..., str]) -> None:
    """They are there at once, and so is what a command needs only later."""
    code = """
        import contextlib, io, sys
        from agentbay_cli.main import main
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            codes = [main(one) for one in (["run", "--help"], ["exec", "s-1"], ["context", "-h"])]
        late = {"aiohttp", "agentbay", "agentbay_async.config", "agentbay_local", "ssl"}
        print(codes, late & set(sys.modules) or "none")
    """
    assert run_child(code) == "[0, 2, 0] none"


def test_a_group_explains_itself(agentbay: Run) -> None:
    """Called without a command, it lists them."""
    done = agentbay("context")
    assert "Persistent stores of files." in done.out + done.err


def test_ctrl_c_is_an_exit_code_of_basic_commands_too(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a traceback."""

    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(reaper, "main", interrupt)
    assert agentbay("ps") == (130, "", "")


def test_what_a_service_says_does_not_control_the_terminal(
    agentbay: Run, user: LocalService
) -> None:
    """Neither in tables nor in errors."""
    user.faults.add(Fail("Bad\x1b[31m", 400, "red \x1b[31m text"), "ListContexts")
    done = agentbay("context", "ls")
    assert (done.code, "red \\x1b[31m text" in done.err, "\x1b" in done.err) == (2, True, False)


def test_an_unknown_shell_is_refused(agentbay: Run) -> None:
    """With those that are known."""
    done = agentbay("completion", "tcsh")
    assert (done.code, "bash, zsh or fish, not 'tcsh'" in done.err) == (2, True)


def test_the_version_is_told(agentbay: Run) -> None:
    """On one line."""
    assert agentbay("--version").out == f"agentbay-async {__version__}\n"


def test_the_package_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the script does."""
    monkeypatch.setattr(sys, "argv", ["agentbay", "--version"])
    # Tests that look at all modules have imported it.
    monkeypatch.delitem(sys.modules, "agentbay.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("agentbay", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("agentbay-async ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("default_hang_up")
def test_a_signal_that_asks_to_end_is_an_exit_code(
    user: LocalService, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The handlers are ours as long as a command runs."""
    before = signal.getsignal(number)
    monkeypatch.setattr(sys, "argv", ["agentbay", "keep-alive", create(), "--every", "1h"])
    monkeypatch.setattr(sessions, "sleep", lambda _: os.kill(os.getpid(), number))
    assert main() == 128 + number
    assert signal.getsignal(number) == before


def create() -> str:
    """Create a session, and return its id."""
    from agentbay import AgentBay

    with AgentBay() as bay:
        return bay.create().session.session_id


def test_a_closed_pipe_is_no_error(user: LocalService, monkeypatch: pytest.MonkeyPatch) -> None:
    """For commands of either kind."""
    for command in ("ls", "ps"):
        with broken_pipe() as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            assert main([command]) == 141


@contextlib.contextmanager
def broken_pipe() -> Iterator[Any]:
    """Provide a stream whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    yield stream
    with contextlib.suppress(BrokenPipeError):
        stream.close()


LIST = [sys.executable, "-m", "agentbay"]


def test_commands_share_a_local_service_that_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first starts it and says so; data alone is on standard output."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", "local")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    try:
        assert main(["create"]) == 0
        output = capfd.readouterr()
        [session_id] = output.out.split()
        assert "Starting the local service; to end it, run: agentbay local stop" in output.err
        assert main(["ls", "-q"]) == 0
        assert capfd.readouterr() == (f"{session_id}\n", "")
        done = subprocess.run(
            [*LIST, "exec", session_id, "echo", "hello"],
            capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    finally:
        assert main(["local", "stop"]) == 0
        # It was started in this process, whose child it is.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def test_a_local_service_with_tls_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By its own certificates."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", "local")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    try:
        assert main(["local", "start", "--tls"]) == 0
        assert main(["run", "--", "echo", "hello"]) == 0
        assert capfd.readouterr().out.splitlines()[-1] == "hello"
    finally:
        assert main(["local", "stop"]) == 0
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def test_a_local_service_that_does_not_start_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In one line of ours, after what the service says."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", "local")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "agentbay").mkdir()
    (tmp_path / "agentbay" / "local").write_text("no directory")
    assert main(["ls"]) == 2
    assert capfd.readouterr().err.splitlines()[-1].startswith("agentbay: ")


def test_a_damaged_state_of_the_local_service_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the cure."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", "local")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "agentbay" / "local").mkdir(parents=True)
    with (tmp_path / "agentbay" / "local" / "service.json").open("w+") as file:
        file.write("damaged")
        file.flush()
        # As the service does; so it seems to run.
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main(["ls"]) == 2
    assert "end its process" in capfd.readouterr().err
