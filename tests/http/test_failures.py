"""What becomes of answers that say no, and of no answer at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agentbay_async import (
    APIError,
    AsyncAgentBay,
    AuthenticationError,
    BadAnswerError,
    Config,
    ConnectionFailedError,
    ConnectionLostError,
    QuotaExceededError,
    RequestTimeoutError,
    RetryPolicy,
    ServiceError,
    SessionNotFoundError,
    ThrottledError,
)

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import AgentBayError, AsyncSession

pytestmark = pytest.mark.usefixtures("over_http")

_ONCE = RetryPolicy(attempts=1)


async def _failure(bay: AsyncAgentBay) -> AgentBayError:
    result = await bay.get("s-1")
    assert not result.success
    assert result.error is not None
    return result.error


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NOT_LOGIN", 400, AuthenticationError),
        ("InvalidMcpSession.NotFound", 400, SessionNotFoundError),
        ("InvalidMcpSession.NotFound", 200, SessionNotFoundError),
        ("Anything.Else", 400, APIError),
        ("Anything.Else", 200, APIError),
        ("Forbidden", 403, AuthenticationError),
        ("Throttling.User", 400, ThrottledError),
        ("QuotaExceeded", 400, QuotaExceededError),
        ("Session.QuotaExceeded", 429, QuotaExceededError),
        ("ServiceUnavailable", 503, ServiceError),
        ("Whatever", 500, ServiceError),
    ],
)
async def test_a_refusal_becomes_the_error_of_its_code(
    bays: Bays, scripted: Script, code: str, status: int, kind: type[AgentBayError]
) -> None:
    """Code, status, request id, session and words of the service are all in the error."""
    scripted.fail("GetSession", code, "the reason", status=status)
    error = await _failure(bays(retry=_ONCE))
    assert type(error) is kind
    assert (error.code, error.http_status) == (code, status)
    assert (error.request_id, error.session_id) == ("REQ-GetSession", "s-1")
    assert "the reason" in str(error)


async def test_a_result_repeats_the_facts_of_its_error(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Whoever never looks at the error finds the same facts in the result."""
    scripted.fail("GetSession", "InvalidMcpSession.NotFound", "gone")
    result = await bay.get("s-1")
    assert (result.code, result.http_status_code) == ("InvalidMcpSession.NotFound", 400)
    assert result.request_id == result.get_request_id() == "REQ-GetSession"
    assert "gone" in result.error_message
    with pytest.raises(SessionNotFoundError):
        _ = result.session


@pytest.mark.parametrize("body", ["", "<html>", "[]", "7", '{"Success": true, "Data": [1]}'])
async def test_an_answer_that_is_not_of_the_protocol_is_told_apart(
    bays: Bays, scripted: Script, body: str
) -> None:
    """HTTP 200 with something else in it is neither a success nor a refusal."""
    scripted.raw("GetSession", body)
    error = await _failure(bays(retry=_ONCE))
    assert type(error) is BadAnswerError
    assert error.http_status == 200
    assert "GetSession" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"), [(503, ServiceError), (404, APIError), (429, ThrottledError)]
)
@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", '"unavailable"', "null"])
async def test_an_error_of_a_gateway_counts_by_its_status(
    bays: Bays, scripted: Script, status: int, kind: type[AgentBayError], body: str
) -> None:
    """A proxy that does not speak the protocol still says by its status what is wrong."""
    scripted.raw("GetSession", body, status=status)
    error = await _failure(bays(retry=_ONCE))
    assert type(error) is kind
    assert error.http_status == status


async def test_an_answer_that_was_cut_short_is_not_read(bays: Bays, scripted: Script) -> None:
    """Half an answer is a bad answer, whatever its half says."""
    scripted.truncate("GetSession")
    assert type(await _failure(bays(retry=_ONCE))) is BadAnswerError


async def test_a_line_that_breaks_after_the_request_is_told_apart(
    bays: Bays, scripted: Script
) -> None:
    """The service had the request, so it may have acted on it."""
    scripted.disconnect("GetSession")
    error = await _failure(bays(retry=_ONCE))
    assert type(error) is ConnectionLostError
    assert error.retryable


async def test_a_port_where_nobody_listens_is_told_apart(bays: Bays, deaf_port: int) -> None:
    """No connection means that nothing reached the service."""
    error = await _failure(bays(endpoint=f"http://127.0.0.1:{deaf_port}", retry=_ONCE))
    assert type(error) is ConnectionFailedError
    assert "Connect" in str(error)


