"""The command line, in child processes."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import secrets
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from agentbay_local.sandbox.base import Isolation
from agentbay_local.sandbox.probe import probe

if TYPE_CHECKING:
    from agentbay_local import LocalService

LIMIT = 60
READY = "AgentBay local service ready at http://127.0.0.1:"


def command(*arguments: str, module: bool = True) -> list[str]:
    """Return the command line of the service."""
    name = "agentbay_local" if module else "agentbay_local.cli"
    return [sys.executable, "-m", name, *arguments]


def without_key() -> dict[str, str]:
    """Return the environment without a key."""
    return {name: value for name, value in os.environ.items() if name != "AGENTBAY_API_KEY"}


@pytest.mark.usefixtures("default_hang_up")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ready_line_and_end_by_a_signal(tmp_path: Path, end: signal.Signals) -> None:
    """Standard output has exactly one line; the exit code is 0."""
    with subprocess.Popen(
        command("--port", "0", "--home", str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=without_key(),
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        endpoint = line.split()[-1]
        with urllib.request.urlopen(f"{endpoint}/healthz", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(end)
        out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (0, "")
    assert line.startswith(READY)
    assert f'eval "$(agentbay local env --home {tmp_path})"' in err
    assert "akm-local-" not in err


def test_tls_is_offered_with_what_clients_have_to_trust(tmp_path: Path) -> None:
    """The variables that are printed make a client trust the service."""
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    process = starting("--tls", "--home", str(tmp_path), AGENTBAY_API_KEY="k")
    with process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().split()[-1]
        port = endpoint.rpartition(":")[2]
        trusted = ssl.create_default_context(cafile=tmp_path / "tls" / "bundle.pem")
        with urllib.request.urlopen(
            f"https://127.0.0.1:{port}/healthz", timeout=30, context=trusted
        ) as answer:
            assert answer.status == 200
        told = ended(process)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        assert f"export {name}={tmp_path}/" in told


def test_a_key_of_the_environment_is_used_and_not_shown(tmp_path: Path) -> None:
    """Only a generated key is printed."""
    with subprocess.Popen(
        command(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**without_key(), "AGENTBAY_API_KEY": "the-key"},
    ) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().split()[-1]
        form = b"Authorization=Bearer+the-key"
        with urllib.request.urlopen(f"{endpoint}/?Action=ListSession", form, 10) as answer:
            assert answer.status == 200
        process.terminate()
        _, err = process.communicate(timeout=LIMIT)
    assert "the-key" not in err


def test_faults_and_the_clock_are_options(tmp_path: Path) -> None:
    """Rules are read from the file, and the clock is moved over HTTP."""
    rules = tmp_path / "faults.json"
    rules.write_text('{"effect": "fail", "code": "Tea", "status": 418, "nth": 1}')
    with subprocess.Popen(
        command("--faults", str(rules), "--clock", "manual", "--api-key", "k"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().split()[-1]
        with pytest.raises(urllib.error.HTTPError, match="418"):
            urllib.request.urlopen(f"{endpoint}/?Action=ListSession", b"Authorization=Bearer+k", 10)
        move = urllib.request.Request(
            f"{endpoint}/_control/clock", b'{"advance": 60}', {"Authorization": "Bearer k"}
        )
        with urllib.request.urlopen(move, timeout=10) as answer:
            assert json.load(answer)["time"] == 1_700_000_060
        process.terminate()
        process.communicate(timeout=LIMIT)


def starting(*arguments: str, entry: str = "", **environment: str) -> subprocess.Popen[str]:
    """Start the service in a child process."""
    line = [sys.executable, entry, "local", *arguments] if entry else command(*arguments)
    return subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**without_key(), **environment},
    )


def accepts(process: subprocess.Popen[str], key: str) -> bool:
    """Wait until the service is ready, and return whether it accepts a key."""
    assert process.stdout is not None
    endpoint = process.stdout.readline().split()[-1]
    form = f"Authorization=Bearer+{key}".encode()
    try:
        with urllib.request.urlopen(f"{endpoint}/?Action=ListSession", form, 30):
            return True
    except urllib.error.HTTPError:
        return False


def ended(process: subprocess.Popen[str]) -> str:
    """Stop the service, and return what it wrote to standard error."""
    process.terminate()
    return process.communicate(timeout=LIMIT)[1]


ENTRY = str(Path(sys.executable).with_name("agentbay"))


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["", ENTRY], ids=["module", "command"])
@pytest.mark.parametrize("way", ["option", "option=", "environment"])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a process in /proc")
def test_the_key_is_in_neither_arguments_nor_environment(entry: str, way: str) -> None:
    """The process that answers has got it in a pipe, which none of its children inherits."""
    options = {"option": ["--api-key", "the-key"], "option=": ["--api-key=the-key"]}
    environment = {"AGENTBAY_API_KEY": "the-key"} if way == "environment" else {}
    with starting("--port", "0", *options.get(way, []), entry=entry, **environment) as process:
        assert accepts(process, "the-key")
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        shown += Path(f"/proc/{process.pid}/environ").read_bytes()
        open_files = [os.readlink(one) for one in Path(f"/proc/{process.pid}/fd").glob("[3-9]*")]
        err = ended(process)
    assert process.returncode == 0
    assert b"the-key" not in shown
    assert b"AGENTBAY_API_KEY" not in shown
    assert not [one for one in open_files if one.startswith("pipe:")]
    assert "the-key" not in err
    assert ("Warning: --api-key showed the key" in err) is (way != "environment")


# The brackets keep the command from finding itself.
SEARCH = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -ac '{}[y]'"


@pytest.mark.slow
@pytest.mark.parametrize("level", [Isolation.NAMESPACES, Isolation.LANDLOCK])
@pytest.mark.parametrize("way", ["option", "environment"])
def test_no_session_sees_the_key(level: Isolation, way: str) -> None:
    """Sessions of the level landlock see all processes of the machine."""
    capability = asyncio.run(probe(level))
    if not capability.available:
        pytest.skip(capability.reason)
    # Its own: tests that run at the same time show theirs.
    beginning = secrets.token_hex(8)
    key = f"{beginning}y"
    options = ["--api-key", key] if way == "option" else []
    environment = {"AGENTBAY_API_KEY": key} if way == "environment" else {}
    with starting("--isolation", level.value, *options, **environment) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().split()[-1]
        session = call(endpoint, "CreateMcpSession", key=key)["SessionId"]
        arguments = quote(json.dumps({"command": SEARCH.format(beginning)}))
        tool = f"SessionId={session}&Name=shell&Args={arguments}"
        found = json.loads(call(endpoint, "CallMcpTool", tool, key)["content"][0]["text"])
        ended(process)
    assert found["stdout"] == "0\n"


def call(endpoint: str, action: str, fields: str = "", key: str = "the-key") -> dict[str, Any]:
    """Send an action, and return its data."""
    form = f"Authorization=Bearer+{key}&{fields}".encode()
    with urllib.request.urlopen(f"{endpoint}/?Action={action}", form, 60) as answer:
        data: dict[str, Any] = json.load(answer)["Data"]
        return data


def test_the_key_is_read_from_a_file(tmp_path: Path) -> None:
    """Its last line break does not count; a file for everybody causes a warning."""
    file = tmp_path / "key"
    file.write_text("the-key\n")
    for mode, warned in ((0o600, False), (0o644, True)):
        file.chmod(mode)
        with starting("--api-key-file", str(file), AGENTBAY_API_KEY="other") as process:
            assert accepts(process, "the-key")
            assert ("chmod 600" in ended(process)) is warned


def test_the_key_is_read_from_standard_input() -> None:
    """Up to its end."""
    with starting("--api-key-file", "-") as process:
        assert process.stdin is not None
        process.stdin.write("the-key\n")
        process.stdin.close()
        process.stdin = None
        assert accepts(process, "the-key")
        ended(process)


@pytest.mark.parametrize("content", [b"", b" \n", b"a\nb", b"x" * 5000, b"\xff"])
def test_an_invalid_key_file_ends_the_start(tmp_path: Path, content: bytes) -> None:
    """The option is named, the content is not."""
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(0o600)
    err = failing("--api-key-file", str(file))
    assert "--api-key-file" in err
    assert err.count("\n") == 1


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    """With the reason."""
    missing = str(tmp_path / "missing")
    assert f"--api-key-file: {missing}: No such file" in failing("--api-key-file", missing)


def test_a_program_that_calls_the_command_line_is_not_replaced(tmp_path: Path) -> None:
    """Only the command itself starts again."""
    entry = (
        "import os, sys; from agentbay_local.cli import main; os.execve = None; "
        "sys.exit(main(['local', '--api-key', 'k', '--home', '/proc/nowhere']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", entry], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 2
    assert "TypeError" not in done.stderr


def failing(*arguments: str) -> str:
    """Run a command that must fail with exit code 2, and return its one line."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_a_port_in_use_is_one_clear_line(service: LocalService, tmp_path: Path) -> None:
    """No traceback, exit code 2."""
    port = service.endpoint.rpartition(":")[2]
    err = failing("--port", port, "--home", str(tmp_path))
    assert err.count("\n") == 1
    assert "address already in use" in err.lower()


