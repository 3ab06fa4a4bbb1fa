"""Values and results of commands."""

from __future__ import annotations

import attrs

from agentbay_async.models.results import Result


@attrs.frozen
class CommandOutput:
    """How a command ended and what it wrote."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    trace_id: str = ""


class CommandResult(Result["CommandOutput"]):
    """How a command ended.

    A command that ran and ended with an exit code other than 0 is a failed result whose output can
    be read all the same. Where no command ran, reading the output raises the error.
    """

    __slots__ = ()

    @property
    def _outcome(self) -> CommandOutput:
        return self.unwrap() if self._value is None else self._value

    @property
    def stdout(self) -> str:
        """What it wrote to its standard output."""
        return self._outcome.stdout

    @property
    def stderr(self) -> str:
        """What it wrote to its standard error."""
        return self._outcome.stderr

    @property
    def output(self) -> str:
        """Both, standard output first."""
        return self.stdout + self.stderr

    @property
    def exit_code(self) -> int:
        """What it returned; 0 means success."""
        return self._outcome.exit_code

    @property
    def trace_id(self) -> str:
        """The id under which the session logged the command, or ``""``."""
        return self._outcome.trace_id
