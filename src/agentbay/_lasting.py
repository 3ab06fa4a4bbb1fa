"""What lasts longer than one call: context managers and iterators.

Each is served by ONE task on the private loop from beginning to end, because timeouts, cancel
scopes and context variables of the async side belong to the task that opened them. The thread and
that task talk through an :class:`~agentbay._call.Answer` for each question.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentbay import _portal
from agentbay._call import Answer, Call
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

#: The most items that one hand-off carries. The first carries one, each next one twice as many,
#: so that whoever wants a single item does not have a second one fetched.
BATCH = 64


class _Lasting(Generic[S]):
    """A task on the portal that answers several questions before it ends."""

    def __init__(self, coroutine: Coroutine[Any, Any, S]) -> None:
        self._portal = _portal.current()
        self.call = Call(coroutine)

    def ask(self, answer: Answer[T], question: Callable[[], object] | None = None) -> T:
        """Begin the task if need be, ask it, and wait; an interrupt ends the whole task."""

        def on_loop(loop: AbstractEventLoop) -> None:
            self.call.start(loop)
            if question is not None:
                question()

        return self._portal.ask(self.call, on_loop, answer)

    def end(self) -> None:
        """Cancel the task, and wait for its clean-up."""
        self._portal.check_caller()
        self._portal.cancel(self.call)

    def drop(self) -> None:
        """Cancel the task without waiting. Fit for finalizers."""
        if not sys.is_finalizing():
            self._portal.post(self.call.stop)


class BlockingContext(Generic[S, T]):
    """A ``with`` statement around an asynchronous context manager.

    Args:
        manager: What is entered and left.
        present: Turns what was entered into what ``as`` names.
    """

    def __init__(
        self, manager: AbstractAsyncContextManager[S, bool | None], present: Callable[[S], T]
    ) -> None:
        self._stay = _Stay(manager)
        self._present = present

    def __enter__(self) -> T:
        self._task = _Lasting(self._stay.run())
        return self._present(self._task.ask(self._stay.entered))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        raised = (kind, error, traceback)
        return self._task.ask(self._task.call, lambda: self._stay.leave(raised))


class _Stay(Generic[S]):
    """The one task that enters a context manager, waits, and leaves it."""

    _left: Future[Raised]

    def __init__(self, manager: AbstractAsyncContextManager[S, bool | None]) -> None:
        self._manager = manager
        self.entered: Answer[S] = Answer()

    def leave(self, raised: Raised) -> None:
        """End the wait with what the body raised. On the loop's thread."""
        if not self._left.done():
            self._left.set_result(raised)

    async def run(self) -> bool:
        """Return whether the manager swallowed what the body raised."""
        from asyncio import get_running_loop

        self._left = get_running_loop().create_future()
        try:
            value = await self._manager.__aenter__()
        except BaseException as error:
            self.entered.fail(error)
            return False
        self.entered.give(value)
        try:
            raised = await self._left
        except BaseException:
            await self._manager.__aexit__(*sys.exc_info())
            raise
        return bool(await self._manager.__aexit__(*raised))


class BlockingIterator(Generic[T]):
    """Reads an asynchronous iterator from a blocking ``for`` loop.

    It is its own context manager; leaving it, or :meth:`close`, ends the asynchronous side at once.
    One thread at a time may read from it.

    Args:
        source: Where the items come from.
        present: Turns an item of the source into an item of this iterator.
        read_ahead: Whether items may be fetched that nobody will read, if the loop is left early.
    """

    def __init__(
        self, source: AsyncIterator[S], present: Callable[[S], T], *, read_ahead: bool = True
    ) -> None:
        self._pump: Pump[Any] = Pump(source)
        self._present: Callable[[Any], T] = present
        self._items: deque[T] = deque()
        self._task: _Lasting[None] | None = None
        self._most = 1
        self._batch = BATCH if read_ahead else 1
        self._closed = False
        self._turn = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._items and not self._closed:
            self._items.extend(map(self._present, self._more()))
        if not self._items:
            raise StopIteration
        return self._items.popleft()

    def _more(self) -> list[Any]:
        if not self._turn.acquire(blocking=False):
            raise BlockingCallError(
                "two threads read from one iterator at the same time; give each thread its own"
            )
        try:
            return self._ask()
        finally:
            self._turn.release()

    def _ask(self) -> list[Any]:
        answer: Answer[list[Any]] = Answer()
        most, self._most = self._most, min(self._most * 2, self._batch)
        if self._task is None:
            self._task = _Lasting(self._pump.run())
        return self._task.ask(answer, lambda: self._pump.ask(answer, most))

    def close(self) -> None:
        """Stop reading, and wait until the asynchronous side has cleaned up."""
        self._closed = True
        self._items.clear()
        if self._task is not None:
            self._task.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        # The collector may be running on the loop's own thread: a wait here would never end.
        if self._task is not None:
            self._task.drop()