async def test_a_service_that_says_nothing_is_given_up(bays: Bays, scripted: Script) -> None:
    """The time limit of the client ends the wait, and the message says which it was."""
    scripted.hang("GetSession")
    error = await _failure(bays(timeout=0.05, retry=_ONCE))
    assert type(error) is RequestTimeoutError
    assert isinstance(error, TimeoutError)
    assert "0.05 s" in str(error)


@pytest.mark.parametrize("trouble", ["disconnect", "truncate", "hang"])
async def test_a_repeatable_request_is_sent_again(
    bays: Bays, scripted: Script, trouble: str
) -> None:
    """Looking a session up twice does no harm, so a hiccup of the network is not seen."""
    getattr(scripted, trouble)("GetSession")
    scripted.ok("GetSession", {"SessionId": "s-1"})
    result = await bays(timeout=0.2).get("s-1")
    assert result.success
    assert len(scripted.requests) == 2


@pytest.mark.parametrize("trouble", ["disconnect", "truncate", "hang"])
async def test_a_create_without_an_intent_is_not_sent_again_when_it_may_have_been_acted_on(
    bays: Bays, scripted: Script, trouble: str
) -> None:
    """A second request could make a second session that nobody could find."""
    getattr(scripted, trouble)("CreateMcpSession")
    result = await bays(timeout=0.2, cfg=Config(reserved_labels=False)).create()
    assert not result.success
    assert scripted.actions == ["CreateMcpSession"]


@pytest.mark.parametrize("trouble", ["disconnect", "truncate", "hang"])
async def test_a_tool_call_is_not_sent_again_when_it_may_have_been_acted_on(
    session: AsyncSession, bays: Bays, scripted: Script, trouble: str
) -> None:
    """A command must not run twice because its answer was lost."""
    getattr(scripted, trouble)("CallMcpTool")
    result = await session.call_mcp_tool("shell", {"command": "rm x"}, timeout=0.2)
    assert not result.success
    assert scripted.actions == ["CallMcpTool"]


async def test_a_throttled_create_is_sent_again(bay: AsyncAgentBay, scripted: Script) -> None:
    """What was turned away unread may be repeated, whatever it is."""
    scripted.fail("CreateMcpSession", "Throttling.User")
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    assert (await bay.create()).session.session_id == "s-1"
    assert len(scripted.requests) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"x-acs-retry-after": "2500"}, 2.5),
        ({"x-acs-retry-after": "1500", "Retry-After": "60"}, 1.5),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:29 GMT"}, 9.0),
    ],
)
async def test_a_throttled_client_waits_as_long_as_it_is_told(
    bay: AsyncAgentBay,
    scripted: Script,
    clock: InstantClock,
    headers: dict[str, str],
    seconds: float,
) -> None:
    """Never earlier than asked for, and at most a little later."""
    scripted.fail("GetSession", "Throttling", status=429, headers=headers)
    scripted.ok("GetSession", {"SessionId": "s-1"})
    assert (await bay.get("s-1")).success
    (slept,) = clock.sleeps
    assert seconds <= slept <= seconds + 0.2


async def test_a_wait_beyond_the_deadline_is_not_begun(
    bays: Bays, scripted: Script, clock: InstantClock
) -> None:
    """Whoever is told to come back too late hears of it at once."""
    scripted.fail("GetSession", "Throttling", status=429, headers={"Retry-After": "31"})
    result = await bays(cfg=Config(deadline=30)).get("s-1")
    assert isinstance(result.error, ThrottledError)
    assert result.error.retry_after == 31
    assert clock.sleeps == []


async def test_a_service_that_failed_is_waited_for_as_long_as_it_asks(
    bay: AsyncAgentBay, scripted: Script, clock: InstantClock
) -> None:
    """A service that is not well may say when to come back, too."""
    scripted.fail("GetSession", "ServiceUnavailable", status=503, headers={"Retry-After": "7"})
    scripted.ok("GetSession", {"SessionId": "s-1"})
    assert (await bay.get("s-1")).success
    (slept,) = clock.sleeps
    assert 7 <= slept <= 7.2


async def test_a_full_account_is_not_asked_again(bay: AsyncAgentBay, scripted: Script) -> None:
    """Slow down and no more are different things, also where a time to wait is named."""
    headers = {"Retry-After": "7"}
    scripted.fail("CreateMcpSession", "QuotaExceeded", status=429, headers=headers)
    result = await bay.create()
    assert isinstance(result.error, QuotaExceededError)
    assert not result.error.retryable
    assert result.error.retry_after == 7
    assert scripted.actions == ["CreateMcpSession"]


