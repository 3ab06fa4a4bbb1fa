"""The asynchronous half of a blocking iterator: it collects items and hands them over in batches.

A hand-off to another thread costs about as much as thirty items of a batch, hence the batches.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from agentbay_async._lifecycle.delivery import NotDelivered

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from agentbay._call import BlockingFuture

T = TypeVar("T")


class Pump(Generic[T]):
    """Reads a source on request, inside one task.

    A batch ends at its limit, or when the source has to wait for its next item: an item that is
    there never waits for a later one. An empty batch means that the source has ended.
    """

    def __init__(self, source: AsyncIterator[T]) -> None:
        self._source = source
        self._items: list[T] = []
        self._batch: BlockingFuture[list[T]] | None = None
        self._delivered: BlockingFuture[list[T]] | None = None
        self._limit = 1
        self._requested: Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None

    def request(self, batch: BlockingFuture[list[T]], limit: int) -> None:
        """Request at most `limit` items. On the loop's thread."""
        self._batch, self._limit = batch, limit
        if self._ended:
            self._deliver()
        elif self._requested is not None and not self._requested.done():
            self._requested.set_result(None)

    async def run(self) -> None:
        """Collect until the source ends, then close it."""
        from asyncio import CancelledError

        try:
            await self._collect()
        except StopAsyncIteration:
            pass
        except CancelledError:
            # A new one: the traceback of the old one holds this object.
            self._error = CancelledError()
        except BaseException as error:
            self._error = error
        try:
            await self._close_source()
        finally:
            self._ended = True
            self._deliver()

    async def _collect(self) -> None:
        while True:
            if len(self._items) >= self._limit:
                self._deliver()
            if self._batch is None:
                await self._wait_for_request()
            item = await _NotifyOnWait(self._source.__anext__(), self._deliver_early)
            self._items.append(item)

    async def _wait_for_request(self) -> None:
        from asyncio import get_running_loop

        self._requested = get_running_loop().create_future()
        await self._requested

    async def _close_source(self) -> None:
        unread = self._delivered is not None and not self._delivered.was_read
        throw: Callable[[BaseException], Awaitable[object]] | None
        throw = getattr(self._source, "athrow", None)
        if unread and throw is not None:
            # Ctrl-C: the thread has stopped waiting.
            with suppress(NotDelivered, StopAsyncIteration):
                await throw(NotDelivered())
        close: Callable[[], Awaitable[None]] | None = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    def _deliver_early(self) -> None:
        if self._items:
            self._deliver()

    def _deliver(self) -> None:
        batch, self._batch = self._batch, None
        if batch is None:
            return
        # The items that came before an error are delivered first, the error with the next request.
        if self._error is not None and not self._items:
            error, self._error = self._error, None
            batch.set_exception(error)
        else:
            items, self._items = self._items, []
            self._delivered = batch
            batch.set_result(items)


class _NotifyOnWait(Generic[T]):
    """Awaits `step`, and calls `on_wait` each time it suspends.

    A coroutine can be resumed by hand, and every value that it yields is a wait for the loop. So
    this needs no second task, whose context variables and cancel scopes would differ.
    """

    def __init__(self, step: Awaitable[T], on_wait: Callable[[], None]) -> None:
        self._step = step
        self._on_wait = on_wait

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._step.__await__()
        advance = partial(steps.send, None)
        try:
            while True:
                waiting = advance()
                self._on_wait()
                try:
                    advance = partial(steps.send, (yield waiting))
                except BaseException as error:
                    advance = partial(steps.throw, error)
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            # It may hold an error whose traceback holds this frame.
            del advance
