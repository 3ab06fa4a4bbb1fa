"""``agentbay run`` and ``exec``: programs in sessions."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_cli import program
from agentbay_cli.program import _have_one_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay import AgentBay
    from agentbay_local import LocalService

    Run = Callable[..., Any]

LIMIT = 60
MAIN = "import sys; from agentbay_cli.main import main; sys.exit(main())"


def test_a_program_runs_in_a_session_of_its_own(agentbay: Run, user: LocalService) -> None:
    """Its output and its exit code come back, and the session is deleted."""
    done = agentbay("run", "--", "sh", "-c", "echo hello; exit 7")
    assert (done.code, done.out, done.err) == (7, "hello\n", "")
    assert not user.living()
    assert len(user.journal.find("CreateMcpSession")) == 1


@pytest.mark.parametrize(
    "given", [["code_latest", "--", "printenv", "A"], ["code_latest", "printenv", "A"]]
)
def test_the_image_stands_before_the_program(
    agentbay: Run, user: LocalService, given: list[str]
) -> None:
    """With or without the two dashes, as docker has it."""
    done = agentbay("run", "-e", "A=some words", "-l", "job=1", *given)
    assert (done.code, done.out) == (0, "some words\n")


def test_what_is_written_to_a_mounted_context_is_kept(agentbay: Run, bay: AgentBay) -> None:
    """The next session finds it."""
    write = ["sh", "-c", "echo kept > /mnt/notes/a.txt"]
    assert agentbay("run", "-v", "notes:/mnt/notes", "--", *write).code == 0
    done = agentbay("run", "-v", "notes:/mnt/notes", "--", "cat", "/mnt/notes/a.txt")
    assert (done.code, done.out) == (0, "kept\n")


def test_a_kept_session_can_be_used_again(agentbay: Run, user: LocalService) -> None:
    """Its id is told on standard error, because standard output is the program's."""
    done = agentbay("run", "--keep", "--", "sh", "-c", "echo hello > note")
    [session_id] = user.living()
    assert (done.code, done.out, session_id in done.err) == (0, "", True)
    assert agentbay("exec", session_id, "--", "cat", "note").out == "hello\n"
    assert agentbay("exec", session_id, "cat", "note").out == "hello\n"
    assert agentbay("exec", "-w", "/tmp", session_id, "pwd").out == "/tmp\n"


def test_a_program_reads_no_input_and_its_words_stay_apart(agentbay: Run) -> None:
    """No shell reads them."""
    session_id = agentbay("create").out.strip()
    assert agentbay("exec", session_id, "--", "cat").out == ""
    done = agentbay("exec", session_id, "--", "printf", "<%s>", "a b", "$HOME", "--")
    assert done.out == "<a b><$HOME><-->"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["run"], "there is no program"),
        (["run", "linux_latest"], "there is no program"),
        (["exec", "s-1"], "there is no program"),
        (["run", "linux_latest", "-e", "A=1", "--", "env"], "must stand before"),
        (["exec", "--json", "-it", "s-1", "sh"], "--json collects the output"),
        (["run", "--json", "-t"], "--json collects the output"),
        (["run", "--timeout", "soon", "--", "env"], "'soon' is not a time"),
    ],
)
def test_a_program_must_be_there(
    agentbay: Run, user: LocalService, given: list[str], told: str
) -> None:
    """Before anything is sent."""
    done = agentbay(*given)
    assert (done.code, done.out, told in done.err, len(user.journal)) == (2, "", True, 0)


def test_our_own_failures_have_an_exit_code_of_their_own(agentbay: Run) -> None:
    """It is that of docker."""
    done = agentbay("exec", "s-nobody", "--", "true")
    assert (done.code, done.out) == (125, "")
    assert "agentbay ls" in done.err
    assert agentbay("run", "no-such-image", "--", "true").code == 125


def test_a_missing_program_is_told_as_shells_do(agentbay: Run) -> None:
    """The exit code is 127."""
    done = agentbay("run", "--", "no-such-program")
    assert (done.code, "no-such-program" in done.out + done.err) == (127, True)


def test_a_program_is_killed_when_its_time_is_over(agentbay: Run, bay: AgentBay) -> None:
    """The exit code is that of ``timeout``."""
    session_id = agentbay("create").out.strip()
    done = agentbay("exec", "--timeout", "1s", session_id, "--", "sleep", "600")
    assert (done.code, done.out) == (124, "")
    assert "longer than 1 s" in done.err
    assert "sleep 600" not in bay.get(session_id).unwrap().command.run("ps ax").output


def test_standard_error_stays_apart(agentbay: Run) -> None:
    """What goes on in the background of the program does not hold it up."""
    words = ["sh", "-c", "sleep 600 & echo out; printf err >&2; exit 3"]
    done = agentbay("run", "--", *words)
    assert (done.code, done.out, done.err) == (3, "out\n", "err")


def test_a_program_can_be_told_as_json(agentbay: Run, user: LocalService) -> None:
    """In one object, with both streams; the exit code of the command stays that of the program."""
    words = ["sh", "-c", "echo out; printf 'err\\377' >&2; exit 3"]
    done = agentbay("run", "--json", "--", *words)
    assert (done.code, done.err) == (3, "")
    [line] = done.out.splitlines()
    found = json.loads(line)
    assert found.pop("session").startswith("s-")
    assert found == {
        "exit_code": 3,
        "stdout": "out\n",
        "stderr": "err\ufffd",
        "timed_out": False,
        "truncated": False,
        "hint": "",
    }
    assert not user.living()