def test_a_home_in_use_is_one_clear_line(service: LocalService) -> None:
    """No traceback, exit code 2."""
    err = failing("--home", str(service.home))
    assert err.count("\n") == 1
    assert "another AgentBay local service" in err


def test_a_home_that_cannot_be_created_is_one_clear_line() -> None:
    """No traceback, exit code 2."""
    err = failing("--home", "/proc/nowhere")
    assert err.count("\n") == 1


def test_flags_limit_each_session(service: LocalService) -> None:
    """The limits hold inside a session."""
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)
    flags = ("--memory", "300M", "--disk", "2g", "--processes", "40", "--open-files", "300")
    with subprocess.Popen(
        command(*flags, "--cpu-seconds", "7"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**without_key(), "AGENTBAY_API_KEY": "the-key"},
    ) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().split()[-1]
        session = call(endpoint, "CreateMcpSession")["SessionId"]
        tool = f"SessionId={session}&Name=get_metrics&Args={{}}"
        metrics = json.loads(call(endpoint, "CallMcpTool", tool)["content"][0]["text"])
        # The processor's limit is set from outside, a moment after the start.
        command_line = "ulimit -n; until [ $(ulimit -t) = 7 ]; do :; done; ulimit -t"
        shell = f'SessionId={session}&Name=shell&Args={{"command":"{command_line}"}}'
        limits = json.loads(call(endpoint, "CallMcpTool", shell)["content"][0]["text"])["stdout"]
        process.terminate()
        process.communicate(timeout=LIMIT)
    assert (metrics["mem_total"], metrics["disk_total"]) == (300 * 1024**2, 2 * 1024**3)
    assert limits == "300\n7\n"


