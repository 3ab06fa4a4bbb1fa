"""One blocking call: its value, error, context and traceback, and no garbage."""

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
    """An error that can be reference by a weak reference."""


async def _fail() -> None:
    await asyncio.sleep(0)
    raise _WatchedError


def test_call_returns_the_value_of_its_coroutine() -> None:
    """The same object, not a copy."""
    value = object()
    assert _portal.run(_echo(value)) is value


def test_calls_of_many_threads_do_not_mix() -> None:
    """Each of 32 threads gets its own results."""

    def ask(number: int) -> list[object]:
        return [_portal.run(_echo((number, step))) for step in range(20)]

    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(ask, range(32)))
    assert answers == [[(number, step) for step in range(20)] for number in range(32)]


def test_all_calls_share_one_daemon_thread() -> None:
    """A daemon thread does not keep the process alive."""

    async def here() -> threading.Thread:
        return threading.current_thread()

    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: _portal.run(here()), range(8)))
    assert len(found) == 1
    assert found.pop().daemon


def test_callers_context_variables_arrive() -> None:
    """The coroutine reads the value that its caller has set."""

    async def read() -> str:
        return _tenant.get()

    token = _tenant.set("blue")
    try:
        assert _portal.run(read()) == "blue"
    finally:
        _tenant.reset(token)


def test_error_keeps_the_line_that_raised_it() -> None:
    """The traceback leads from the caller to the failing coroutine in a few steps."""
    with pytest.raises(_WatchedError) as caught:
        _portal.run(_fail())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "_fail"
    assert len(names) <= 5


def test_error_leaves_no_garbage_cycle() -> None:
    """Its last reference frees an error, without the garbage collector."""
    gc.disable()
    try:
        try:
            _portal.run(_fail())
        except _WatchedError as error:
            reference = weakref.ref(error)
        # The loop drops its reference to the finished task before it runs the next call.
        _portal.run(_echo(None))
        assert reference() is None
    finally:
        gc.enable()


def test_cancellation_from_inside_is_an_ordinary_error() -> None:
    """A blocking caller has no task to cancel, so it gets `ClosedError`."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(ClosedError):
        _portal.run(cancelled())


def test_call_that_is_cancelled_at_once_still_cleans_up() -> None:
    """The coroutine takes its first step before it is cancelled."""
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


def test_callback_may_block() -> None:
    """It runs in a worker thread, where the blocking API works; its error is raised."""
    seen: list[object] = []

    def callback(value: object) -> None:
        seen.append(_portal.run(_echo(value)))
        raise LookupError("from the callback")

    async def calls_back() -> None:
        await _facade.in_worker(callback, callback, "callback")("hello")

    with pytest.raises(LookupError, match="from the callback"):
        _portal.run(calls_back())
    assert seen == ["hello"]
