"""Values and results of running code."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from agentbay_async.errors import BadAnswerError, InvalidArgumentError
from agentbay_async.models._reprs import first_line
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    import os

#: The formats of a result.
FORMATS = ("text", "html", "markdown", "png", "jpeg", "svg", "json", "latex", "chart")
# The formats by the suffix of a file.
_SUFFIXES = {
    ".txt": "text",
    ".html": "html",
    ".md": "markdown",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".svg": "svg",
    ".json": "json",
    ".tex": "latex",
}
#: The formats by their media types.
MEDIA_TYPES = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/svg+xml": "svg",
    "application/json": "json",
    "text/latex": "latex",
    "application/vnd.vegalite.v4+json": "chart",
    "application/vnd.vegalite.v5+json": "chart",
    "application/vnd.vega.v5+json": "chart",
}


@attrs.frozen
class CodeOutput:
    """One output of code: the value of its last line, or a displayed object.

    :meth:`formats` lists the formats that are present; the value of a format may be ``0``, ``{}``
    or ``None``.

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
        """Return the names of the formats that are present."""
        return list(self._formats)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the output to a local file, in the format that its name ends in.

        Args:
            path: The file. Its suffix is one of ``.txt .html .md .png .jpg .jpeg .svg .json .tex``.

        Returns:
            The path of the file.

        Raises:
            InvalidArgumentError: No format belongs to the suffix, or the output lacks it; nothing
                is written.
            BadAnswerError: The picture did not arrive as base64, or the JSON value is nested too
                deeply; nothing is written.
            OSError: The file cannot be written.

        Example:
            >>> import tempfile
            >>> output = CodeOutput(html="<b>1</b>", formats=("html",))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     output.save(f"{folder}/a.html").read_text()
            '<b>1</b>'
        """
        target = Path(path)
        format = _format_of(target)
        if format not in self._formats:
            raise InvalidArgumentError(
                f"path: this output has no {format}, only {', '.join(self._formats) or 'nothing'}"
            )
        target.write_bytes(_encode(format, getattr(self, format)))
        return target

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Return the formats by their media types: notebooks show the best that they can."""
        return {
            media_type: getattr(self, format)
            for media_type, format in MEDIA_TYPES.items()
            # The grammar of a chart is not known here, and a notebook must be told it.
            if format in self._formats and format != "chart"
        }


def _format_of(path: Path) -> str:
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise InvalidArgumentError(
            f"path must end in one of {' '.join(_SUFFIXES)}, not {path.name!r:.100}"
        ) from None


def _encode(format: str, value: Any) -> bytes:
    try:
        if format == "json":
            return json.dumps(value, ensure_ascii=False, indent=2).encode()
        if format in ("png", "jpeg"):
            # Some kernels break the lines of base64.
            return b64decode("".join(value.split()), validate=True)
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(f"the {format} of an output cannot be saved: {error}") from None
    return str(value).encode()


@attrs.frozen
class CodeLogs:
    """The standard streams of code, in pieces as they arrived."""

    stdout: list[str] = attrs.field(factory=list)
    stderr: list[str] = attrs.field(factory=list)


@attrs.frozen
class CodeOutcome:
    """The outcome of running code.

    Attributes:
        results: The outputs, in order.
        logs: The standard streams.
        execution_count: The session's count of executions, or ``None`` if unknown.
        execution_time: Seconds of the execution, or ``None`` if unknown.
        trace_id: The id of the execution in the session's logs, or ``""``.
        truncated: Whether output was thrown away, because there was too much.
    """

    results: list[CodeOutput] = attrs.field(factory=list)
    logs: CodeLogs = attrs.field(factory=CodeLogs)
    execution_count: int | None = None
    execution_time: float | None = None
    trace_id: str = ""
    truncated: bool = False


@attrs.frozen
class CodeFailure:
    """The error that ended code.

    Attributes:
        name: The class of the error, such as ``"ValueError"``.
        value: The text of the error.
        traceback: The traceback of the interpreter, or ``""``.
        hint: How to cure it, or ``""``.
    """

    name: str = ""
    value: str = ""
    traceback: str = ""
    hint: str = ""