BAD = [
    ["--port", "99999"],
    ["--port", "x"],
    ["--isolation", "maybe"],
    ["--clock", "sand"],
    ["--memory", "much"],
    ["--disk", "0"],
    ["--processes", "-1"],
    ["--cpu-seconds", "1.5"],
    ["--open-files", "10"],
]


@pytest.mark.parametrize("bad", BAD)
def test_bad_arguments_end_with_exit_code_2(bad: list[str]) -> None:
    """The option is named."""
    assert bad[0].strip("-").replace("-", "_") in failing(*bad).replace("-", "_")


def test_missing_isolation_is_announced(tmp_path: Path) -> None:
    """The warning explains the risk."""
    with subprocess.Popen(
        command("--isolation", "none", "--host", "0.0.0.0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=without_key(),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        _, err = process.communicate(timeout=LIMIT)
    assert "NOT isolated" in err
    assert "other machines" in err


def test_the_doctor_describes_this_machine(service: LocalService) -> None:
    """Exit code and text agree with the service's own probe."""
    entry = "import sys; from agentbay_local.cli import main; sys.exit(main(['doctor']))"
    done = subprocess.run(
        [sys.executable, "-c", entry], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == (0 if service.isolation.available else 1)
    assert done.stdout.startswith("namespaces: ")
    for line in ("landlock: ", "seccomp: ", "limits: "):
        assert f"\n{line}" in done.stdout


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux tells it of others")
def test_the_service_raises_its_limit_of_open_files(tmp_path: Path) -> None:
    """A thousand sandboxes need more than the usual limit of a shell."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", *command("--home", str(tmp_path))]
    with subprocess.Popen(few, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(READY)
        now, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        process.terminate()
        process.wait(LIMIT)
    assert now == min(most, 65_536)
