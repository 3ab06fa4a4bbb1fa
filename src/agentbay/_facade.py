"""What generated classes are made of: one async object held, passed on, and handed back.

A facade never subclasses its async twin, it holds it. One async object has one facade for as long
as somebody uses it, so ``session.command is session.command``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from weakref import WeakValueDictionary

from agentbay import _portal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from typing_extensions import ParamSpec

    P = ParamSpec("P")

A = TypeVar("A")
F = TypeVar("F", bound="Facade[Any]")
T = TypeVar("T")

#: Every facade in use, by the id of what it holds: it keeps that alive, so no id is used twice.
_known: WeakValueDictionary[int, Facade[Any]] = WeakValueDictionary()


class Facade(Generic[A]):
    """The base of all blocking classes.

    Args:
        aio: The object of `agentbay_async` that does the work.
    """

    __slots__ = ("__weakref__", "_aio")

    _aio: A

    def __init__(self, aio: A) -> None:
        self._aio = aio
        with _portal.current().lock:
            _known[id(aio)] = self

    def __repr__(self) -> str:
        return repr(self._aio).replace(type(self._aio).__name__, type(self).__name__, 1)

    def __reduce__(self) -> tuple[Any, ...]:
        name = type(self).__name__
        raise TypeError(
            f"{name} cannot be pickled: it holds connections of this process; "
            "send its id, and get it again in the other process"
        )


def wrap(kind: type[F], aio: object) -> F:
    """Return the facade of ``aio``: always the same one for the same object."""
    with _portal.current().lock:
        known = _known.get(id(aio))
        if known is None:
            known = kind.__new__(kind)
            # Subclasses have constructors of their own, which would make a second async object.
            cast("Any", Facade).__init__(known, aio)
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

    return call


async def awaiting(value: Awaitable[T]) -> T:
    """Make a coroutine of something that is merely awaitable."""
    return await value
