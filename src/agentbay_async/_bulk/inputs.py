"""Where the inputs of a run come from: numbered, one at a time, and only when there is room."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentbay_async.errors import ArgumentTypeError

if TYPE_CHECKING:
    from asyncio import Lock
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

I = TypeVar("I")  # noqa: E741  # the customary name of an input

_END = object()


class Inputs(Generic[I]):
    """The inputs of one run.

    Args:
        items: An iterable, asynchronous or not.
        check: Looks at each item when it is pulled, and returns what to work on: whatever happens
            to the item afterwards, the run does not see it.
        name: What the argument is called.

    Attributes:
        size: How many there are, or ``None`` when only the end will tell.
        pulled: How many were taken so far.
    """

    def __init__(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        check: Callable[[Any, str], I],
        name: str,
    ) -> None:
        self._check = check
        self._name = name
        self._items: Iterator[object] | None = None
        self._later: AsyncIterator[object] | None = None
        if isinstance(items, AsyncIterable):
            self._later = items.__aiter__()
        elif not isinstance(items, (str, bytes)) and hasattr(items, "__iter__"):
            self._items = iter(items)
        else:
            raise ArgumentTypeError(
                f"{name} must be iterable (also asynchronously), not {type(items).__name__}"
            )
        self.size = len(items) if isinstance(items, Sized) else None
        self.pulled = 0
        self._turn: Lock | None = None

    async def take(self) -> tuple[int, I] | None:
        """Return the next input and its place, or ``None`` at the end."""
        item = await self._next() if self._items is None else next(self._items, _END)
        if item is _END:
            return None
        index = self.pulled
        checked = self._check(item, f"{self._name}[{index}]")
        self.pulled += 1
        return index, checked

    async def _next(self) -> object:
        from asyncio import Lock

        # An asynchronous generator cannot be asked twice at the same time.
        self._turn = self._turn or Lock()
        async with self._turn:
            if self._later is None:
                return _END
            try:
                return await self._later.__anext__()
            except StopAsyncIteration:
                self._later = None
                return _END

    async def aclose(self) -> None:
        """Take no more; an asynchronous generator cleans up now, not when it is collected."""
        self._items, later, self._later = iter(()), self._later, None
        if isinstance(later, AsyncGenerator):
            await later.aclose()
