"""One deadline for all requests of one call, on a service that stops answering."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import AsyncAgentBay, Config, CreateSessionParams, HttpResponse, MockTransport
from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.deletion import delete_abandoned
from agentbay_async._lifecycle.shielding import GRACE
from agentbay_async.errors import RequestTimeoutError
from agentbay_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import InstantClock

    from agentbay_async import HttpRequest

    Call = Callable[[AsyncAgentBay, AsyncSession], Awaitable[object]]

_TIMEOUT, _DEADLINE = 2.0, 7.0
_ROUNDING = 0.1

_CALLS: dict[str, Call] = {
    "get": lambda bay, _: bay.get("s-1"),
    "create": lambda bay, _: bay.create(),
    "create with a key": lambda bay, _: bay.create(CreateSessionParams(idempotency_key="k")),
    "delete": lambda _, session: session.delete(timeout=5),
    "set labels": lambda _, session: session.set_labels({"a": "b"}),
    "sync": lambda _, session: session.context.sync(timeout=5),
}


class _Service:
    """Answers some requests, then none: each attempt lasts until its timeout."""

    def __init__(self, clock: InstantClock, answers: list[HttpResponse]) -> None:
        self._clock = clock
        self._answers = answers

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the next answer, or let the time of the request pass.

        Raises:
            RequestTimeoutError: There are no more answers.
        """
        if self._answers:
            self._clock.now += _TIMEOUT / 2
            return self._answers.pop(0)
        self._clock.now += request.timeout
        raise RequestTimeoutError("no answer")


def _client(clock: InstantClock, *answers: HttpResponse) -> AsyncAgentBay:
    config = Config(timeout_ms=int(_TIMEOUT * 1000), deadline=_DEADLINE)
    service = MockTransport(_Service(clock, list(answers)))
    return AsyncAgentBay("any-key", config, clock=clock, transport=service)


@pytest.mark.parametrize("name", _CALLS)
@pytest.mark.parametrize("answered", range(4))
async def test_no_call_lasts_longer_than_its_deadline(
    clock: InstantClock, name: str, answered: int
) -> None:
    """The look-ups that belong to it count, however many requests were answered before."""
    bay = _client(clock, *[HttpResponse.success({"SessionId": "s-1"})] * answered)
    began = clock.now
    await _CALLS[name](bay, AsyncSession(bay._api, "s-1"))
    assert clock.now - began <= _DEADLINE + _ROUNDING


async def test_a_create_without_time_for_a_look_up_says_that_a_session_may_exist(
    clock: InstantClock,
) -> None:
    """The attempt took all the time that there was."""
    config = Config(timeout_ms=7000, deadline=_DEADLINE)
    transport = MockTransport(_Service(clock, []))
    bay = AsyncAgentBay("any-key", config, clock=clock, transport=transport)
    result = await bay.create()
    assert isinstance(result.error, RequestTimeoutError)
    assert "unknown whether a session was created" in result.error.hint
    assert "no time left" in result.error.hint
    assert [request.action for request in transport.requests] == ["CreateMcpSession"]


async def test_the_reason_of_an_end_is_not_waited_for_beyond_the_deadline(
    clock: InstantClock,
) -> None:
    """The error comes without it."""
    gone = HttpResponse.failure("InvalidMcpSession.NotFound", "gone", status=400)
    config = Config(timeout_ms=int(_TIMEOUT * 1000), deadline=_TIMEOUT)
    transport = MockTransport(_Service(clock, [gone]))
    bay = AsyncAgentBay("any-key", config, clock=clock, transport=transport)
    began = clock.now
    result = await AsyncSession(bay._api, "s-1").info()
    assert result.error is not None
    assert result.error.code == "InvalidMcpSession.NotFound"
    assert clock.now - began <= _TIMEOUT + _ROUNDING


async def test_deleting_an_unheld_session_ends_with_its_grace(clock: InstantClock) -> None:
    """Although a call may last much longer."""
    transport = MockTransport(_Service(clock, []))
    config = Config(deadline=10 * GRACE)
    bay = AsyncAgentBay("any-key", config, clock=clock, transport=transport)
    began = clock.now
    try:
        assert await delete_abandoned(bay._api, "s-1", log=False) is not None
    finally:
        unheld.forget("s-1")
    assert clock.now - began <= GRACE + _ROUNDING


async def test_a_time_limit_is_not_rounded_up_to_whole_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As aiohttp does for those of 5 s and more, which would then end after the deadline."""
    loop, ends, is_limited = asyncio.get_running_loop(), [], asyncio.Event()
    call_at, began = loop.call_at, loop.time()

    def record(when: float, *call: Any, **options: Any) -> asyncio.TimerHandle:
        if when > began + 30:
            ends.append(when)
            is_limited.set()
        return call_at(when, *call, **options)

    monkeypatch.setattr(loop, "call_at", record)
    # Nobody accepts its connections, so no request is answered.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with AsyncAgentBay("any-key", endpoint=endpoint, timeout=60) as bay:
            getting = asyncio.create_task(bay.get("s-1"))
            await is_limited.wait()
            getting.cancel()
            await asyncio.wait([getting])
    assert [when for when in ends if when == int(when)] == []
