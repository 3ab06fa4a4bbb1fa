"""``agentbay local start``, ``stop``, ``status``, ``env`` and ``exec``, as a user runs them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from agentbay_cli.main import main
from agentbay_local.commands import background, status
from agentbay_local.commands.program import _Signals, client_variables
from agentbay_local.sandbox.base import Isolation
from agentbay_local.sandbox.host.orphans import has_ended
from agentbay_local.sandbox.probe import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentbay_local.commands.running_service import RunningService

pytestmark = pytest.mark.usefixtures("default_hang_up")

LIMIT = 60
READY = "AgentBay local service ready at "
KEY = "akm-test-key-of-the-service"
USE = """
from agentbay import AgentBay
with AgentBay() as bay:
    print(bay.create().session.command.run("echo hello").stdout)
    print(bay.list().total_count)
    input()
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Commands:
    """Runs commands of ``agentbay local`` in this process, for one home."""

    def __init__(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capfd = capfd

    def __call__(self, name: str, *arguments: str) -> Done:
        """Run a command with the home, and some arguments."""
        self._capfd.readouterr()
        code = main(["local", name, "--home", str(self.home), *arguments])
        return Done(code, *self._capfd.readouterr())

    def state(self) -> dict[str, Any]:
        """Return what ``status --json`` prints."""
        found: dict[str, Any] = json.loads(self("status", "--json").out)
        return found

    def start(self, *arguments: str) -> int:
        """Start the service, and return its process id."""
        done = self("start", *arguments)
        assert done.code == 0, done.err
        pid: int = self.state()["pid"]
        return pid


@pytest.fixture
def local(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """Return the commands for an empty home, whose service is stopped at the end."""
    commands = Commands(tmp_path / "home", capfd)
    yield commands
    assert commands("stop").code == 0
    # Services that were started in this process are its children.
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@contextlib.contextmanager
def spawn(*arguments: str, **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command of ``agentbay local`` in a child process; kill it if the test fails."""
    line = [sys.executable, "-m", "agentbay_local", *arguments]
    with subprocess.Popen(line, text=True, **{"stdout": subprocess.PIPE, **pipes}) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what
        # Other processes tell nobody of what they have done.
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Return whether a process runs, with any of its threads; a zombie does not."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        return not has_ended(handle, 0)
    finally:
        os.close(handle)


def processes_of(home: Path) -> list[int]:
    """Return the processes that have a home in their arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(home).encode() in (entry / "cmdline").read_bytes() and is_alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def test_a_service_is_started_used_and_stopped(local: Commands) -> None:
    """Each command finds it by its home; the second stop has nothing to do."""
    assert local("status") == (3, f"not running in {local.home}\n", "")

    done = local("start")

    assert done.code == 0
    assert done.out.startswith(f"{READY}http://127.0.0.1:")
    assert f'eval "$(agentbay local env --home {local.home})"' in done.err
    endpoint = done.out.split()[-1]
    found = local("status")
    assert found.code == 0
    assert found.out.startswith(f"running at {endpoint}\n")
    for line in ("sessions: 0\n", "isolation: namespaces\n", "uptime: ", "process: "):
        assert line in found.out
    pid = local.state()["pid"]
    assert is_alive(pid)
    assert local("stop") == (0, "", f"The service in {local.home} has stopped.\n")
    assert not is_alive(pid)
    assert local("status").code == 3
    assert local("stop") == (0, "", f"No service runs in {local.home}.\n")


def test_a_program_uses_the_running_service_and_stop_ends_its_sessions(local: Commands) -> None:
    """It finds address and key in its environment; stop returns when the sandboxes are gone."""
    capability = asyncio.run(probe(Isolation.NAMESPACES))
    if not capability.available:
        pytest.skip(capability.reason)
    local.start()
    arguments = ("exec", "--home", str(local.home), "--", sys.executable, "-c", USE)
    with spawn(*arguments, stdin=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert [program.stdout.readline() for _ in range(3)] == ["hello\n", "\n", "1\n"]
        assert local.state()["sessions"] == 1
        agents = [int(path.name.split(".")[-2]) for path in (local.home / "running").iterdir()]
        assert agents
        assert all(map(is_alive, agents))
        assert local("stop").code == 0
        assert not any(map(is_alive, agents))
        program.kill()


def test_a_second_start_says_that_it_runs(local: Commands) -> None:
    """With its address, and exit code 0; options that it does not have are an error."""
    first = local("start", "--port", "0", "--memory", "1G", "--allow-host", "example.com")
    for options in ((), ("--memory", "1024M"), ("--allow-host", "example.com")):
        again = local("start", *options)
        assert (again.code, again.out) == (0, first.out)
        assert "runs already" in again.err
    wrong = ("--isolation", "none"), ("--tls",), ("--port", "1"), ("--allow-host", "example.org")
    for options in wrong:
        refused = local("start", *options)
        assert (refused.code, refused.out) == (2, "")
        assert f"with another {options[0]};" in refused.err
        assert f"agentbay local stop --home {local.home}" in refused.err


def test_two_starts_at_once_start_one_service(local: Commands) -> None:
    """The other reports it."""
    arguments = ("start", "--home", str(local.home))
    with (
        spawn(*arguments, stderr=subprocess.PIPE) as one,
        spawn(*arguments, stderr=subprocess.PIPE) as other,
    ):
        out, err = one.communicate(timeout=2 * LIMIT)
        other_out, other_err = other.communicate(timeout=2 * LIMIT)
    assert [one.returncode, other.returncode] == [0, 0]
    assert out == other_out
    assert ("runs already" in err) is not ("runs already" in other_err)
    assert processes_of(local.home) == [local.state()["pid"]]


def test_a_start_that_fails_says_why(local: Commands) -> None:
    """As in the foreground; the next one can succeed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = local("start", "--port", str(taken.getsockname()[1]))
    assert (done.code, done.out) == (2, "")
    assert "address already in use" in done.err.lower()
    assert not processes_of(local.home)
    assert local("status").code == 3
    local.start()


def test_a_start_that_takes_too_long_is_ended(
    local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of it."""
    monkeypatch.setattr(background, "_START_WITHIN", 0)
    done = local("start")
    assert (done.code, done.out) == (2, "")
    assert "did not start within" in done.err
    assert not processes_of(local.home)


def test_a_start_in_a_home_of_another_program_is_refused(local: Commands) -> None:
    """A `LocalService` has no state file, but the home."""
    code = (
        "import sys; from agentbay_local import LocalService\n"
        f"with LocalService(home={str(local.home)!r}): print('ready', flush=True); input()"
    )
    line = [sys.executable, "-c", code]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        done = local("start")
        program.communicate("\n", timeout=LIMIT)
    assert done.code == 2
    assert "another AgentBay local service is using" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_start_leaves_nothing(local: Commands, number: signal.Signals) -> None:
    """The service, which was about to answer, has ended when the command returns."""
    local.home.mkdir()
    # The service reads its secret when it starts, and so waits until somebody writes it.
    secret = local.home / "secret"
    os.mkfifo(secret, 0o600)
    with spawn("start", "--home", str(local.home), stderr=subprocess.PIPE) as starting:
        writer = open_for_reader(secret)
        starting.send_signal(number)
        os.write(writer, b"x" * 32)
        os.close(writer)
        out, err = starting.communicate(timeout=2 * LIMIT)
    assert (starting.returncode, out, err) == (130, "", "agentbay: interrupted\n")
    assert not processes_of(local.home)
    secret.unlink()
    assert local("status").code == 3
    local.start()


def test_a_start_that_is_killed_leaves_nothing(local: Commands) -> None:
    """The service notices that nobody waits for its line."""
    local.home.mkdir()
    os.mkfifo(local.home / "secret", 0o600)
    with spawn("start", "--home", str(local.home), stderr=subprocess.DEVNULL) as starting:
        writer = open_for_reader(local.home / "secret")
        starting.kill()
        starting.wait(LIMIT)
        os.write(writer, b"x" * 32)
        os.close(writer)
    until(lambda: not processes_of(local.home), "the service goes on")
    assert local("status").code == 3


def open_for_reader(fifo: Path) -> int:
    """Open a FIFO for writing as soon as somebody reads it."""
    found: list[int] = []

    def is_read() -> bool:
        with contextlib.suppress(OSError):
            found.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return bool(found)

    until(is_read, "nobody reads it")
    return found[0]


def test_a_killed_service_is_not_running(local: Commands) -> None:
    """Its state file remains, and misleads nobody; it can be started again."""
    pid = local.start()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), "it lives")
    assert json.loads((local.home / "service.json").read_text())["pid"] == pid
    assert local("status").code == 3
    assert local("env").code == 3
    assert local("stop").code == 0
    assert local.start() != pid


@pytest.mark.parametrize("content", [b"", b"\0garbage\xff" * 100, b"[]", b'{"pid": 1}'])
def test_a_state_file_full_of_garbage_is_not_a_service(local: Commands, content: bytes) -> None:
    """It is replaced by the next start."""
    local.home.mkdir()
    (local.home / "service.json").write_bytes(content)
    assert local("status").code == 3
    assert local("env").code == 3
    assert local("stop").code == 0
    local.start()
    assert stat.S_IMODE((local.home / "service.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["garbage", "[]", '{"pid": 1}', None])
def test_a_damaged_state_file_of_a_running_service_is_named(
    local: Commands, content: str | None
) -> None:
    """No process is signalled on the word of such a file."""
    local.start()
    path = local.home / "service.json"
    before = path.read_text()
    if content is None:
        content = json.dumps({**json.loads(before), "pid": "1"})
    path.write_text(content)
    for name in ("status", "env", "stop", "start"):
        done = local(name)
        assert (done.code, done.out) == (2, "")
        assert f"{path} is damaged" in done.err
    path.write_text(before)


def test_stop_ends_the_service_only(local: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without its lock could name any process, and one of another user too."""
    pid = local.start()
    path = local.home / "service.json"
    described = json.loads(path.read_text())
    with subprocess.Popen(["sleep", str(LIMIT)]) as bystander:
        copy = path.with_name("copy")
        copy.write_text(json.dumps({**described, "pid": bystander.pid}))
        # Another file with the same name has not got the lock.
        path.rename(path.with_name("kept"))
        copy.rename(path)
        assert local("stop").code == 0
        assert bystander.poll() is None
        bystander.kill()
    path.with_name("kept").rename(path)
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: os.getuid() + 1)
        refused = local("stop")
    assert (refused.code, "belongs to another user" in refused.err) == (2, True)
    assert is_alive(pid)


def test_a_process_that_took_the_number_of_a_service_is_spared(
    local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service ended between the look at its file and the signal."""
    local.start()
    first = background.find_running(local.home)
    assert first is not None
    signals: list[int] = []
    answers = [None, first]
    with monkeypatch.context() as patch:
        patch.setattr("signal.pidfd_send_signal", lambda _, number: signals.append(number))
        patch.setattr(background, "find_running", lambda _: answers.pop())
        assert local("stop").code == 0
    assert not signals


@pytest.mark.parametrize("name", ["start", "status", "stop", "env"])
def test_a_home_that_cannot_be_used_is_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With its path, and without a traceback."""
    (tmp_path / "file").write_text("")
    done = Commands(tmp_path / "file" / "home", capfd)(name)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"{tmp_path}/file" in done.err


def test_a_service_that_does_not_answer_is_not_taken_for_well(
    local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status says so, and a stop in vain is an error."""
    pid = local.start()
    os.kill(pid, signal.SIGSTOP)
    try:
        monkeypatch.setattr(status, "_ANSWER_WITHIN", 0.2)
        found = local("status")
        assert found.code == 4
        assert "sessions: unknown; the service does not answer" in found.out
        monkeypatch.setattr(background, "_STOP_WITHIN", 0.2)
        vain = local("stop")
        assert vain.code == 2
        assert "has not ended within" in vain.err
        assert f"process is {pid}" in vain.err
        assert local("start").err == vain.err
    finally:
        os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()


def test_a_start_waits_for_the_end_of_a_service_that_is_ending(
    local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has asked it to end, so it does not answer any more."""
    pid = local.start()

    def end(running: RunningService) -> None:
        os.kill(running.pid, signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(background, "count_sessions", end)
        assert local.start() != pid
    assert not is_alive(pid)


def test_a_service_in_the_foreground_is_found_and_stopped_too(local: Commands) -> None:
    """By its home."""
    with spawn("run", "--home", str(local.home), stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith(READY)
        assert local.state()["pid"] == running.pid
        assert local("stop").code == 0
        assert running.wait(LIMIT) == 0


def test_the_default_home_needs_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is in the directory for data of the user."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["local", "start"]) == 0
    try:
        assert 'eval "$(agentbay local env)"' in capfd.readouterr().err
        assert main(["local", "status", "--json"]) == 0
        found = json.loads(capfd.readouterr().out)
        assert found["home"] == str(tmp_path / "agentbay" / "local")
    finally:
        assert main(["local", "stop"]) == 0
    os.waitpid(found["pid"], 0)


def test_the_key_is_shown_by_env_alone(local: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the process, its log, or other commands."""
    monkeypatch.setenv("AGENTBAY_API_KEY", KEY)
    pid = local.start()
    texts = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    texts.append((local.home / "service.log").read_bytes())
    for done in (local("start"), local("status"), local("status", "--json")):
        assert done.code == 0
        texts += [done.out.encode(), done.err.encode()]
    assert not [text for text in texts if KEY.encode() in text]
    assert f"export AGENTBAY_API_KEY={KEY}\n" in local("env").out
    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-another")
    refused = local("start")
    assert (refused.code, "with another API key" in refused.err) == (2, True)
    assert "akm-" not in refused.err
    assert local("stop").code == 0
    assert KEY not in "".join(
        path.read_text("latin-1") for path in local.home.rglob("*") if path.is_file()
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "standard input", "option", "environment"])
def test_a_key_reaches_the_service_in_every_way(
    local: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The command reads it, because it may be the only one that can."""
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(KEY)
    options = {
        "file": ("--api-key-file", str(file)),
        "standard input": ("--api-key-file=-",),
        "option": ("--api-key", KEY),
    }
    if way == "environment":
        monkeypatch.setenv("AGENTBAY_API_KEY", KEY)
    arguments = ("start", "--home", str(local.home), *options.get(way, ()))
    with spawn(*arguments, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as starting:
        out, _ = starting.communicate(KEY, timeout=LIMIT)
    assert out.startswith(READY)
    monkeypatch.delenv("AGENTBAY_API_KEY", raising=False)
    shown = Path(f"/proc/{local.state()['pid']}/cmdline").read_bytes()
    assert KEY.encode() not in shown
    assert f"export AGENTBAY_API_KEY={KEY}\n" in local("env").out


def test_modules_in_the_working_directory_are_not_imported(
    local: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the directory of a stranger's project."""
    for name in ("json", "agentbay_local", "asyncio"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    local.start()


def test_the_variables_can_be_evaluated(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a shell, whatever the name of the home; as JSON they are the same."""
    monkeypatch.setenv("AGENTBAY_REGION_ID", "cn-shanghai")
    local = Commands(tmp_path / "it's a 'home'\\", capfd)
    local.start("--tls")
    try:
        as_json: dict[str, Any] = json.loads(local("env", "--json").out)
        show = "import json, os; print(json.dumps(dict(os.environ)))"
        script = f"{local('env').out}{shlex.join([sys.executable, '-c', show])}"
        evaluated = json.loads(subprocess.check_output(["sh", "-c", script], text=True))
        fish = local("env", "--shell", "fish").out
    finally:
        assert local("stop").code == 0
    assert {name: evaluated.get(name) for name in as_json} == as_json
    assert as_json["AGENTBAY_REGION_ID"] is None
    assert as_json["SSL_CERT_FILE"] == str(local.home / "tls" / "bundle.pem")
    assert "set -e AGENTBAY_REGION_ID\n" in fish
    assert f"set -gx SSL_CERT_FILE '{tmp_path}/it\\'s a \\'home\\'\\\\/tls/bundle.pem'\n" in fish


def test_a_proxy_of_the_user_is_bypassed_once() -> None:
    """Also if the variables are set twice."""
    environ = {"NO_PROXY": "example.com", "no_proxy": ""}
    first = client_variables("https://127.0.0.1:80", "k", environ=environ)
    assert (first["NO_PROXY"], first["no_proxy"]) == ("example.com,127.0.0.1", "127.0.0.1")
    assert first["AGENTBAY_ENDPOINT"] == "127.0.0.1:80"
    everywhere = client_variables("http://0.0.0.0:80", "k", environ=environ)
    assert everywhere["AGENTBAY_ENDPOINT"] == "http://127.0.0.1:80"
    assert everywhere["NO_PROXY"] == first["NO_PROXY"]
    again = {name: value or "" for name, value in first.items()}
    assert client_variables("https://127.0.0.1:80", "k", environ=again) == first


SHOW = "import os; print(os.environ['AGENTBAY_ENDPOINT'], os.environ.get('AGENTBAY_REGION_ID'))"


def test_a_program_gets_a_service_of_its_own_if_none_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It has another key than that of the environment, which may be for the cloud."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("AGENTBAY_API_KEY", KEY)
    show = "import os; from agentbay import AgentBay; print(os.environ['AGENTBAY_API_KEY'])\n"
    use = f"{show}with AgentBay() as bay: print(bay.list().unwrap().total_count)"
    assert main(["local", "exec", "--", sys.executable, "-c", use]) == 0
    key, total = capfd.readouterr().out.split()
    assert (key.startswith("akm-local-"), total) == (True, "0")
    assert not (tmp_path / "agentbay").exists()


def test_a_program_runs_against_the_service_of_its_home(
    local: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options that the service does not have are an error, because the program would not get them.

    Without one, the home is that of the program's own service.
    """
    monkeypatch.setenv("AGENTBAY_REGION_ID", "cn-shanghai")
    local.start("--memory", "1G")
    endpoint = local.state()["endpoint"]
    for options in ((), ("--memory", "1G")):
        done = local("exec", *options, "--", sys.executable, "-c", SHOW)
        assert done == (0, f"{endpoint} None\n", "")
    refused = local("exec", "--tls", "--", sys.executable, "-c", SHOW)
    assert (refused.code, refused.out) == (2, "")
    assert "with another --tls;" in refused.err
    assert local("stop").code == 0
    own = local("exec", "--tls", "--", sys.executable, "-c", SHOW)
    assert own.code == 0
    assert own.out.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ([sys.executable, "-c", "raise SystemExit(7)"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["no-such-program-anywhere"], 127),
        (["/"], 126),
    ],
)
def test_the_exit_code_is_that_of_the_program(
    local: Commands, program: list[str], code: int
) -> None:
    """Or what a shell says of one that was killed or does not exist."""
    done = local("exec", "--", *program)
    assert (done.code, done.out) == (code, "")
    assert ("agentbay: " in done.err) is (code in (126, 127))


def test_a_file_that_is_no_program_cannot_be_run(local: Commands, tmp_path: Path) -> None:
    """The reason is named."""
    (tmp_path / "text").write_bytes(b"\0\1\2")
    (tmp_path / "text").chmod(0o755)
    done = local("exec", "--", str(tmp_path / "text"))
    assert done.code == 126
    assert "cannot be run: Exec format error" in done.err


def test_exec_needs_a_program(local: Commands, capfd: pytest.CaptureFixture[str]) -> None:
    """The usage says so."""
    with pytest.raises(SystemExit) as ended:
        local("exec")
    assert ended.value.code == 2
    assert "PROGRAM" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_are_for_the_program(local: Commands, number: signal.Signals) -> None:
    """It may clean up; its exit code is returned, and its own service is gone."""
    program = (
        "import signal, sys\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    arguments = ("exec", "--home", str(local.home), "--", sys.executable, "-c", program)
    with spawn(*arguments, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        assert running.wait(LIMIT) == 9
    assert not processes_of(local.home)
    with (local.home / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_signal_that_comes_before_the_program_reaches_it() -> None:
    """It would be left behind otherwise."""
    with _Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        with subprocess.Popen(["sleep", str(LIMIT)]) as process:
            signals.pass_to(process)
            assert process.wait(LIMIT) == -signal.SIGTERM


def test_an_interrupted_start_of_a_service_in_a_program_ends_its_thread(tmp_path: Path) -> None:
    """It would go on, and keep the home."""
    os.mkfifo(tmp_path / "secret", 0o600)
    code = (
        "import sys, threading; from agentbay_local import LocalService\n"
        "try: LocalService(home=sys.argv[1]).start()\n"
        "except KeyboardInterrupt: print([thread.name for thread in threading.enumerate()])\n"
    )
    line = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as program:
        writer = open_for_reader(tmp_path / "secret")
        program.send_signal(signal.SIGINT)
        os.write(writer, b"x" * 32)
        os.close(writer)
        out, _ = program.communicate(timeout=2 * LIMIT)
    assert "MainThread" in out
    assert "agentbay-local" not in out


def test_the_help_lists_all_commands(capfd: pytest.CaptureFixture[str]) -> None:
    """``agentbay local`` is ``agentbay local run``."""
    texts = []
    for arguments in (["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(["local", *arguments])
        assert ended.value.code == 0
        texts.append(capfd.readouterr().out)
    assert texts[0] == texts[1]
    for name in ("run", "start", "stop", "status", "env", "exec"):
        assert f"agentbay local {name} " in texts[0]
