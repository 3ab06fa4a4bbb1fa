"""``agentbay record`` and ``agentbay verify``, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from agentbay_cli.main import main
from agentbay_local import Cassette, LocalService
from agentbay_local.recording import verification

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 120
USE = """
from agentbay import AgentBay
with AgentBay() as bay:
    print(bay.list().total_count)
    print(bay.context.get("record-test", create=True).success)
"""


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Run a service to record."""
    with LocalService() as running:
        yield running


def environment(service: LocalService, directory: Path) -> dict[str, str]:
    """Return what a user who has configured the service, and has a proxy, has set."""
    return {
        "AGENTBAY_ENDPOINT": service.endpoint,
        "AGENTBAY_API_KEY": service.api_key,
        "AGENTBAY_LEDGER": "off",
        "HOME": str(directory),
        "http_proxy": "http://127.0.0.1:9",
        "no_proxy": "localhost",
    }


class Done(NamedTuple):
    """How the command ended."""

    returncode: int
    stdout: str
    stderr: str


class Command:
    """Runs the command in this process, which is thus measured; its programs are real ones."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *arguments: str) -> Done:
        """Run the command with some arguments."""
        self._capfd.readouterr()
        code = main(list(arguments))
        return Done(code, *self._capfd.readouterr())


@pytest.fixture
def agentbay(
    service: LocalService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Command:
    """Return the command of that user, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(service, tmp_path).items():
        monkeypatch.setenv(name, value)
    return Command(capfd)


def test_a_program_is_recorded_and_the_service_answers_alike(
    agentbay: Command, service: LocalService, tmp_path: Path
) -> None:
    """The program finds the recorder in its environment; its output is not touched."""
    program = [sys.executable, "-c", USE]
    done = agentbay("record", "-o", "c.jsonl", "--", *program)
    assert (done.returncode, done.stdout.split()) == (0, ["0", "True"]), done.stderr
    assert "are recorded in c.jsonl" in done.stderr
    actions = [
        exchange.request.action for exchange in Cassette.read(tmp_path / "c.jsonl").exchanges()
    ]
    assert actions == ["ListSession", "GetContext"]
    assert service.api_key not in (tmp_path / "c.jsonl").read_text()

    done = agentbay("verify", "c.jsonl")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "No differences."


def test_differences_are_printed_and_are_a_failure(
    agentbay: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each, under the name of the request."""
    monkeypatch.setattr(verification, "_PATIENCE", 0.5)  # this one does not go away
    program = [sys.executable, "-c", USE]
    agentbay("record", "-o", "c.jsonl", "--", *program)
    path = tmp_path / "c.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["response"]["body"]["json"]["Page"] = 1
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    done = agentbay("verify", "c.jsonl")

    assert done.returncode == 1
    assert "ListSession (exchange 1):\n  Page: recorded number, here missing\n" in done.stdout
    found = json.loads(agentbay("verify", "--json", "c.jsonl").stdout)
    assert (found["is_same"], found["is_complete"], found["requests"]) == (False, True, 2)
    [difference] = found["differences"]
    assert (difference["request"], difference["exchange"]) == ("ListSession", 1)
    assert done.stdout.endswith("1 difference.\n")


def test_a_region_does_not_lead_past_the_recorder(
    agentbay: Command, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client lets the region win, if both are set; so the program gets none."""
    show = "import os; print(os.environ.get('AGENTBAY_REGION_ID'), os.environ['AGENTBAY_ENDPOINT'])"
    monkeypatch.setenv("AGENTBAY_REGION_ID", "cn-shanghai")
    program = [sys.executable, "-c", show]
    done = agentbay("record", "--endpoint", service.endpoint, "--", *program)
    region, endpoint = done.stdout.split()
    assert region == "None"
    assert endpoint.startswith("http://127.0.0.1:")
    assert endpoint != service.endpoint


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ([sys.executable, "-c", "raise SystemExit(7)"], 7),
        ([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], 137),
        (["no-such-program-anywhere"], 127),
        (["/"], 126),
    ],
)
def test_the_exit_code_is_that_of_the_program(
    program: list[str], code: int, agentbay: Command, tmp_path: Path
) -> None:
    """Or what a shell says of one that was killed or does not exist."""
    done = agentbay("record", "--", *program)
    assert done.returncode == code
    assert (tmp_path / "agentbay-cassette.jsonl").exists()


def test_a_signal_ends_the_program_and_the_cassette_is_written(
    service: LocalService, tmp_path: Path
) -> None:
    """The program gets the signal, and may clean up."""
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    code = "import sys; from agentbay_cli.main import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, "record", "--", sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, **environment(service, tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as recording:
        assert recording.stdout is not None
        assert recording.stdout.readline() == "ready\n"
        recording.send_signal(signal.SIGTERM)
        assert recording.wait(LIMIT) == 9
    assert (tmp_path / "agentbay-cassette.jsonl").exists()


def test_a_mistake_is_a_sentence(agentbay: Command, tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "c.jsonl").write_text("hello\n")
    done = agentbay("verify", "c.jsonl")
    assert (done.returncode, "not a JSON object" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr
    done = agentbay("verify", "missing.jsonl")
    assert (done.returncode, "missing.jsonl" in done.stderr) == (2, True)
    done = agentbay("record", "-o", "no/c.jsonl", "--", "true")
    assert (done.returncode, "no such directory" in done.stderr) == (2, True)


def test_a_service_inside_this_process_is_recorded_too(
    agentbay: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One is started for the program, and stopped after it."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", "local")
    done = agentbay("record", "--", sys.executable, "-c", USE)
    assert (done.returncode, done.stdout.split()) == (0, ["0", "True"]), done.stderr
    assert Cassette.read(tmp_path / "agentbay-cassette.jsonl").exchanges()


def test_a_recording_that_reached_its_limit_is_named(agentbay: Command, tmp_path: Path) -> None:
    """What was not recorded is not compared either."""
    agentbay("record", "-o", "c.jsonl", "--", sys.executable, "-c", USE)
    path = tmp_path / "c.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["complete"] = False
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    done = agentbay("verify", "c.jsonl")

    assert "later requests are missing" in done.stdout
    assert done.returncode == 0
