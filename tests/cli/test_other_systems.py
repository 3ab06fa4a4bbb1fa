"""On Windows and macOS the cloud client and the command line work; the local service says why not.

The systems are simulated in a child process: `sys.platform` is theirs, and what only POSIX (for
Windows) or only Linux (for macOS) has is gone. The standard library, and what others have made, is
imported before, because it would need the true system. The answers come from a local service in
this process, which stands for the cloud.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_cli.main import main
from agentbay_local import LocalService
from agentbay_local.api_key import KEY_VARIABLE
from agentbay_local.cli import make_parser
from agentbay_local.other_systems import RECIPE
from agentbay_local.sandbox.probe import REMEDIES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
_PRELUDE = """
import asyncio, ctypes, os, signal, socket, ssl, subprocess, sys, sysconfig
import threading, types
import aiohttp, anyio, attrs, cattrs, rich.console, typer
from anyio._backends import _asyncio
sysconfig.get_config_vars()

def without(modules, functions):
    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name in modules:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, Missing())
    for name in modules:
        sys.modules.pop(name, None)
    for name in functions:
        if hasattr(os, name):
            delattr(os, name)

if PLATFORM == "win32":
    without(
        ["fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"],
        ["chown", "fchmod", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups",
         "getuid", "killpg", "openpty", "register_at_fork", "setsid", "statvfs", "uname"],
    )
    del signal.SIGHUP
    os.O_BINARY = 0
    sys.modules["msvcrt"] = types.SimpleNamespace(
        LK_NBLCK=1, LK_UNLCK=0, locking=lambda descriptor, mode, count: None
    )
else:
    without([], ["pidfd_open", "sched_getaffinity", "setns", "unshare"])
sys.platform = PLATFORM
"""


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Run one service for all children."""
    with LocalService(api_key="your_api_key") as service:
        yield service


@pytest.fixture(params=["win32", "darwin"])
def platform(request: pytest.FixtureRequest) -> str:
    """Name a system as `sys.platform` does."""
    return str(request.param)