async def test_an_error_tells_each_attempt(
    bays: Bays, scripted: Script, clock: InstantClock
) -> None:
    """How often it was sent, what failed each time, and how long was waited between."""
    scripted.fail("GetSession", "Throttling", status=429, headers={"Retry-After": "3"})
    scripted.fail("GetSession", "ServiceUnavailable", status=503)
    began = clock.now
    error = await _failure(bays(retry=RetryPolicy(attempts=2)))
    first, second = error.attempts
    assert (first.number, second.number) == (1, 2)
    assert (first.started, first.duration, first.waited) == (began, 0, clock.sleeps[0])
    assert second.started == began + clock.sleeps[0]
    assert "ThrottledError" in first.failure
    lines = error.explain().splitlines()
    assert lines[0].startswith("ServiceError: GetSession")
    assert "request REQ-GetSession" in lines[1]
    assert f"then waited {clock.sleeps[0]:.2f} s" in lines[2]
    assert "attempt 2: ServiceError" in lines[3]
    assert "waited" not in lines[3]


async def test_an_outage_is_not_answered_by_a_storm(bays: Bays, scripted: Script) -> None:
    """Once what was saved is used up, only a share of the requests is sent again."""
    scripted.fail("GetSession", "ServiceUnavailable", status=503)
    bay = bays(retry=RetryPolicy(attempts=4, reserve=5, budget=0.5))
    errors = [await _failure(bay) for _ in range(20)]
    assert len(scripted.requests) == pytest.approx(20 + 5 + 20 * 0.5, abs=1)
    assert "too many calls of this client failed" in str(errors[-1])


async def test_throttling_costs_nothing_of_what_was_saved(bays: Bays, scripted: Script) -> None:
    """The service is well, and says itself when to come back."""
    scripted.fail("GetSession", "Throttling", status=429)
    await _failure(bays(retry=RetryPolicy(attempts=4, reserve=0, budget=0)))
    assert len(scripted.requests) == 4


async def test_a_clean_up_is_not_held_back_by_an_outage(
    bays: Bays, scripted: Script, clock: InstantClock
) -> None:
    """Whoever saves on deletes pays for sessions."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    scripted.fail("DeleteSessionAsync", "ServiceUnavailable", status=503)
    scripted.ok("DeleteSessionAsync")
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})
    bay = bays(retry=RetryPolicy(attempts=4, reserve=0, budget=0))
    with pytest.raises(LookupError):
        async with bay.session():
            raise LookupError
    assert scripted.actions[-3:] == ["DeleteSessionAsync"] * 2 + ["GetSessionDetail"]
    assert sum(clock.sleeps) <= 0.2


async def test_attempts_end_when_they_are_used_up(
    bay: AsyncAgentBay, scripted: Script, clock: InstantClock
) -> None:
    """Four attempts, three waits between them, and then the error of the last."""
    scripted.fail("GetSession", "ServiceUnavailable", status=503)
    assert isinstance(await _failure(bay), ServiceError)
    assert (len(scripted.requests), len(clock.sleeps)) == (4, 3)


async def test_attempts_can_be_chosen(bays: Bays, scripted: Script) -> None:
    """A policy of the caller's decides how often a request is sent."""
    scripted.fail("GetSession", "ServiceUnavailable", status=503)
    await _failure(bays(retry=RetryPolicy(attempts=2)))
    assert len(scripted.requests) == 2


async def test_the_last_attempt_gets_no_more_time_than_the_deadline_leaves(
    bays: Bays, scripted: Script
) -> None:
    """Attempts share one deadline: a hanging second attempt ends with it."""
    scripted.fail("GetSession", "Throttling", status=429, headers={"Retry-After": "9"})
    scripted.hang("GetSession")
    bay = bays(cfg=Config(deadline=9.1), timeout=9.1, retry=RetryPolicy(attempts=2, base=0))
    error = await _failure(bay)
    assert isinstance(error, RequestTimeoutError)
    assert "0.1 s" in str(error)


async def test_a_refusal_for_good_is_not_sent_again(bay: AsyncAgentBay, scripted: Script) -> None:
    """What the service says no to it will say no to again."""
    scripted.fail("GetSession", "InvalidMcpSession.NotFound")
    await _failure(bay)
    assert scripted.actions.count("GetSession") == 1


async def test_numbers_of_the_wrong_type_in_the_envelope_are_a_bad_answer(
    bays: Bays, scripted: Script
) -> None:
    """A page whose size is a list, or infinite, is no page of ours."""
    sizes: list[object] = [[], {}, float("inf")]
    for size in sizes:
        scripted.clear()
        scripted.raw("ListSession", json.dumps({"Success": True, "Data": [], "MaxResults": size}))
        result = await bays(retry=_ONCE).list()
        assert type(result.error) is BadAnswerError
