"""What running code answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async.code_records import CodeOutcome
from agentbay_async.results import Result

if TYPE_CHECKING:
    from agentbay_async.code_records import CodeLogs, CodeOutput


class CodeResult(Result[CodeOutcome]):
    """What came of running code.

    Code that ran and failed is a failed result whose output can be read all the same; its ``error``
    is a :class:`~agentbay_async.errors.CodeError` with ``name``, ``value`` and ``traceback``. Where
    nothing ran, reading the output raises the error.
    """

    __slots__ = ()

    @property
    def _outcome(self) -> CodeOutcome:
        return self.unwrap() if self._value is None else self._value

    @property
    def results(self) -> list[CodeOutput]:
        """What the code showed, in order."""
        return self._outcome.results

    @property
    def logs(self) -> CodeLogs:
        """What it wrote, in pieces as they came, standard output and standard error apart."""
        return self._outcome.logs

    @property
    def stdout(self) -> str:
        """What it wrote to its standard output."""
        return "".join(self.logs.stdout)

    @property
    def stderr(self) -> str:
        """What it wrote to its standard error."""
        return "".join(self.logs.stderr)

    @property
    def result(self) -> str:
        """The text of the main result; without one the first text, or else what it wrote."""
        texts = [one.text for one in self._main_first() if one.text is not None]
        return texts[0] if texts else self.stdout

    @property
    def execution_count(self) -> int | None:
        """How many times the session has run code, or ``None`` if it does not say."""
        return self._outcome.execution_count

    @property
    def execution_time(self) -> float | None:
        """Seconds that it took, or ``None`` if the session does not say."""
        return self._outcome.execution_time

    @property
    def trace_id(self) -> str:
        """The id under which the session logged it, or ``""``."""
        return self._outcome.trace_id

    def _main_first(self) -> list[CodeOutput]:
        return sorted(self.results, key=lambda one: not one.is_main_result)
