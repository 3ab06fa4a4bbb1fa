"""What code that was run has to show: values without any I/O."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from agentbay_async.models.results import Result

#: The forms in which a result may be shown.
FORMATS = ("text", "html", "markdown", "png", "jpeg", "svg", "json", "latex", "chart")


@attrs.frozen
class CodeOutput:
    """One thing that code showed: the value of its last line, or something displayed.

    Which forms there are is in :meth:`formats`; a form that is there may hold ``0``, ``{}`` or
    ``None``.

    Attributes:
        text: Plain text.
        html: HTML.
        markdown: Markdown.
        png: A picture, in base64.
        jpeg: A picture, in base64.
        svg: A picture, as XML.
        json: Any JSON value.
        latex: LaTeX.
        chart: A chart in the grammar of Vega or Vega-Lite.
        is_main_result: Whether it is the value of the last line.
    """

    text: str | None = None
    html: str | None = None
    markdown: str | None = None
    png: str | None = None
    jpeg: str | None = None
    svg: str | None = None
    json: Any = None
    latex: str | None = None
    chart: Any = None
    is_main_result: bool = False
    _formats: tuple[str, ...] = attrs.field(default=(), repr=False, alias="formats")

    def formats(self) -> list[str]:
        """Return the names of the forms that there are."""
        return list(self._formats)


@attrs.frozen
class CodeLogs:
    """What code wrote, in pieces as they came."""

    stdout: list[str] = attrs.field(factory=list)
    stderr: list[str] = attrs.field(factory=list)


@attrs.frozen
class CodeOutcome:
    """All that came of running code.

    Attributes:
        results: What it showed, in order.
        logs: What it wrote.
        execution_count: How many times the session has run code, or ``None`` if it does not say.
        execution_time: Seconds that it took, or ``None`` if the session does not say.
        trace_id: The id under which the session logged it, or ``""``.
    """

    results: list[CodeOutput] = attrs.field(factory=list)
    logs: CodeLogs = attrs.field(factory=CodeLogs)
    execution_count: int | None = None
    execution_time: float | None = None
    trace_id: str = ""


@attrs.frozen
class CodeFailure:
    """How code ended that did not end well.

    Attributes:
        name: The name of the error, such as ``"ValueError"``.
        value: What it says.
        traceback: Where it came from, as the interpreter writes it, or ``""``.
    """

    name: str = ""
    value: str = ""
    traceback: str = ""


@attrs.frozen
class CodeEvent:
    """Something that happened while code ran.

    Attributes:
        kind: What happened; it says which of the others is set. ``"end"`` comes last, once.
        text: What was written, for ``"stdout"`` and ``"stderr"``.
        result: What was shown, for ``"result"``.
        error: How it failed, for ``"error"``.
        execution_count: As in :class:`CodeOutcome`, for ``"end"``.
        execution_time: As in :class:`CodeOutcome`, for ``"end"``.
    """

    kind: Literal["stdout", "stderr", "result", "error", "end"]
    text: str = ""
    result: CodeOutput | None = None
    error: CodeFailure | None = None
    execution_count: int | None = None
    execution_time: float | None = None


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