@pytest.fixture
def run(platform: str, service: LocalService):
    """Run a program in a child process on a simulated system."""

    def run_program(code: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "AGENTBAY_ENDPOINT": service.endpoint,
            "AGENTBAY_API_KEY": service.api_key,
        }
        return subprocess.run(
            [sys.executable, "-c", f"PLATFORM = {platform!r}\n{_PRELUDE}\n{code}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run_program


def _command(line: str) -> str:
    return f"""
from agentbay_cli.main import main
sys.argv = ["agentbay", *{line.split()!r}]
sys.exit(main())
"""


def test_every_public_name_can_be_imported(run):
    """Also those of the other packages that a program may import there."""
    done = run("""
import agentbay, agentbay_async, agentbay_cli.app, agentbay_local.other_systems
for package in (agentbay, agentbay_async):
    for name in package.__all__:
        getattr(package, name)
print("all")
""")

    assert (done.stdout, done.stderr) == ("all\n", "")


@pytest.mark.slow
def test_the_client_works(run):
    """Sessions, commands, files and listings; and the program of the page on the cloud."""
    page = (ROOT / "docs" / "start" / "cloud.md").read_text("utf-8")
    [program] = re.findall(r"^```python both\n(.*?)^```", page, re.M | re.S)
    done = run(f"""
from agentbay import AgentBay, CreateSessionParams
with AgentBay() as bay, bay.session(CreateSessionParams(labels={{"on": PLATFORM}})) as session:
    print(session.command.run("echo hello", check=True).stdout.strip())
    session.file_system.write("note", "kept").unwrap()
    print(session.file_system.read("note").content, bay.list({{"on": PLATFORM}}).total_count)

{program}""")

    assert done.stderr == ""
    assert done.stdout.startswith("hello\nkept 1\nhello from ")


def test_the_local_endpoint_says_what_it_needs(run):
    """At the first call, in one line."""
    done = run("""
from agentbay import AgentBay, ConfigurationError
with AgentBay(endpoint="local") as bay:
    try:
        bay.create()
    except ConfigurationError as error:
        print(error)
""")

    assert done.stderr == ""
    assert done.stdout.startswith('endpoint="local" needs Linux, because sandboxes are made of')
    assert "`agentbay doctor` prints a command" in done.stdout


@pytest.mark.parametrize("command", ["local start", "image list", "verify x.jsonl"])
def test_commands_of_the_local_service_say_what_they_need(run, command: str):
    """Without a traceback."""
    done = run(_command(command))

    assert done.returncode == 2
    assert done.stderr.startswith(f"agentbay: agentbay {command.split()[0]} needs Linux")
    assert len(done.stderr.splitlines()) == 1


def test_doctor_prints_a_container(run):
    """With the variables that clients need, and what it weakens."""
    done = run(_command("doctor"))

    assert (done.returncode, done.stderr) == (1, "")
    assert f"\n{RECIPE}\n" in done.stdout
    assert "AGENTBAY_ENDPOINT=http://127.0.0.1:8080" in done.stdout
    assert "This takes from the container its filter of system calls" in done.stdout


@pytest.mark.parametrize("command", ["--help", "ls", "ps", "config", "run -- echo hi"])
def test_commands_of_the_cloud_work(run, command: str):
    """They need no sandboxes of this machine."""
    done = run(_command(command))

    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("command", ["shell s-1", "run -t -- sh"])
@pytest.mark.parametrize("platform", ["win32"])
def test_terminals_on_windows_say_what_they_need(run, command: str):
    """The rest of the command line needs no terminal."""
    done = run(_command(command))

    assert done.returncode == 2
    assert "needs termios, which Windows lacks; use WSL 2" in done.stderr


def test_the_container_starts_what_this_version_understands():
    """Its options, port, directory, key and extra; the shell of the container reads it as we do."""
    docker = shlex.split(RECIPE)
    inner = docker[-1]
    install, own, start = (shlex.split(part) for part in inner.split("&&"))
    assert docker[-3:-1] == ["sh", "-c"]
    arguments = start[start.index("agentbay") + 1 :]
    assert arguments.pop(0) == "local"
    options = make_parser("run").parse_args(arguments)

    given = {name: docker[docker.index(name) + 1] for name in ("-p", "-v", "-e")}
    assert given["-e"] == KEY_VARIABLE
    assert given["-p"] == f"127.0.0.1:{options.port}:{options.port}"
    volume = given["-v"].partition(":")[2]
    assert str(options.home) == volume == own[-1]
    assert options.host == "0.0.0.0"
    distribution, _, extra = install[-1].rstrip("]").partition("[")
    described = metadata.metadata("agentbay-async")
    assert distribution == described["Name"]
    assert extra in described.get_all("Provides-Extra")


def test_the_container_gives_what_the_probe_asks_for():
    """A remedy for containers that is not in the command would be told after it has failed."""
    asked = {word for _, text in REMEDIES for word in re.findall(r"\w+=unconfined", text)}
    assert asked
    assert asked <= set(shlex.split(RECIPE))


def test_the_command_is_the_same_for_each_shell():
    """One line, without single quotes, which cmd does not know, and what double quotes replace."""
    assert not set(RECIPE) & set("\n'\\$`!%^")
    assert RECIPE.count('"') == 2


def test_the_page_on_the_local_service_has_that_container():
    """So that people find it without running a command."""
    page = (ROOT / "docs" / "local-service.md").read_text("utf-8")

    assert RECIPE in page


@pytest.mark.parametrize(("command", "code"), [("doctor", 1), ("local", 2), ("image", 2)])
def test_a_command_that_needs_linux_tells_its_system(
    command: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`doctor` is a report, on standard output; for the others it is an error."""
    monkeypatch.setattr("sys.platform", "darwin")
    assert main([command]) == code
    written = capsys.readouterr()
    assert "Linux" in (written.out if command == "doctor" else written.err)
