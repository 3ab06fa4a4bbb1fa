"""Awaitables for methods whose plain call is enough, because the official client's are plain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator


class Later:
    """An awaitable that, unlike a coroutine, may be left alone without a warning.

    Args:
        make: Makes the coroutine that is awaited.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._make = make

    def __await__(self) -> Generator[Any, None, None]:
        return self._make().__await__()


async def nothing() -> None:
    """Return at once: what had to be done is done."""
