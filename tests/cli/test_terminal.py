"""``agentbay shell``, ``exec -t`` and ``run -t``, through a terminal, as a person uses them."""

from __future__ import annotations

import errno
import os
import pty
import re
import sys
import termios
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.terminal_user import Person, set_size

from agentbay import PtyError, PtyNotConnectedError
from agentbay_cli import terminal
from agentbay_cli.main import main
from agentbay_cli.terminal import parse_keys, terminal_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentbay import AgentBay
    from agentbay_local import LocalService

    Run = Callable[..., Any]

LIMIT = 60
CTRL_C, LEAVE = b"\x03", b"\x10\x11"


class OwnTerminal:
    """The terminal of this process, and a person who types at it."""

    def __init__(self, screen: int, line: int, patch: pytest.MonkeyPatch) -> None:
        self.screen = screen
        self.line = line
        self._patch = patch
        self._failure: BaseException | None = None

    def run(self, arguments: list[str], act: Callable[[Person], None]) -> int:
        """Run a command while a person acts, and return its exit code."""

        def type_keys() -> None:
            try:
                act(Person(self.screen))
            except BaseException as error:
                self._failure = error
                # The person leaves, so that the command ends.
                os.write(self.screen, LEAVE)

        person = threading.Thread(target=type_keys)
        person.start()
        try:
            return self.call(arguments)
        finally:
            person.join()
            if self._failure is not None:
                raise self._failure

    def call(self, arguments: list[str]) -> int:
        """Run a command while nobody acts, and return its exit code."""
        # Not in the fixture: pytest sets these anew for the call of a test.
        with (
            os.fdopen(os.dup(self.line)) as stdin,
            os.fdopen(os.dup(self.line), "w") as stdout,
            self._patch.context() as patch,
        ):
            patch.setattr(sys, "stdin", stdin)
            patch.setattr(sys, "stdout", stdout)
            return main(arguments)


@pytest.fixture
def own_terminal(user: LocalService, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnTerminal]:
    """Return a terminal at which nobody has typed."""
    screen, line = os.openpty()
    set_size(screen, 80, 24)
    yield OwnTerminal(screen, line, monkeypatch)
    os.close(screen)
    os.close(line)


@pytest.fixture
def session_id(bay: AgentBay) -> str:
    """Return the id of a session."""
    return bay.create().session.session_id


def test_a_shell_gets_what_is_typed_and_its_exit_code_comes_back(
    own_terminal: OwnTerminal, session_id: str
) -> None:
    """Afterwards the terminal is as it was."""

    def act(person: Person) -> None:
        person.types(b"echo $((40 + 2))-$STAGE; pwd\n")
        person.sees(b"42-test\r\n/tmp\r\n")
        person.types(b"exit 7\n")

    before = termios.tcgetattr(own_terminal.line)
    assert own_terminal.run(["shell", "-e", "STAGE=test", "-w", "/tmp", session_id], act) == 7
    assert termios.tcgetattr(own_terminal.line) == before


def test_keys_that_end_programs_are_for_the_session(
    own_terminal: OwnTerminal, session_id: str
) -> None:
    """Ctrl-C ends the program there, and not the command here."""

    def act(person: Person) -> None:
        person.types(b"echo begin-$((1 + 1)); sleep 600\n")
        person.sees(b"begin-2")
        person.types(CTRL_C)
        person.types(b"echo end-$((1 + 1)); exit\n")
        person.sees(b"end-2")

    assert own_terminal.run(["shell", session_id], act) in (0, 130)


def test_a_new_size_is_that_of_the_session_too(own_terminal: OwnTerminal, session_id: str) -> None:
    """From the first one on."""

    def act(person: Person) -> None:
        person.types(b"stty size\n")
        person.sees(b"24 80\r\n")
        person.resizes(100, 40)
        # The signal and the keys take different ways.
        person.types(b"until [ \"$(stty size)\" = '40 100' ]; do sleep 0.1; done; exit 8\n")

    assert own_terminal.run(["shell", session_id], act) == 8