@attrs.frozen
class CodeEvent:
    """An event while code runs.

    Attributes:
        kind: The kind of event, which decides which other attribute is set. ``"end"`` comes last,
            once.
        text: The text written, for ``"stdout"`` and ``"stderr"``.
        result: The output, for ``"result"``.
        error: The error, for ``"error"``.
        execution_count: As in :class:`CodeOutcome`, for ``"end"``.
        execution_time: As in :class:`CodeOutcome`, for ``"end"``.
        truncated: As in :class:`CodeOutcome`, for ``"end"``.
    """

    kind: Literal["stdout", "stderr", "result", "error", "end"]
    text: str = ""
    result: CodeOutput | None = None
    error: CodeFailure | None = None
    execution_count: int | None = None
    execution_time: float | None = None
    truncated: bool = False


class CodeResult(Result[CodeOutcome]):
    """The result of running code.

    Code that ran and failed gives a failed result, whose output can still be read. Its ``error`` is
    a :class:`~agentbay_async.errors.CodeError` with ``name``, ``value`` and ``traceback``. If
    nothing ran, reading the output raises the error.
    """

    __slots__ = ()

    def _show_value(self) -> str:
        formats = [format for output in self.results for format in output.formats()]
        return f"{first_line(self.result)}, formats={formats}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Return the main result by media types, or the output: notebooks show the best of it."""
        bundles = [one._repr_mimebundle_() for one in self._main_first()] if self.success else []
        text = self.result if self.success else repr(self)
        return {"text/plain": text, **(bundles[0] if bundles else {})}

    @property
    def _outcome(self) -> CodeOutcome:
        return self.unwrap() if self._value is None else self._value

    @property
    def truncated(self) -> bool:
        """Whether output was thrown away, because there was too much.

        Let the code write such output to a file, and download that.
        """
        return self._outcome.truncated

    @property
    def results(self) -> list[CodeOutput]:
        """The outputs of the code, in order."""
        return self._outcome.results

    @property
    def logs(self) -> CodeLogs:
        """Standard output and standard error, in pieces as they arrived."""
        return self._outcome.logs

    @property
    def stdout(self) -> str:
        """The standard output."""
        return "".join(self.logs.stdout)

    @property
    def stderr(self) -> str:
        """The standard error."""
        return "".join(self.logs.stderr)

    @property
    def result(self) -> str:
        """The text of the main result; else the first text; else the standard output."""
        texts = [one.text for one in self._main_first() if one.text is not None]
        return texts[0] if texts else self.stdout

    @property
    def execution_count(self) -> int | None:
        """The session's count of executions, or ``None`` if unknown."""
        return self._outcome.execution_count

    @property
    def execution_time(self) -> float | None:
        """Seconds of the execution, or ``None`` if unknown."""
        return self._outcome.execution_time

    @property
    def trace_id(self) -> str:
        """The id of the execution in the session's logs, or ``""``."""
        return self._outcome.trace_id

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the first output of a format to a local file; the main result comes first.

        Args:
            path: The file; its suffix says the format, as in :meth:`CodeOutput.save`.

        Returns:
            The path of the file.

        Raises:
            InvalidArgumentError: No format belongs to the suffix, or no output has it; nothing is
                written.
            OSError: The file cannot be written.

        Example:
            ::

                result = await session.code.run("import matplotlib.pyplot as p; p.plot([1, 2])")
                result.save("chart.png")
        """
        format = _format_of(Path(path))
        for output in self._main_first():
            if format in output.formats():
                return output.save(path)
        present = sorted({one for output in self.results for one in output.formats()})
        raise InvalidArgumentError(
            f"path: no output has a {format}; there is {', '.join(present) or 'no output'}"
        )

    def _main_first(self) -> list[CodeOutput]:
        return sorted(self.results, key=lambda one: not one.is_main_result)
