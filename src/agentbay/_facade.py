"""The base of the generated classes, and the conversions that their methods call.

A blocking object holds its async object and never subclasses its class: the two have different
protocols. A returned async object gets a new facade. An object that another one holds has one
facade, kept by its owner's facade, so ``session.command is session.command``.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from agentbay_async._check import is_coroutine_function
from agentbay_async.errors import ArgumentTypeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

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
        if type(self._aio).__repr__ is object.__repr__:
            return f"{type(self).__name__}()"
        return repr(self._aio).replace(type(self._aio).__name__, type(self).__name__, 1)

    def __eq__(self, other: object) -> bool:
        # A service's facade makes its own one for the session that the caller has as well.
        return type(other) is type(self) and other._aio is self._aio

    def __hash__(self) -> int:
        return hash((type(self), id(self._aio)))

    def __reduce__(self) -> tuple[Any, ...]:
        name = type(self).__name__
        raise TypeError(
            f"{name} cannot be pickled: it holds connections of this process; "
            "send its id, and get it again in the other process"
        )


def wrap(kind: type[F], aio: object) -> F:
    """Return a new facade for `aio`."""
    facade = kind.__new__(kind)
    # Without the constructor, because the one of a subclass would create a second async object.
    facade._aio = aio
    facade._parts = {}
    return facade


def part(owner: Facade[Any], kind: type[F], aio: object) -> F:
    """Return the facade of an object that `owner` holds: the same one each time."""
    # The facade keeps `aio` alive, so no other object can get its id.
    existing = owner._parts.get(id(aio))
    if existing is None:
        # `setdefault` is atomic: two threads that come here at once get the same facade.
        existing = owner._parts.setdefault(id(aio), wrap(kind, aio))
    return cast("F", existing)


def unwrap(facade: Facade[A]) -> A:
    """Return the async object of a facade.

    Anything else is returned as it is: the async method rejects it with an error that names the
    argument.
    """
    return cast("A", getattr(facade, "_aio", facade))


def in_worker(
    callback: Callable[P, T], function: object, name: str
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a coroutine function that runs `callback` in a worker thread, where it may block.

    Args:
        callback: Calls `function`, with blocking objects.
        function: What the user passed.
        name: The name of the argument, for error messages.

    Raises:
        ArgumentTypeError: `function` cannot be called, or is asynchronous.
    """
    if not callable(function):
        raise ArgumentTypeError(f"{name} must be a function, not {type(function).__name__}")
    if is_coroutine_function(function):
        raise _async_function_error(f"{name} must be a plain function, not an async one")

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        from asyncio import to_thread

        value = await to_thread(callback, *args, **kwargs)
        if isinstance(value, Coroutine):
            # A lambda may return the coroutine of an async function.
            value.close()
            raise _async_function_error(f"{name} must not return a coroutine")
        return value

    # A worker of Ray or Dask runs its tasks on this loop, because `callback` makes blocking calls
    # and a session's connections belong to one loop.
    vars(call)["agentbay_run"] = _run
    return call


def _async_function_error(message: str) -> ArgumentTypeError:
    return ArgumentTypeError(
        message, hint="Define it with `def`, or use the asynchronous package agentbay_async"
    )


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    from agentbay._portal import run

    return run(coroutine)


def each(items: object) -> Any:
    """Return an iterable for the async side, which may not block and needs async objects.

    A collection without blocking objects is returned as it is. So is a value that cannot be
    iterated: the async method rejects it with an error that names the argument.
    """
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        return items
    if isinstance(items, Collection) and not any(isinstance(item, Facade) for item in items):
        return items
    return _iterate(items)


async def _iterate(items: Iterable[object]) -> AsyncIterator[object]:
    from asyncio import to_thread

    if isinstance(items, Collection):
        for item in items:
            yield unwrap(item) if isinstance(item, Facade) else item
        return
    source, end = iter(items), object()
    while (item := await to_thread(next, source, end)) is not end:
        yield unwrap(item) if isinstance(item, Facade) else item


async def awaited(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call on the thread of the event loop, and await what it returns."""
    return await call()


async def as_coroutine(value: Awaitable[T]) -> T:
    """Return a coroutine for any awaitable; only a coroutine can run as a task."""
    return await value
