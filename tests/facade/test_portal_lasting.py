"""Blocking iterators and context managers: one task each, order kept, ends in order."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agentbay._lasting import BATCH, BlockingContext, BlockingIterator
from agentbay_async.errors import BlockingCallError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Source:
    """Counts items, waits before some of them, and notes what is asked of it."""

    def __init__(self, size: int, page: int = 10) -> None:
        self.size = size
        self.page = page
        self.made = 0
        self.tasks: set[asyncio.Task[None] | None] = set()
        self.closed = False

    async def items(self) -> AsyncIterator[int]:
        try:
            while self.made < self.size:
                self.tasks.add(asyncio.current_task())
                if self.made % self.page == 0:
                    await asyncio.sleep(0)
                self.made += 1
                yield self.made
        finally:
            await asyncio.sleep(0)
            self.closed = True


@pytest.mark.parametrize("page", [1, 2, 7, 64, 1000])
def test_every_item_arrives_once_and_in_order(page: int) -> None:
    """Whatever the size of its pages, nothing of a source is lost, doubled or turned around."""
    source = _Source(1000, page)
    assert list(BlockingIterator(source.items(), str)) == [str(n + 1) for n in range(1000)]
    assert source.closed


def test_an_iterator_is_read_by_one_task() -> None:
    """Timeouts and cancel scopes of the source stay in the task that opened them."""
    source = _Source(100)
    list(BlockingIterator(source.items(), str))
    assert len(source.tasks) == 1


def test_the_first_item_does_not_make_the_source_work_ahead() -> None:
    """Whoever wants one item has one item made."""
    source = _Source(100)
    with BlockingIterator(source.items(), str) as items:
        next(items)
        assert source.made == 1


def test_items_that_are_ready_come_in_batches() -> None:
    """A source that need not wait is read ahead, up to a limit."""
    source = _Source(10_000, page=10_000)
    with BlockingIterator(source.items(), str) as items:
        for _ in range(BATCH * 2):
            next(items)
        read_ahead = source.made - BATCH * 2
    assert 0 < read_ahead <= BATCH


def test_closing_an_iterator_ends_its_source() -> None:
    """After close the source has cleaned up, and there are no more items."""
    source = _Source(100)
    items = BlockingIterator(source.items(), str)
    next(items)
    items.close()
    assert source.closed
    assert list(items) == []


def test_an_iterator_that_was_never_read_needs_no_end() -> None:
    """Nothing is begun before the first item is asked for."""
    source = _Source(100)
    BlockingIterator(source.items(), str).close()
    assert source.made == 0


def test_an_error_of_the_source_comes_after_its_items() -> None:
    """What was made before the error is handed over first; then there is nothing more."""

    async def items() -> AsyncIterator[int]:
        for number in range(10):
            yield number
        raise LookupError

    reading = BlockingIterator(items(), str)
    assert [next(reading) for _ in range(10)] == list("0123456789")
    with pytest.raises(LookupError):
        next(reading)
    assert list(reading) == []


def test_two_threads_cannot_read_from_one_iterator_at_the_same_time() -> None:
    """The second reader is refused, instead of taking the first one's answer."""
    begun, go_on = threading.Event(), threading.Event()

    async def items() -> AsyncIterator[int]:
        begun.set()
        await asyncio.to_thread(go_on.wait, 10)
        yield 1

    reading = BlockingIterator(items(), str)
    got: list[str] = []
    first = threading.Thread(target=lambda: got.extend(reading))
    first.start()
    assert begun.wait(10)
    with pytest.raises(BlockingCallError, match="two threads"):
        next(reading)
    go_on.set()
    first.join(10)
    assert got == ["1"]


class _Visits:
    """A context manager that notes how it is used."""

    def __init__(self, *, swallows: bool = False) -> None:
        self.swallows = swallows
        self.tasks: list[asyncio.Task[bool] | None] = []
        self.raised: object = None

    async def __aenter__(self) -> int:
        self.tasks.append(asyncio.current_task())
        return 7

    async def __aexit__(self, kind: object, error: object, traceback: object) -> bool:
        await asyncio.sleep(0)
        self.tasks.append(asyncio.current_task())
        self.raised = error
        return self.swallows


def test_a_context_is_entered_and_left_by_one_task() -> None:
    """Timeouts and cancel scopes that span the block stay in their task."""
    visits = _Visits()
    with BlockingContext(visits, str) as entered:
        assert entered == "7"
    assert len(visits.tasks) == 2
    assert len(set(visits.tasks)) == 1
    assert visits.raised is None


def test_a_context_hears_of_the_error_in_its_block() -> None:
    """The error of the block arrives, and goes on to the caller as it is."""
    visits, error = _Visits(), LookupError()
    with pytest.raises(LookupError) as caught, BlockingContext(visits, str):
        raise error
    assert visits.raised is error
    assert caught.value is error


def test_a_context_may_swallow_the_error_of_its_block() -> None:
    """A manager that returns true ends the matter."""
    visits = _Visits(swallows=True)
    with BlockingContext(visits, str):
        raise LookupError
    assert isinstance(visits.raised, LookupError)


def test_an_error_on_entering_reaches_the_caller() -> None:
    """A block whose manager cannot be entered never runs."""

    @asynccontextmanager
    async def manager() -> AsyncIterator[int]:
        await asyncio.sleep(0)
        if manager:
            raise LookupError
        yield 1

    with pytest.raises(LookupError), BlockingContext(manager(), str):
        pytest.fail("the block ran")


def test_an_error_on_leaving_reaches_the_caller() -> None:
    """A block without an error still hears that the end of it failed."""

    @asynccontextmanager
    async def manager() -> AsyncIterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError), BlockingContext(manager(), str):
        pass
