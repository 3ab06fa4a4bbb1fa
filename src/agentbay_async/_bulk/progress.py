"""Progress reports of a bulk run: a callback, a bar, in a notebook too, or lines on stderr.

Nothing is written to stdout, which belongs to the program.
"""

from __future__ import annotations

import sys
from contextlib import aclosing
from html import escape
from importlib import import_module
from importlib.util import find_spec
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async._bulk.options import check_function, check_optional

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from agentbay_async._clock import Clock
    from agentbay_async.models.bulk import Progress

    OnProgress = Callable[[Progress], Awaitable[None] | None]

O = TypeVar("O", covariant=True)  # noqa: E741  # the customary name of an outcome

# Seconds between two calls of a callback or two updates of a bar, and between two lines. A line
# stays on the screen or in the log of a CI job, so it comes less often.
_BAR_INTERVAL = 0.1
_NOTEBOOK_INTERVAL = 0.5
_LINE_INTERVAL = 5.0


@attrs.frozen
class ProgressOptions:
    """The caller's choice of progress reports, not yet checked."""

    on_progress: OnProgress | None
    progress: bool

    def reporter(self, clock: Clock, operation: str) -> ProgressReporter:
        """Return the reporter of a run.

        Raises:
            ArgumentTypeError: A value has the wrong type.
        """
        check_optional(check_function, self.on_progress, "on_progress")
        visible = _check.boolean(self.progress, "progress")
        return ProgressReporter(operation, self.on_progress, visible, clock)


class Run(Protocol[O]):
    """A run that has outcomes and a progress."""

    def outcomes(self) -> AsyncGenerator[O, None]:
        """Yield each outcome when it is ready."""
        ...

    def progress(self) -> Progress:
        """Return the progress so far."""
        ...


class ProgressDisplay(Protocol):
    """Shows the progress to a person."""

    #: Seconds between two calls of :meth:`show`.
    interval: float

    def show(self, progress: Progress) -> None:
        """Show the progress."""
        ...

    def close(self) -> None:
        """Release the terminal."""
        ...


class LineDisplay:
    """A line on stderr every few seconds."""

    interval = _LINE_INTERVAL

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def show(self, progress: Progress) -> None:
        """Write a line."""
        # A program without a console, such as pythonw, has no stderr.
        if sys.stderr is not None:
            sys.stderr.write(f"{self._operation}: {progress}\n")

    def close(self) -> None:
        """Do nothing."""


class BarDisplay:
    """A progress bar on the terminal, by rich."""

    interval = _BAR_INTERVAL

    def __init__(self, operation: str) -> None:
        # rich is an optional dependency, so type checkers must not look for it.
        rich: Any = import_module("rich.progress")
        console: Any = import_module("rich.console").Console(stderr=True)
        text = rich.TextColumn("{task.description}")
        state = rich.TextColumn("{task.fields[state]}")
        self._bar = rich.Progress(text, rich.BarColumn(), state, console=console, transient=False)
        self._task = self._bar.add_task(operation, total=None, state="")
        self._bar.start()

    def show(self, progress: Progress) -> None:
        """Update the bar."""
        completed = progress.done + progress.failed
        state = str(progress)
        self._bar.update(self._task, completed=completed, total=progress.total, state=state)

    def close(self) -> None:
        """Stop updating the bar; its last state stays on the terminal."""
        self._bar.stop()


class NotebookDisplay:
    """A progress bar below the cell of a notebook, updated in place."""

    interval = _NOTEBOOK_INTERVAL

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._handle: Any = None

    def show(self, progress: Progress) -> None:
        """Update the bar."""
        # A notebook has IPython; type checkers must not look for it.
        html: Any = import_module("IPython.display")
        text = f"{self._operation}: {progress}"
        most = "" if progress.total is None else f' max="{progress.total}"'
        bar = f'<progress value="{progress.done + progress.failed}"{most}></progress>'
        shown = {"text/plain": text, "text/html": f"{bar} {escape(text)}"}
        if self._handle is None:
            self._handle = html.display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def close(self) -> None:
        """Do nothing: the last state stays below the cell."""


def _is_notebook() -> bool:
    """Return whether a Jupyter kernel runs this process. Does not import IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def choose_display(operation: str) -> ProgressDisplay:
    """Return a bar in a notebook, or on a terminal if rich is installed, and lines otherwise."""
    if _is_notebook():
        return NotebookDisplay(operation)
    if sys.stderr is not None and sys.stderr.isatty() and find_spec("rich") is not None:
        return BarDisplay(operation)
    return LineDisplay(operation)


class ProgressReporter:
    """Reports the progress of a run at a limited frequency.

    Args:
        operation: The name of the run, for people.
        callback: Called with the progress, or ``None``.
        visible: Whether to show the progress on stderr.
        clock: Time.
    """

    def __init__(
        self, operation: str, callback: OnProgress | None, visible: bool, clock: Clock
    ) -> None:
        self._operation = operation
        self._callback = callback
        self._visible = visible
        self._clock = clock
        self._display: ProgressDisplay | None = None
        self._called_at = self._shown_at = float("-inf")

    async def track(self, run: Run[O]) -> AsyncGenerator[O, None]:
        """Yield the outcomes of a run, and report its progress meanwhile."""
        enabled = self._visible or self._callback is not None
        try:
            async with aclosing(run.outcomes()) as outcomes:
                async for outcome in outcomes:
                    # Yield first: if the callback raises, the caller has the outcome already.
                    yield outcome
                    if enabled:
                        await self._report(run.progress())
            if enabled:
                await self._report(run.progress(), last=True)
        finally:
            if self._display is not None:
                self._display.close()

    async def _report(self, progress: Progress, *, last: bool = False) -> None:
        """Report to the display and the callback that are due; the last report is always due."""
        now = self._clock.monotonic()
        if self._visible:
            self._show(progress, now, last=last)
        if self._callback is not None and (last or now - self._called_at >= _BAR_INTERVAL):
            self._called_at = now
            answer = self._callback(progress)
            if isawaitable(answer):
                await answer

    def _show(self, progress: Progress, now: float, *, last: bool) -> None:
        self._display = self._display or choose_display(self._operation)
        if last or now - self._shown_at >= self._display.interval:
            self._shown_at = now
            self._display.show(progress)
