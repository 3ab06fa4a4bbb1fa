"""A program in a session, with its output here as it comes.

Its two streams stay one if both go to the same place here: that keeps their order. With ``--json``,
both are collected, and printed at the end.
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

from agentbay_cli.output import print_message, print_value, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from agentbay import Session
    from agentbay.services.process import Process

__all__ = [
    "TIMED_OUT",
    "Ended",
    "Program",
    "as_text",
    "collect_program",
    "killed_on_error",
    "print_ended",
    "run_program",
    "scratch_path",
    "start_program",
]

TIMED_OUT = 124
"""The exit code of a program that ran out of time, as that of ``timeout``."""
# Bytes of each stream that are collected; a result of the library has as many.
_MAX_OUTPUT = 16 * 1024 * 1024


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


@attrs.frozen
class Ended:
    """How a program ended, and what it wrote.

    Attributes:
        exit_code: Its exit code; `TIMED_OUT` if it ran out of time.
        stdout: Its standard output; with standard error if both were collected as one stream.
        stderr: Its standard error.
        timed_out: Whether it was killed at its time limit.
        truncated: Whether a stream was longer than 16 MiB, and was cut.
        hint: What may help after a failure, or ``""``.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    truncated: bool
    hint: str


def run_program(session: Session, program: Program) -> int:
    """Run a program, write what it writes, and return its exit code.

    Whatever ends this function early, Ctrl-C for example, ends the program too.

    Raises:
        AgentBayError: The program did not start, or the connection is lost.
    """
    on_stderr = None if _have_one_target() else _write_error
    code, is_over, hint = _run(session, program, _write_output, on_stderr)
    if is_over:
        print_message(f"agentbay: the program ran longer than {program.timeout:g} s and was killed")
    elif hint:
        print_message(f"agentbay: {hint}")
    return code


def collect_program(session: Session, program: Program, *, apart: bool = True) -> Ended:
    """Run a program, and return how it ended, with the beginning of what it wrote.

    Args:
        session: The session.
        program: The program; it is killed if this ends early.
        apart: Whether to keep standard error apart, or else in standard output, in their order.

    Raises:
        AgentBayError: The program did not start, or the connection is lost.
    """
    out, err = _Collected(), _Collected()
    code, is_over, hint = _run(session, program, out.add, err.add if apart else None)
    is_cut = out.is_cut or err.is_cut
    return Ended(code, bytes(out.data), bytes(err.data), is_over, is_cut, hint)


def print_ended(session: Session, ended: Ended) -> int:
    """Print how a program ended as a JSON object, and return its exit code."""
    texts = {"stdout": as_text(ended.stdout), "stderr": as_text(ended.stderr)}
    print_value({"session": session.session_id, **attrs.asdict(ended), **texts})
    return ended.exit_code


def as_text(output: bytes) -> str:
    """Return output as text, for JSON; bytes that are not UTF-8 are replaced."""
    return output.decode("utf-8", "replace")


class _Collected:
    """The beginning of a stream.

    Attributes:
        data: Its first bytes.
        is_cut: Whether there were more.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_cut = False

    def add(self, chunk: bytes) -> None:
        room = _MAX_OUTPUT - len(self.data)
        self.data += chunk[:room]
        self.is_cut = self.is_cut or len(chunk) > room


def _run(
    session: Session,
    program: Program,
    on_stdout: Callable[[bytes], None],
    on_stderr: Callable[[bytes], None] | None,
) -> tuple[int, bool, str]:
    """Run a program; return its exit code, whether its time was over, and the hint."""
    process = start_program(session, program, on_stderr)
    with killed_on_error(process), _Limit(process, program.timeout) as limit:
        for chunk in process:
            on_stdout(chunk)
        code = process.wait()
    return TIMED_OUT if limit.is_over else code, limit.is_over, process.hint


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


class _Limit:
    """Kills a process when its time is over.

    Attributes:
        is_over: Whether that has happened.
    """

    def __init__(self, process: Process, seconds: float | None) -> None:
        self.is_over = False
        self._process = process
        self._timer = None if seconds is None else threading.Timer(seconds, self._end)

    def __enter__(self) -> _Limit:
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


def _write_output(chunk: bytes) -> None:
    write_bytes(chunk, sys.stdout)


def _write_error(chunk: bytes) -> None:
    # Nobody reads it any more; the exit of a thread would tell nobody.
    with contextlib.suppress(SystemExit):
        write_bytes(chunk, sys.stderr)
