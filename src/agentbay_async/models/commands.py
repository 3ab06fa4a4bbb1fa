"""Values and results of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from agentbay_async.errors import CommandError
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError

R = TypeVar("R", bound="Result[Any]")


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

    @classmethod
    def failed(cls: type[R], error: AgentBayError) -> R:
        """Make a result that carries `error`, and the output of the command if one ran."""
        output = None
        if isinstance(error, CommandError) and error.ran:
            output = CommandOutput(error.stdout, error.stderr, error.exit_code, error.trace_id)
        return cls(output, error, error.request_id)

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
