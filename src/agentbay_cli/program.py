"""A program in a session, with its output here as it comes.

Its two streams stay one if both go to the same place here: that keeps their order.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import threading
from typing import TYPE_CHECKING

import attrs

from agentbay_cli.output import print_message, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from agentbay import Session
    from agentbay.services.process import Process

__all__ = [
    "TIMED_OUT",
    "Limit",
    "Program",
    "killed_on_error",
    "run_program",
    "scratch_path",
    "start_program",
]

TIMED_OUT = 124
"""The exit code of a program that ran out of time, as that of ``timeout``."""


@attrs.frozen
class Program:
    """A program to run in a session.

    Attributes:
        line: A line for ``sh``.
        envs: Variables to add to its environment.
        cwd: The working directory; None is the home directory.
        timeout: Seconds after which it is killed, or None.
        input: What it reads, or None for nothing.
    """

    line: str
    envs: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    cwd: str | None = None
    timeout: float | None = None
    input: BinaryIO | None = None


def run_program(session: Session, program: Program) -> int:
    """Run a program, write what it writes, and return its exit code.

    Whatever ends this function early, Ctrl-C for example, ends the program too.

    Raises:
        AgentBayError: The program did not start, or the connection is lost.
    """
    on_stderr = None if _have_one_target() else _write_error
    process = start_program(session, program, on_stderr)
    with killed_on_error(process), Limit(process, program.timeout) as limit:
        for chunk in process:
            write_bytes(chunk, sys.stdout)
        code = process.wait()
    if limit.is_over:
        print_message(f"agentbay: the program ran longer than {program.timeout:g} s and was killed")
        return TIMED_OUT
    return code


def start_program(
    session: Session, program: Program, on_stderr: Callable[[bytes], None] | None = None
) -> Process:
    """Start a program in the background of a session."""
    line = _with_input(session, program)
    return session.command.start(line, program.cwd, program.envs, on_stderr=on_stderr)


def _have_one_target() -> bool:
    """Return whether standard output and standard error of this process are the same."""
    try:
        return os.path.samestat(*(os.fstat(one.fileno()) for one in (sys.stdout, sys.stderr)))
    except (OSError, ValueError):
        return False


def _with_input(session: Session, program: Program) -> str:
    """Return the line of a program with its input, which is in a file of the session by then."""
    if program.input is None:
        return f"{{ {program.line}\n}} </dev/null"
    import tempfile

    path = scratch_path()
    with tempfile.NamedTemporaryFile() as copy:
        # Its size must be known before it is sent.
        shutil.copyfileobj(program.input, copy)
        copy.flush()
        session.file_system.upload_file(copy.name, path).unwrap()
    return f"{{ rm -f {path}; {program.line}\n}} <{path}"


def scratch_path() -> str:
    """Return the path of a new file of ours in a session."""
    return f"/tmp/.agentbay-{secrets.token_hex(8)}"  # noqa: S108  # a path in the session


@contextlib.contextmanager
def killed_on_error(process: Process) -> Iterator[None]:
    """Kill a process if the block ends with an error, or by Ctrl-C."""
    try:
        yield
    except BaseException:
        end_quietly(process.kill)
        raise


def end_quietly(kill: Callable[[], None]) -> None:
    """Call what ends a process or a terminal; that it fails is no news."""
    from agentbay import AgentBayError

    # It has ended, or cannot be reached; neither is worth more than what happened before.
    with contextlib.suppress(AgentBayError):
        kill()


class Limit:
    """Kills a process when its time is over.

    Attributes:
        is_over: Whether that has happened.
    """

    def __init__(self, process: Process, seconds: float | None) -> None:
        self.is_over = False
        self._process = process
        self._timer = None if seconds is None else threading.Timer(seconds, self._end)

    def __enter__(self) -> Limit:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        end_quietly(self._process.kill)


def _write_error(chunk: bytes) -> None:
    # Nobody reads it any more; the exit of a thread would tell nobody.
    with contextlib.suppress(SystemExit):
        write_bytes(chunk, sys.stderr)
