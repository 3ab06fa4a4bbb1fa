"""What one blocking call promises: value, error, context, traceback, and no litter."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentbay import _facade, _portal
from agentbay._call import Call
from agentbay_async.errors import ClosedError

_tenant: contextvars.ContextVar[str] = contextvars.ContextVar("_tenant")


async def _echo(value: object) -> object:
    await asyncio.sleep(0)
    return value


class _WatchedError(Exception):
    """An error that can be watched by a weak reference."""


async def _fail() -> None:
    await asyncio.sleep(0)
    raise _WatchedError


def test_a_call_returns_the_value_of_its_coroutine() -> None:
    """What the coroutine returns is what the caller gets, the very object."""
    value = object()
    assert _portal.run(_echo(value)) is value


def test_calls_of_many_threads_do_not_mix_when_they_run_side_by_side() -> None:
    """Each of dozens of threads gets its own answers."""

    def ask(number: int) -> list[object]:
        return [_portal.run(_echo((number, step))) for step in range(20)]

    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(ask, range(32)))
    assert answers == [[(number, step) for step in range(20)] for number in range(32)]


def test_all_calls_share_one_daemon_thread() -> None:
    """However many callers, there is one loop thread, and it keeps no process alive."""

    async def here() -> threading.Thread:
        return threading.current_thread()

    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: _portal.run(here()), range(8)))
    assert len(found) == 1
    assert found.pop().daemon


def test_the_callers_context_variables_arrive() -> None:
    """A coroutine sees what its caller has set."""

    async def read() -> str:
        return _tenant.get()

    token = _tenant.set("blue")
    try:
        assert _portal.run(read()) == "blue"
    finally:
        _tenant.reset(token)


def test_an_error_keeps_the_line_that_raised_it() -> None:
    """The traceback leads from the caller to the failing coroutine in a few steps."""
    with pytest.raises(_WatchedError) as caught:
        _portal.run(_fail())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "_fail"
    assert len(names) <= 5


def test_an_error_leaves_no_garbage_cycle() -> None:
    """An error dies with its last reference; no collector has to come for it."""
    gc.disable()
    try:
        try:
            _portal.run(_fail())
        except _WatchedError as error:
            watched = weakref.ref(error)
        # The loop lets go of the finished task on its own thread, at the latest before this.
        _portal.run(_echo(None))
        assert watched() is None
    finally:
        gc.enable()


def test_a_cancellation_from_inside_is_an_ordinary_error() -> None:
    """A blocking caller has no task to cancel: it hears of a closed loop instead."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(ClosedError):
        _portal.run(cancelled())


def test_a_call_that_is_stopped_at_once_still_cleans_up() -> None:
    """A cancel that arrives before the first step lets the coroutine begin, so that it can end."""
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    async def start_and_stop() -> None:
        loop = asyncio.get_running_loop()
        call.start(loop)
        call.cancel(loop)

    call = Call(work())
    _portal.run(start_and_stop())
    call.wait()
    assert cleaned == [True]


def test_a_callback_may_block() -> None:
    """Callbacks run in worker threads, where the blocking API works; errors come back."""
    seen: list[object] = []

    def callback(value: object) -> None:
        seen.append(_portal.run(_echo(value)))
        raise LookupError("from the callback")

    async def calls_back() -> None:
        await _facade.in_worker(callback)("hello")

    with pytest.raises(LookupError, match="from the callback"):
        _portal.run(calls_back())
    assert seen == ["hello"]
