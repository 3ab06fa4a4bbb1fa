"""How far a run is, told to whoever asked: a callback, a bar on a terminal, or lines on stderr.

Nothing is ever written to stdout, which belongs to the program.
"""

from __future__ import annotations

import sys
from contextlib import aclosing
from importlib import import_module
from importlib.util import find_spec
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from agentbay_async._clock import Clock
    from agentbay_async.models.bulk import Progress

O = TypeVar("O", covariant=True)  # noqa: E741  # the customary name of an outcome

# Seconds between two calls of a callback or changes of a bar, and between two lines.
_OFTEN = 0.1
_SELDOM = 5.0


class Told(Protocol[O]):
    """A run that can be told about."""

    def outcomes(self) -> AsyncGenerator[O, None]:
        """Yield each outcome when it lands."""
        ...

    def progress(self) -> Progress:
        """Return how far it is."""
        ...


class Drawing(Protocol):
    """Shows people how far a run is."""

    #: Seconds between two calls of :meth:`show`.
    every: float

    def show(self, progress: Progress) -> None:
        """Show it."""
        ...

    def close(self) -> None:
        """Show nothing more."""
        ...


class Lines:
    """A line on stderr now and then."""

    every = _SELDOM

    def __init__(self, what: str) -> None:
        self._what = what

    def show(self, progress: Progress) -> None:
        """Write a line."""
        if sys.stderr is not None:
            sys.stderr.write(f"{self._what}: {progress}\n")

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """A bar on the terminal, drawn by rich."""

    every = _OFTEN

    def __init__(self, what: str) -> None:
        # rich comes with an extra and may be missing: a type checker cannot know it.
        rich: Any = import_module("rich.progress")
        console: Any = import_module("rich.console").Console(stderr=True)
        text = rich.TextColumn("{task.description}")
        state = rich.TextColumn("{task.fields[state]}")
        self._bar = rich.Progress(text, rich.BarColumn(), state, console=console, transient=False)
        self._task = self._bar.add_task(what, total=None, state="")
        self._bar.start()

    def show(self, progress: Progress) -> None:
        """Move the bar."""
        ended = progress.done + progress.failed
        state = str(progress)
        self._bar.update(self._task, completed=ended, total=progress.total, state=state)

    def close(self) -> None:
        """Leave the bar as it is, and give the terminal back."""
        self._bar.stop()


def drawing(what: str) -> Drawing:
    """Return a bar if there is a terminal and rich to draw it, lines otherwise."""
    if sys.stderr is not None and sys.stderr.isatty() and find_spec("rich") is not None:
        return Bar(what)
    return Lines(what)


class ProgressReporter:
    """Tells how far a run is, no oftener than one can take in.

    Args:
        what: What the run does, for people.
        callback: Whom to call.
        draw: Whether to show it to people.
        clock: Time.
    """

    def __init__(
        self,
        what: str,
        callback: Callable[[Progress], Awaitable[None] | None] | None,
        draw: bool,
        clock: Clock,
    ) -> None:
        self._what = what
        self._callback = callback
        self._draws = draw
        self._clock = clock
        self._drawing: Drawing | None = None
        self._called_at = self._shown_at = float("-inf")

    async def told(self, run: Told[O]) -> AsyncGenerator[O, None]:
        """Yield the outcomes of a run, and tell how far it is meanwhile."""
        wanted = self._draws or self._callback is not None
        try:
            async with aclosing(run.outcomes()) as outcomes:
                async for outcome in outcomes:
                    # First to the reader: if telling fails, the outcome is in somebody's hands.
                    yield outcome
                    if wanted:
                        await self._tell(run.progress())
            if wanted:
                await self._tell(run.progress(), last=True)
        finally:
            if self._drawing is not None:
                self._drawing.close()

    async def _tell(self, progress: Progress, *, last: bool = False) -> None:
        """Tell those whose turn it is; at the end, all."""
        now = self._clock.monotonic()
        if self._draws:
            self._show(progress, now, last=last)
        if self._callback is not None and (last or now - self._called_at >= _OFTEN):
            self._called_at = now
            answer = self._callback(progress)
            if isawaitable(answer):
                await answer

    def _show(self, progress: Progress, now: float, *, last: bool) -> None:
        self._drawing = self._drawing or drawing(self._what)
        if last or now - self._shown_at >= self._drawing.every:
            self._shown_at = now
            self._drawing.show(progress)
