"""Awaitables and iterators that do more than those of the language."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from agentbay_async.errors import ArgumentTypeError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from typing_extensions import Self

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


class ClosingIterator(AsyncIterator[T], AwaitableCoroutine[NoReturn]):
    """An asynchronous iterator that is an asynchronous context manager, too.

    Leaving the block ends what the iterator does: a watch, code that runs, a run over many items.
    Without a block that happens at the end of the iteration, or by :meth:`aclose`.

    It cannot be awaited. It is a coroutine only for ``asyncio.run``, ``create_task`` and task
    groups, whose task then ends with an error that says to iterate.

    Args:
        source: The items.

    Example:
        ::

            async with session.file_system.watch("/workspace") as changes:
                async for change in changes:
                    print(change.path)
                    break
    """

    __slots__ = ("__weakref__", "_has_begun", "_source")

    def __init__(self, source: AsyncGenerator[T, None]) -> None:
        self._source = source
        self._has_begun = False

    def __await__(self) -> Generator[Any, None, NoReturn]:
        raise ArgumentTypeError(
            "this yields items one by one, and cannot be awaited or run as a task",
            hint="Iterate: `async for item in ...`, or `[item async for item in ...]`",
        )

    def __anext__(self) -> Awaitable[T]:
        self._has_begun = True
        return self._source.__anext__()

    def close(self) -> None:
        """Do nothing, as for a coroutine that was never run; :meth:`aclose` ends an iteration.

        Raises:
            UsageError: The iteration has begun.
        """
        if self._has_begun:
            raise UsageError("close() cannot end an iteration", hint="Use `await ....aclose()`")

    async def aclose(self) -> None:
        """End it. Repeatable."""
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.aclose()


class Later:
    """An awaitable that, unlike a coroutine, may be left alone without a warning.

    For methods whose plain call is enough, because those of the official client are plain.

    Args:
        make: Makes the coroutine that is awaited.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._make = make

    def __await__(self) -> Generator[Any, None, None]:
        return self._make().__await__()


async def nothing() -> None:
    """Return at once: what had to be done is done."""
