"""The transport seam: scripted answers for the asynchronous and the blocking client."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from agentbay import AgentBay
from agentbay_async import (
    AsyncAgentBay,
    ConnectionLostError,
    HttpRequest,
    HttpResponse,
    MockTransport,
    RequestTimeoutError,
    RetryPolicy,
    SessionNotFoundError,
    ThrottledError,
    Transport,
)

_KEY = "the-secret-key"
_ONCE = RetryPolicy(attempts=1)


def _session(request: HttpRequest) -> HttpResponse:
    return HttpResponse.success({"SessionId": request.form["SessionId"], "Status": "RUNNING"})


async def test_a_client_sends_its_requests_through_the_transport() -> None:
    """The handler sees action, URL, form and time limit; no connection is opened."""
    transport = MockTransport(_session)
    async with AsyncAgentBay(_KEY, transport=transport, timeout=7) as bay:
        assert (await bay.get("s-1")).session.session_id == "s-1"
        assert not bay._api.pools._pools
    (request,) = transport.requests
    assert (request.action, request.method, request.timeout) == ("GetSession", "POST", 7)
    assert request.form == {"SessionId": "s-1"}
    assert request.query["Action"] == "GetSession"
    assert request.headers["x-acs-action"] == "GetSession"
    assert transport.closed


def test_the_blocking_client_takes_a_transport_too() -> None:
    """Its coroutines run on the client's loop."""

    async def answer(request: HttpRequest) -> HttpResponse:
        await anyio.lowlevel.checkpoint()
        return _session(request)

    transport = MockTransport(answer)
    with AgentBay(_KEY, transport=transport) as bay:
        assert bay.get("s-2").session.session_id == "s-2"
    assert transport.closed


async def test_failures_are_read_as_from_the_network() -> None:
    """Status, code, message and headers become the same typed errors."""
    response = HttpResponse.failure("InvalidMcpSession.NotFound", "gone")
    transport = MockTransport(lambda _: response)
    async with AsyncAgentBay(_KEY, transport=transport, retry=_ONCE) as bay:
        assert isinstance((await bay.get("s-1")).error, SessionNotFoundError)
        response = HttpResponse.failure("Busy", status=429, headers={"Retry-After": "3"})
        error = (await bay.get("s-1")).error
    assert isinstance(error, ThrottledError)
    assert error.retry_after == 3


async def test_errors_of_the_handler_are_retried_like_those_of_the_network() -> None:
    """A lost connection is an attempt; the next one succeeds."""
    lost = [ConnectionLostError("cut")]

    def answer(request: HttpRequest) -> HttpResponse:
        if lost:
            raise lost.pop()
        return _session(request)

    transport = MockTransport(answer)
    async with AsyncAgentBay(_KEY, transport=transport) as bay:
        assert (await bay.get("s-1")).success
    assert len(transport.requests) == 2


async def test_a_handler_that_never_answers_runs_into_the_time_limit() -> None:
    """As a service that never answers would."""

    async def answer(_request: HttpRequest) -> HttpResponse:
        await anyio.sleep_forever()
        raise AssertionError

    transport: Transport = MockTransport(answer)
    async with AsyncAgentBay(_KEY, transport=transport, timeout=0.01, retry=_ONCE) as bay:
        assert isinstance((await bay.get("s-1")).error, RequestTimeoutError)


async def test_the_key_is_not_shown() -> None:
    """Neither by the form of a request nor by its repr."""
    transport = MockTransport(_session)
    async with AsyncAgentBay(_KEY, transport=transport) as bay:
        await bay.get("s-1")
    (request,) = transport.requests
    assert _KEY in request.body.decode()
    assert _KEY not in repr(request) + repr(request.form) + request.url


@pytest.mark.parametrize("data", [None, [], {"a": 1}])
def test_a_response_without_data_has_no_data_key(data: object) -> None:
    """An action without an answer has no Data."""
    assert (b'"Data"' in HttpResponse.success(data).body) == (data is not None)
