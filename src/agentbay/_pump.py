"""The asynchronous half of a blocking iterator: collects items, hands them over in batches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from agentbay._call import Answer

T = TypeVar("T")


class Pump(Generic[T]):
    """Reads a source, on demand, inside one task.

    A batch ends when it is as long as was asked, or when the source has to wait for its next item:
    what is there already never waits for what is not. An empty batch says that the source is done.
    """

    def __init__(self, source: AsyncIterator[T]) -> None:
        self._source = source
        self._ready: list[T] = []
        self._answer: Answer[list[T]] | None = None
        self._most = 1
        self._asleep: Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None

    def ask(self, answer: Answer[list[T]], most: int) -> None:
        """Take the next question. On the loop's thread."""
        self._answer, self._most = answer, most
        if self._ended:
            self._deliver()
        elif self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

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
            if len(self._ready) >= self._most:
                self._deliver()
            if self._answer is None:
                await self._sleep()
            item = await _Watched(self._source.__anext__(), self._deliver_ready)
            self._ready.append(item)

    async def _sleep(self) -> None:
        from asyncio import get_running_loop

        self._asleep = get_running_loop().create_future()
        await self._asleep

    async def _close_source(self) -> None:
        close: Callable[[], Awaitable[None]] | None = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    def _deliver_ready(self) -> None:
        if self._ready:
            self._deliver()

    def _deliver(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if self._error is not None and not self._ready:
            error, self._error = self._error, None
            answer.fail(error)
        else:
            ready, self._ready = self._ready, []
            answer.give(ready)


class _Watched(Generic[T]):
    """Awaits ``step``, and calls ``on_wait`` whenever that has to wait for something."""

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
