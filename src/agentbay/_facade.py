"""What generated classes are made of: one async object held, passed on, and handed back.

A facade never subclasses its async twin, it holds it. What a call answers was made for that answer,
so a new facade is put around it. What an object holds for good has one facade, kept beside it, so
``session.command is session.command``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from typing_extensions import ParamSpec

    P = ParamSpec("P")

A = TypeVar("A")
F = TypeVar("F", bound="Facade[Any]")
T = TypeVar("T")


class Facade(Generic[A]):
    """The base of all blocking classes.

    Args:
        aio: The object of `agentbay_async` that does the work.
    """

    __slots__ = ("__weakref__", "_aio", "_parts")

    _aio: A

    def __init__(self, aio: A) -> None:
        self._aio = aio
        self._parts: dict[int, Facade[Any]] = {}

    def __repr__(self) -> str:
        return repr(self._aio).replace(type(self._aio).__name__, type(self).__name__, 1)

    def __reduce__(self) -> tuple[Any, ...]:
        name = type(self).__name__
        raise TypeError(
            f"{name} cannot be pickled: it holds connections of this process; "
            "send its id, and get it again in the other process"
        )


def wrap(kind: type[F], aio: object) -> F:
    """Return a new facade of ``aio``."""
    facade = kind.__new__(kind)
    # Not by the constructor: those of subclasses would make a second async object.
    facade._aio = aio
    facade._parts = {}
    return facade


def part(owner: Facade[Any], kind: type[F], aio: object) -> F:
    """Return the facade of what ``owner`` holds for good: always the same one."""
    known = owner._parts.get(id(aio))
    if known is None:
        # Atomic: two threads that ask at once get the same one.
        known = owner._parts.setdefault(id(aio), wrap(kind, aio))
    return cast("F", known)


def unwrap(facade: Facade[A]) -> A:
    """Return the async object behind a facade.

    Whatever else a caller passes in its place goes on as it is: the async method refuses it with
    an error that names the argument.
    """
    return cast("A", getattr(facade, "_aio", facade))


def in_worker(callback: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let the async side await ``callback`` in a worker thread, where it may block."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        from asyncio import to_thread

        return await to_thread(callback, *args, **kwargs)

    # The workers of an engine run what awaits it on the loop that its blocking calls use.
    vars(call)["agentbay_run"] = _run
    return call


def _run(work: Coroutine[Any, Any, T]) -> T:
    from agentbay._portal import run

    return run(work)


def each(items: object) -> Any:
    """Let the async side read an iterable that may block, with the async objects in it.

    A list of plain values goes on as it is, and so does what cannot be iterated: the async method
    says what is wrong with that.
    """
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        return items
    if isinstance(items, Collection) and not any(isinstance(item, Facade) for item in items):
        return items
    return _pulled(items)


async def _pulled(items: Iterable[object]) -> AsyncIterator[object]:
    from asyncio import to_thread

    if isinstance(items, Collection):
        for item in items:
            yield unwrap(item) if isinstance(item, Facade) else item
        return
    source, end = iter(items), object()
    while (item := await to_thread(next, source, end)) is not end:
        yield unwrap(item) if isinstance(item, Facade) else item


async def awaiting(value: Awaitable[T]) -> T:
    """Make a coroutine of something that is merely awaitable."""
    return await value