def test_a_terminal_that_was_left_goes_on(
    own_terminal: OwnTerminal, session_id: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message says how to come back."""

    def leave(person: Person) -> None:
        person.types(b"KEPT=some-$((40 + 2)); echo ready-$((1 + 1))\n")
        person.sees(b"ready-2")
        person.types(LEAVE)

    def come_back(person: Person) -> None:
        person.types(b"echo again-$KEPT; exit 5\n")
        person.sees(b"again-some-42")

    assert own_terminal.run(["shell", session_id], leave) == 0
    found = re.search(r"agentbay shell (\S+) --attach (\S+)\n", capfd.readouterr().err)
    assert found is not None
    assert found[1] == session_id
    assert own_terminal.run(["shell", session_id, "--attach", found[2]], come_back) == 5


def test_other_keys_can_leave(own_terminal: OwnTerminal, session_id: str) -> None:
    """The usual ones are typed into the session then."""

    def act(person: Person) -> None:
        person.types(b"echo ready-$((1 + 1))\n")
        person.sees(b"ready-2")
        person.types(b"\x1d")

    assert own_terminal.run(["shell", "--detach-keys", "ctrl-]", session_id], act) == 0


def test_a_program_can_run_in_the_terminal(own_terminal: OwnTerminal, session_id: str) -> None:
    """With its arguments as they were given."""

    def act(person: Person) -> None:
        person.sees(b"<a b><$HOME>")
        person.types(b"typed\n")
        person.sees(b"got typed")

    program = [
        "sh",
        "-c",
        'printf "<%s>" "$@"; read line; echo got $line; exit 3',
        "sh",
        "a b",
        "$HOME",
    ]
    assert own_terminal.run(["exec", "-it", session_id, *program], act) == 3


def test_a_session_of_its_own_can_be_a_shell(own_terminal: OwnTerminal, user: LocalService) -> None:
    """It is deleted with it."""

    def act(person: Person) -> None:
        person.types(b"echo ready-$((1 + 1)); exit 4\n")
        person.sees(b"ready-2")

    assert own_terminal.run(["run", "-it", "--rm", "linux_latest"], act) == 4
    assert not user.living()


def test_a_shell_ends_with_its_session(
    own_terminal: OwnTerminal, session_id: str, bay: AgentBay
) -> None:
    """As one that was killed; the terminal is as it was."""

    def act(person: Person) -> None:
        person.types(b"echo ready-$((1 + 1))\n")
        person.sees(b"ready-2")
        bay.get(session_id).session.delete()

    before = termios.tcgetattr(own_terminal.line)
    assert own_terminal.run(["shell", session_id], act) == 137
    assert termios.tcgetattr(own_terminal.line) == before


def test_what_ends_the_command_ends_the_terminal_that_it_opened(
    own_terminal: OwnTerminal, session_id: str, bay: AgentBay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could come back: its id was not told."""

    def interrupt(_: object, __: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal, "attach", interrupt)
    assert own_terminal.call(["shell", session_id]) == 130
    assert bay.get(session_id).unwrap().pty.list() == []


class FullTerminal:
    """A terminal of a session that takes no more input."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._left = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"ready"
        assert self._left.wait(LIMIT)
        raise PtyNotConnectedError

    def send_input(self, _: bytes) -> None:
        """Take none."""
        if isinstance(self._error, PtyNotConnectedError):
            self._left.set()
        raise self._error

    def disconnect(self) -> None:
        """Leave."""
        self._left.set()


@pytest.mark.parametrize("error", [PtyError("the input is full"), PtyNotConnectedError("it ended")])
def test_keys_that_do_not_arrive_are_an_error(
    own_terminal: OwnTerminal, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which ends the command."""
    os.write(own_terminal.screen, b"x")
    with os.fdopen(os.dup(own_terminal.line)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(type(error)):
            terminal.attach(cast("Any", FullTerminal(error)), b"\x10")


def test_a_terminal_that_is_gone_is_left(
    own_terminal: OwnTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window was closed; what runs in the session goes on."""
    with os.fdopen(os.dup(own_terminal.line)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(terminal.os, "read", broken_read(stdin.fileno()))
        os.write(own_terminal.screen, b"x")
        assert terminal.attach(cast("Any", FullTerminal(AssertionError())), b"\x10") is None


def broken_read(handle: int) -> Callable[[int, int], bytes]:
    """Return a function that reads nothing from a terminal that is gone."""
    read = os.read

    def replaced(number: int, size: int) -> bytes:
        if number == handle:
            raise OSError(errno.EIO, "gone")
        return read(number, size)

    return replaced


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["shell", "s-1"], "this is no terminal"),
        (["run", "-t"], "this is no terminal"),
        (["shell", "--detach-keys", "alt-x", "s-1"], "'alt-x' is no key"),
        (["shell", "--detach-keys", "ctrl-7", "s-1"], "'ctrl-7' is no key"),
    ],
)
def test_what_needs_a_terminal_says_so(
    agentbay: Run, user: LocalService, given: list[str], told: str
) -> None:
    """Before anything is sent."""
    done = agentbay(*given)
    assert (done.code, told in done.err, len(user.journal)) == (2, True, 0)


def test_a_terminal_has_no_time_limit(
    own_terminal: OwnTerminal, capfd: pytest.CaptureFixture[str]
) -> None:
    """A person decides when it is over."""
    assert own_terminal.call(["run", "-t", "--timeout", "5s", "--", "sh"]) == 2
    assert "--timeout is for programs without a terminal" in capfd.readouterr().err


def test_keys_have_the_names_of_docker() -> None:
    """Control keys, and single characters."""
    assert parse_keys("ctrl-a,x,ctrl-@,ctrl-_") == b"\x01x\x00\x1f"


def test_a_size_is_within_what_sessions_have(
    own_terminal: OwnTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not known is the usual one."""
    set_size(own_terminal.screen, 1000, 0)
    with os.fdopen(os.dup(own_terminal.line)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert terminal_size() == (500, 24)


def test_without_a_terminal_the_size_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eighty columns and 24 rows."""
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert terminal_size() == (80, 24)


def test_the_installed_script_is_a_terminal(user: LocalService, session_id: str) -> None:
    """In a process and a terminal of its own, with the signals of the kernel."""
    script = os.path.join(os.path.dirname(sys.executable), "agentbay")
    process, screen = pty.fork()
    if process == 0:
        os.execv(script, [script, "shell", session_id])
    person = Person(screen)
    person.types(b"echo ready-$((1 + 1))\n")
    person.sees(b"ready-2")
    set_size(screen, 90, 30)
    person.types(b"until [ \"$(stty size)\" = '30 90' ]; do sleep 0.1; done; exit 6\n")
    person.sees(b"exit 6")
    _, status = os.waitpid(process, 0)
    os.close(screen)
    assert os.waitstatus_to_exitcode(status) == 6
