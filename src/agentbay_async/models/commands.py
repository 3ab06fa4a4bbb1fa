"""Values and results of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from agentbay_async.errors import CommandError
from agentbay_async.models._reprs import first_line
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError

R = TypeVar("R", bound="Result[Any]")


@attrs.frozen
class CommandOutput:
    """The exit code and the output of a command.

    Attributes:
        stdout: The standard output.
        stderr: The standard error.
        exit_code: The exit code; 0 means success, and 124 that it was killed at its time limit, as
            with ``timeout(1)``.
        trace_id: The id of the command in the session's logs, or ``""``.
        timed_out: Whether it was killed at its time limit.
        truncated: Whether a stream was cut: it was longer than one answer can hold.
    """

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    trace_id: str = ""
    timed_out: bool = False
    truncated: bool = False


class CommandResult(Result["CommandOutput"]):
    """The result of a command.

    A command that ended with an exit code other than 0 gives a failed result, whose output can
    still be read. If no command ran, reading the output raises the error.
    """

    __slots__ = ()

    @classmethod
    def failed(cls: type[R], error: AgentBayError) -> R:
        """Make a result that carries `error`, and the output of the command if one ran."""
        output = None
        if isinstance(error, CommandError) and error.ran:
            output = CommandOutput(
                error.stdout,
                error.stderr,
                error.exit_code,
                error.trace_id,
                error.timed_out,
                error.truncated,
            )
        return cls(output, error, error.request_id)

    def _show(self) -> str:
        if self._value is None:
            return super()._show()
        out = self._value
        flags = "".join(
            f", {name}=True" for name in ("timed_out", "truncated") if getattr(out, name)
        )
        text = f"stdout={first_line(out.stdout)}"
        if self.error is not None:
            text = f"error={first_line(str(self.error))}"
        return f"exit_code={out.exit_code}, {text}{flags}"

    @property
    def _outcome(self) -> CommandOutput:
        return self.unwrap() if self._value is None else self._value

    @property
    def stdout(self) -> str:
        """The standard output."""
        return self._outcome.stdout

    @property
    def stderr(self) -> str:
        """The standard error."""
        return self._outcome.stderr

    @property
    def output(self) -> str:
        """Standard output, then standard error."""
        return self.stdout + self.stderr

    @property
    def exit_code(self) -> int:
        """The exit code; 0 means success, 124 that it was killed at its time limit."""
        return self._outcome.exit_code

    @property
    def timed_out(self) -> bool:
        """Whether the command was killed at its time limit; its output until then is here."""
        return self._outcome.timed_out

    @property
    def truncated(self) -> bool:
        """Whether a stream was longer than one answer can hold (16 MiB), and was cut.

        Redirect such output to a file, and download that.
        """
        return self._outcome.truncated

    @property
    def trace_id(self) -> str:
        """The id of the command in the session's logs, or ``""``."""
        return self._outcome.trace_id
