"""A program in a session, with its output here as it comes."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

import attrs

from agentbay_cli.output import print_message, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentbay import Session
    from agentbay.services.process import Process

__all__ = ["TIMED_OUT", "Program", "run_program"]

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
    """

    line: str
    envs: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    cwd: str | None = None
    timeout: float | None = None


def run_program(session: Session, program: Program) -> int:
    """Run a program, write what it writes, and return its exit code.

    Whatever ends this function early, Ctrl-C for example, ends the program too.

    Raises:
        AgentBayError: The program did not start, or the connection is lost.
    """
    line = f"{{ {program.line}\n}} </dev/null"
    process = session.command.start(line, program.cwd, program.envs)
    with _killed_on_error(process), _Limit(process, program.timeout) as limit:
        for chunk in process:
            write_bytes(chunk, sys.stdout)
        code = process.wait()
    if limit.is_over:
        print_message(f"agentbay: the program ran longer than {program.timeout:g} s and was killed")
        return TIMED_OUT
    return code


@contextlib.contextmanager
def _killed_on_error(process: Process) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _kill(process)
        raise


def _kill(process: Process) -> None:
    from agentbay import AgentBayError

    # It has ended, or cannot be reached; neither is worth more than what happened before.
    with contextlib.suppress(AgentBayError):
        process.kill()


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
        _kill(self._process)
