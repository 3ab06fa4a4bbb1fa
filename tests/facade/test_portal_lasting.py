"""Blocking iterators and context managers: one task each, in order, with clean-up."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agentbay._call import BlockingFuture
from agentbay._lasting import BATCH, BlockingContext, BlockingIterator
from agentbay._pump import Pump
from agentbay_async._lifecycle.delivery import NotDelivered
from agentbay_async.errors import BlockingCallError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Source:
    """Yields numbers, waits before some of them, and records how it is used."""

    def __init__(self, size: int, page: int = 10) -> None:
        self.size = size
        self.page = page
        self.count = 0
        self.tasks: set[asyncio.Task[None] | None] = set()
        self.closed = False

    async def items(self) -> AsyncIterator[int]:
        try:
            while self.count < self.size:
                self.tasks.add(asyncio.current_task())
                if self.count % self.page == 0:
                    await asyncio.sleep(0)
                self.count += 1
                yield self.count
        finally:
            await asyncio.sleep(0)
            self.closed = True


@pytest.mark.parametrize("page", [1, 2, 7, 64, 1000])
def test_every_item_arrives_once_and_in_order(page: int) -> None:
    """For all sizes of pages."""
    source = _Source(1000, page)
    assert list(BlockingIterator(source.items(), str)) == [str(n + 1) for n in range(1000)]
    assert source.closed


def test_iterator_is_read_by_one_task() -> None:
    """Timeouts and cancel scopes of the source stay in the task that opened them."""
    source = _Source(100)
    list(BlockingIterator(source.items(), str))
    assert len(source.tasks) == 1


def test_first_item_does_not_read_ahead() -> None:
    """A program that needs one item fetches one item."""
    source = _Source(100)
    with BlockingIterator(source.items(), str) as items:
        next(items)
        assert source.count == 1


def test_items_that_are_ready_come_in_batches() -> None:
    """A source that does not wait is read ahead, up to a limit."""
    source = _Source(10_000, page=10_000)
    with BlockingIterator(source.items(), str) as items:
        for _ in range(BATCH * 2):
            next(items)
        read_ahead = source.count - BATCH * 2
    assert 0 < read_ahead <= BATCH


def test_closing_an_iterator_ends_its_source() -> None:
    """After close the source has cleaned up, and there are no more items."""
    source = _Source(100)
    items = BlockingIterator(source.items(), str)
    next(items)
    items.close()
    assert source.closed
    assert list(items) == []


def test_unread_iterator_starts_nothing() -> None:
    """The source starts with the first item."""
    source = _Source(100)
    BlockingIterator(source.items(), str).close()
    assert source.count == 0


def test_error_of_the_source_comes_after_its_items() -> None:
    """The items from before the error are delivered first; after it there are none."""

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
    """The second thread gets an error, and the first one its items."""
    started, proceed = threading.Event(), threading.Event()

    async def items() -> AsyncIterator[int]:
        started.set()
        await asyncio.to_thread(proceed.wait, 60)
        yield 1

    reading = BlockingIterator(items(), str)
    got: list[str] = []
    first = threading.Thread(target=lambda: got.extend(reading))
    first.start()
    assert started.wait(60)
    with pytest.raises(BlockingCallError, match="two threads"):
        next(reading)
    proceed.set()
    first.join(60)
    assert got == ["1"]


class _Manager:
    """A context manager that records how it is used."""

    def __init__(self, *, suppresses: bool = False) -> None:
        self.suppresses = suppresses
        self.tasks: list[asyncio.Task[bool] | None] = []
        self.raised: object = None

    async def __aenter__(self) -> int:
        self.tasks.append(asyncio.current_task())
        return 7

    async def __aexit__(self, kind: object, error: object, traceback: object) -> bool:
        await asyncio.sleep(0)
        self.tasks.append(asyncio.current_task())
        self.raised = error
        return self.suppresses


@pytest.mark.parametrize("was_read", [True, False])
def test_source_is_told_of_an_item_that_the_thread_did_not_take(was_read: bool) -> None:
    """After a Ctrl-C the thread waits no longer, although the item may be ready."""
    ends: list[type[BaseException]] = []

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
        except GeneratorExit as end:
            ends.append(type(end))
            raise

    async def interrupt() -> None:
        pump = Pump(items())
        batch: BlockingFuture[list[int]] = BlockingFuture()
        pump.request(batch, 1)
        task = asyncio.create_task(pump.run())
        await asyncio.to_thread(batch.wait)
        if was_read:
            assert batch.result() == [1]
        task.cancel()
        await task

    asyncio.run(interrupt())
    assert ends == [GeneratorExit if was_read else NotDelivered]


def test_context_is_entered_and_left_by_one_task() -> None:
    """Timeouts and cancel scopes that span the block stay in their task."""
    manager = _Manager()
    with BlockingContext(manager, str) as entered:
        assert entered == "7"
    assert len(manager.tasks) == 2
    assert len(set(manager.tasks)) == 1
    assert manager.raised is None


def test_context_gets_the_error_of_its_block() -> None:
    """The caller gets the same error."""
    manager, error = _Manager(), LookupError()
    with pytest.raises(LookupError) as caught, BlockingContext(manager, str):
        raise error
    assert manager.raised is error
    assert caught.value is error


def test_context_can_suppress_the_error_of_its_block() -> None:
    """By returning true, as any context manager."""
    manager = _Manager(suppresses=True)
    with BlockingContext(manager, str):
        raise LookupError
    assert isinstance(manager.raised, LookupError)


def test_error_on_entering_reaches_the_caller() -> None:
    """The block does not run."""

    @asynccontextmanager
    async def manager() -> AsyncIterator[int]:
        await asyncio.sleep(0)
        if manager:
            raise LookupError
        yield 1

    with pytest.raises(LookupError), BlockingContext(manager(), str):
        pytest.fail("the block ran")


def test_error_on_leaving_reaches_the_caller() -> None:
    """Also if the block itself raised nothing."""

    @asynccontextmanager
    async def manager() -> AsyncIterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError), BlockingContext(manager(), str):
        pass
