"""Inputs of a bulk run: numbered, checked, and taken one at a time."""

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
        items: An iterable or an asynchronous iterable.
        check: Checks an item when it is taken, and returns the value to process. It may copy the
            item, so that later changes by the caller do not affect the run.
        name: The name of the argument, for error messages.

    Attributes:
        size: The number of inputs, or ``None`` if the iterable has no length.
        taken: How many were taken so far.
    """

    def __init__(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        check: Callable[[Any, str], I],
        name: str,
    ) -> None:
        self._check = check
        self._name = name
        self._iterator: Iterator[object] | None = None
        self._async_iterator: AsyncIterator[object] | None = None
        if isinstance(items, AsyncIterable):
            self._async_iterator = items.__aiter__()
        elif not isinstance(items, (str, bytes)) and hasattr(items, "__iter__"):
            self._iterator = iter(items)
        else:
            cure = f"write [{items!r}]" if isinstance(items, str) else "give a list"
            raise ArgumentTypeError(
                f"{name} must be iterable (also asynchronously), not {type(items).__name__}; {cure}"
            )
        self.size = len(items) if isinstance(items, Sized) else None
        self.taken = 0
        self._lock: Lock | None = None

    async def take(self) -> tuple[int, I] | None:
        """Return the index and the value of the next input, or ``None`` at the end."""
        # Without an await for a plain iterable: it is the common case, once for every session.
        item = await self._anext() if self._iterator is None else next(self._iterator, _END)
        if item is _END:
            return None
        index = self.taken
        checked = self._check(item, f"{self._name}[{index}]")
        self.taken += 1
        return index, checked

    async def _anext(self) -> object:
        # Imported here, because importing asyncio takes time and checks of arguments need none.
        from asyncio import Lock

        # An asynchronous generator raises RuntimeError if two tasks advance it at once.
        self._lock = self._lock or Lock()
        async with self._lock:
            if self._async_iterator is None:
                return _END
            try:
                return await self._async_iterator.__anext__()
            except StopAsyncIteration:
                self._async_iterator = None
                return _END

    async def aclose(self) -> None:
        """Take no more inputs, and run the clean-up of an asynchronous generator now."""
        self._iterator, closing, self._async_iterator = iter(()), self._async_iterator, None
        if isinstance(closing, AsyncGenerator):
            await closing.aclose()