def test_json_tells_the_end_of_time_and_what_was_cut(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the output until then; the message for people is on standard error."""
    session_id = agentbay("create").out.strip()
    words = ["sh", "-c", "echo begun; sleep 600"]
    done = agentbay("exec", "--json", "--timeout", "1s", session_id, "--", *words)
    found = json.loads(done.out)
    assert (done.code, found["exit_code"], found["timed_out"]) == (124, 124, True)
    assert (found["session"], found["stdout"], found["truncated"]) == (session_id, "begun\n", False)
    monkeypatch.setattr(program, "_MAX_OUTPUT", 5)
    for words, kept in ((["echo", "1234"], "1234\n"), (["echo", "12345"], "12345")):
        found = json.loads(agentbay("exec", "--json", session_id, "--", *words).out)
        assert (found["stdout"], found["truncated"]) == (kept, kept != "1234\n")


def test_json_of_a_program_in_the_background_has_its_id(agentbay: Run) -> None:
    """And that of its session."""
    session_id = agentbay("create").out.strip()
    found = json.loads(agentbay("exec", "-d", "--json", session_id, "--", "echo", "hi").out)
    assert found.keys() == {"session", "process"}
    done = agentbay("logs", session_id, "--process", found["process"])
    assert (found["session"], done.out) == (session_id, "hi\n")


def test_a_program_that_lacks_a_network_is_told_the_cure(agentbay: Run, user: LocalService) -> None:
    """After its own words; programs find it in JSON."""
    if not user.isolation.available:
        pytest.skip(user.isolation.reason)
    words = ["sh", "-c", "echo Could not resolve host >&2; exit 6"]
    done = agentbay("run", "--", *words)
    own, cure = done.err.splitlines()
    assert (done.code, own, "--allow-host HOST" in cure) == (6, "Could not resolve host", True)
    assert "--allow-host HOST" in json.loads(agentbay("run", "--json", "--", *words).out)["hint"]


def test_a_failure_of_ours_prints_no_json(agentbay: Run) -> None:
    """A program that reads standard output finds it empty, and the exit code says why."""
    done = agentbay("exec", "--json", "s-nobody", "--", "true")
    assert (done.code, done.out) == (125, "")


def test_streams_to_one_place_keep_their_order(user: LocalService) -> None:
    """As they would on a terminal."""
    line = "for n in 1 2 3; do echo out$n; echo err$n >&2; done"
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "run", "--", "sh", "-c", line],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["out1", "err1", "out2", "err2", "out3", "err3"]


def test_streams_of_this_process_that_are_one_are_found(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream without a file is not the same as another."""
    with open(os.devnull, "w") as nothing:
        monkeypatch.setattr(sys, "stdout", nothing)
        monkeypatch.setattr(sys, "stderr", nothing)
        assert _have_one_target()
        assert agentbay("run", "--", "sh", "-c", "echo out; exit 4").code == 4
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        assert not _have_one_target()


def test_a_program_reads_standard_input_if_it_may(
    agentbay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte of it; no file is left in the session."""
    content = bytes(range(256)) * 1000
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    done = agentbay("run", "-i", "--", "sh", "-c", "md5sum; ls -A /tmp")
    assert done.out == f"{hashlib.md5(content).hexdigest()}  -\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.usefixtures("default_hang_up")
def test_a_signal_ends_the_program_and_deletes_what_was_made(
    user: LocalService, number: signal.Signals, code: int
) -> None:
    """Ctrl-C, and what asks a process to end."""
    words = ["sh", "-c", "echo ready; sleep 600"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "--", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        _, errors = running.communicate(timeout=LIMIT)
    assert (running.returncode, errors) == (code, "")
    assert not user.living()


def test_a_program_of_a_session_that_goes_on_is_ended_by_ctrl_c(
    agentbay: Run, bay: AgentBay
) -> None:
    """In the session, too."""
    session_id = agentbay("create").out.strip()
    session = bay.get(session_id).unwrap()

    def press() -> None:
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if "sleep 600" in session.command.run("ps ax").output:
                break
        os.kill(os.getpid(), signal.SIGINT)

    person = threading.Thread(target=press)
    person.start()
    done = agentbay("exec", session_id, "--", "sleep", "600")
    person.join()
    assert (done.code, done.err) == (130, "")
    # It has been killed; a busy machine may list it for a moment.
    gone = "while pgrep -f '[s]leep 600'; do sleep 0.1; done"
    assert session.command.run(gone, timeout=30).success


def test_a_reader_that_has_enough_ends_the_command(user: LocalService) -> None:
    """In silence: ``agentbay run ... | head`` is usual."""
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "--", "yes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "y\n"
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == ""
        assert running.wait(LIMIT) == 141
    assert not user.living()


def test_the_installed_script_works(user: LocalService) -> None:
    """With what the package says of it."""
    script = os.path.join(os.path.dirname(sys.executable), "agentbay")
    done = subprocess.run(
        [script, "run", "--", "echo", "hello"], capture_output=True, text=True, timeout=LIMIT,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_a_program_reaches_a_host_that_is_allowed_to_it(
    agentbay: Run, user: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service of this command alone runs it, because the one that runs has its own hosts."""
    if not user.isolation.available:
        pytest.skip(user.isolation.reason)
    monkeypatch.setenv("AGENTBAY_ENDPOINT", "local")
    with socketserver.TCPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_address[1]}"
        # Addresses of the loopback take no proxy otherwise.
        words = ["env", "no_proxy=", "NO_PROXY=", "curl", "-sS", f"http://{host}/"]
        done = agentbay("run", "--allow-host", host, "--", *words)
        server.shutdown()
    assert (done.code, "Directory listing" in done.out) == (0, True), done.err
    assert not user.living()
