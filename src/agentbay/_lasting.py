"""Context managers and iterators: async operations that last longer than one call.

One task on the private loop serves each of them from beginning to end, because timeouts, cancel
scopes and context variables of the async side belong to the task that opened them. The thread
sends requests to that task, and waits for a `BlockingFuture` after each.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentbay import _portal
from agentbay._call import BlockingFuture, Call
from agentbay._pump import Pump
from agentbay_async.errors import BlockingCallError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from typing_extensions import Self

    Raised = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

T = TypeVar("T")
S = TypeVar("S")

#: The most items of one hand-off. The first carries one item, and each next one twice as many: a
#: program that wants a single item does not fetch a second one, and long streams cost little.
BATCH = 64


class _PortalTask(Generic[S]):
    """A task on the portal that serves several requests before it ends."""

    def __init__(self, coroutine: Coroutine[Any, Any, S]) -> None:
        self._portal = _portal.current()
        self.call = Call(coroutine)

    def request(self, future: BlockingFuture[T], callback: Callable[[], object] | None = None) -> T:
        """Start the task if needed, run `callback` on the loop, and wait for `future`.

        An interrupt of the wait ends the whole task.
        """

        def on_loop(loop: AbstractEventLoop) -> None:
            self.call.start(loop)
            if callback is not None:
                callback()

        return self._portal.request(self.call, on_loop, future)

    def cancel(self) -> None:
        """Cancel the task, and wait for its clean-up."""
        self._portal.check_caller()
        self._portal.cancel(self.call)

    def cancel_nowait(self) -> None:
        """Cancel the task without waiting, for finalizers."""
        if not sys.is_finalizing():
            self._portal.try_submit(self.call.cancel)


class BlockingContext(Generic[S, T]):
    """A ``with`` statement around an async context manager.

    Args:
        manager: The async context manager.
        convert: Converts what the manager returns to what ``as`` names.
    """

    def __init__(
        self, manager: AbstractAsyncContextManager[S, bool | None], convert: Callable[[S], T]
    ) -> None:
        self._context = _EnteredContext(manager)
        self._convert = convert

    def __enter__(self) -> T:
        self._task = _PortalTask(self._context.run())
        return self._convert(self._task.request(self._context.entered))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        raised = (kind, error, traceback)
        return self._task.request(self._task.call, lambda: self._context.leave(raised))


class _EnteredContext(Generic[S]):
    """The coroutine that enters a context manager, waits for the end of the block, and leaves."""

    _left: Future[Raised]

    def __init__(self, manager: AbstractAsyncContextManager[S, bool | None]) -> None:
        self._manager = manager
        self.entered: BlockingFuture[S] = BlockingFuture()

    def leave(self, raised: Raised) -> None:
        """End the wait with the exception of the block. On the loop's thread."""
        if not self._left.done():
            self._left.set_result(raised)

    async def run(self) -> bool:
        """Return whether the manager suppressed the exception of the block."""
        from asyncio import get_running_loop

        self._left = get_running_loop().create_future()
        try:
            value = await self._manager.__aenter__()
        except BaseException as error:
            self.entered.set_exception(error)
            return False
        self.entered.set_result(value)
        try:
            raised = await self._left
        except BaseException:
            # Cancelled: by a Ctrl-C, or because the portal was closed during the block.
            await self._manager.__aexit__(*sys.exc_info())
            raise
        return bool(await self._manager.__aexit__(*raised))


class BlockingIterator(Generic[T]):
    """A blocking iterator over an asynchronous source.

    It is a context manager too: leaving it, or `close`, ends the asynchronous side at once. One
    thread at a time may read from it.

    Args:
        source: The source of the items.
        convert: Converts an item of the source to an item of this iterator.
        read_ahead: Whether to fetch items that nobody reads if the loop ends early.
    """

    def __init__(
        self, source: AsyncIterator[S], convert: Callable[[S], T], *, read_ahead: bool = True
    ) -> None:
        self._pump: Pump[Any] = Pump(source)
        self._convert: Callable[[Any], T] = convert
        self._items: deque[T] = deque()
        self._task: _PortalTask[None] | None = None
        self._limit = 1
        self._batch = BATCH if read_ahead else 1
        self._closed = False
        self._reading = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._items and not self._closed:
            self._items.extend(map(self._convert, self._fetch()))
        if not self._items:
            raise StopIteration
        return self._items.popleft()

    def _fetch(self) -> list[Any]:
        # Two requests at once would overwrite each other, and one thread would wait for ever.
        if not self._reading.acquire(blocking=False):
            raise BlockingCallError(
                "two threads read from one iterator at the same time; give each thread its own"
            )
        try:
            return self._request()
        finally:
            self._reading.release()

    def _request(self) -> list[Any]:
        future: BlockingFuture[list[Any]] = BlockingFuture()
        limit, self._limit = self._limit, min(self._limit * 2, self._batch)
        if self._task is None:
            self._task = _PortalTask(self._pump.run())
        return self._task.request(future, lambda: self._pump.request(future, limit))

    def close(self) -> None:
        """Stop reading, and wait until the asynchronous side has cleaned up."""
        self._closed = True
        self._items.clear()
        if self._task is not None:
            self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        # The garbage collector may run on the loop's own thread, where a wait would never end.
        # That is also why this is a class: the `finally` of a generator would have to wait.
        if self._task is not None:
            self._task.cancel_nowait()
