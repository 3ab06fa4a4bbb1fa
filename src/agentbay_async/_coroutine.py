"""A base for objects that can be awaited and iterated."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")


class AwaitableCoroutine(Coroutine[Any, Any, T]):
    """A coroutine as far as asyncio can tell.

    So ``asyncio.run``, ``create_task`` and task groups take it, which refuse other awaitables.
    Subclasses define ``__await__``; ``await`` uses that alone.
    """

    __slots__ = ("_running",)

    _running: Generator[Any, None, T]

    def send(self, value: Any) -> Any:
        """Run until the next suspension."""
        return self._generator().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception where it is suspended."""
        return self._generator().throw(*error)

    def close(self) -> None:
        """End it where it is suspended."""
        if hasattr(self, "_running"):
            self._running.close()

    def _generator(self) -> Generator[Any, None, T]:
        if not hasattr(self, "_running"):
            self._running = self.__await__()
        return self._running
