"""Failed answers and failed connections: typed errors, retries, deadlines."""

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
    OtherServerError,
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
async def test_the_code_of_a_failure_decides_the_error_class(
    bays: Bays, scripted: Script, code: str, status: int, kind: type[AgentBayError]
) -> None:
    """The error has the code, status, request id, session and message."""
    scripted.fail("GetSession", code, "the reason", status=status)
    error = await _failure(bays(retry=_ONCE))
    assert type(error) is kind
    assert (error.code, error.http_status) == (code, status)
    assert (error.request_id, error.session_id) == ("REQ-GetSession", "s-1")
    assert "the reason" in str(error)


async def test_a_result_has_the_attributes_of_its_error(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Code, status, request id and message."""
    scripted.fail("GetSession", "InvalidMcpSession.NotFound", "gone")
    result = await bay.get("s-1")
    assert (result.code, result.http_status_code) == ("InvalidMcpSession.NotFound", 400)
    assert result.request_id == result.get_request_id() == "REQ-GetSession"
    assert "gone" in result.error_message
    with pytest.raises(SessionNotFoundError):
        _ = result.session


@pytest.mark.parametrize("body", ["", "[]", "7", '{"Success": true, "Data": [1]}'])
async def test_an_answer_that_is_not_of_the_protocol_is_a_bad_answer(
    bays: Bays, scripted: Script, body: str
) -> None:
    """With HTTP 200, it is neither a success nor an error of the service."""
    scripted.raw("GetSession", body)
    error = await _failure(bays(retry=_ONCE))
    assert type(error) is BadAnswerError
    assert error.http_status == 200
    assert "GetSession" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"), [(503, ServiceError), (400, APIError), (429, ThrottledError)]
)
@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", '"unavailable"', "null"])
async def test_a_gateway_error_is_classified_by_its_status(
    bays: Bays, scripted: Script, status: int, kind: type[AgentBayError], body: str
) -> None:
    """Its body is not of the protocol."""
    scripted.raw("GetSession", body, status=status)
    error = await _failure(bays(retry=_ONCE))
    assert type(error) is kind
    assert error.http_status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<!DOCTYPE html><title>Grafana</title>"),
        (200, '{"version": "1.4"}'),
        (301, ""),
        (404, '{"detail": "Not Found"}'),
        (404, "404 page not found"),
        (405, "Method Not Allowed"),
        (501, "<html>Unsupported method ('POST')</html>"),
    ],
)
async def test_another_server_is_recognized_at_once(
    bays: Bays, scripted: Script, status: int, body: str
) -> None:
    """One request is enough; a create looks its session up, and waits for nothing."""
    for action in ("GetSession", "CreateMcpSession", "ListSession"):
        scripted.raw(action, body, status=status)
    bay = bays()
    error = await _failure(bay)
    assert type(error) is OtherServerError
    assert "Another server answers at http://127.0.0.1:" in str(error)
    assert type((await bay.create()).error) is OtherServerError
    assert scripted.actions == ["GetSession", "CreateMcpSession", "ListSession"]


async def test_a_foreign_page_from_a_known_endpoint_is_a_lost_answer(
    bays: Bays, scripted: Script
) -> None:
    """A proxy on the way has replaced one answer: the request is sent again."""
    bay = bays()
    scripted.ok("GetSession", {"SessionId": "s-1"})
    scripted.raw("GetSession", "<html>Please log in</html>")
    scripted.ok("GetSession", {"SessionId": "s-1"})
    for _ in range(2):
        (await bay.get("s-1")).unwrap()
    assert scripted.actions == ["GetSession"] * 3


async def test_a_truncated_answer_is_a_bad_answer(bays: Bays, scripted: Script) -> None:
    """Whatever its first half says."""
    scripted.truncate("GetSession")
    assert type(await _failure(bays(retry=_ONCE))) is BadAnswerError


async def test_a_connection_that_breaks_after_the_request_is_lost(
    bays: Bays, scripted: Script
) -> None:
    """The service may have acted on the request."""
    scripted.disconnect("GetSession")
    error = await _failure(bays(retry=_ONCE))
    assert type(error) is ConnectionLostError
    assert error.retryable


async def test_a_refused_connection_has_failed(bays: Bays, unused_port: int) -> None:
    """Nothing reached the service."""
    error = await _failure(bays(endpoint=f"http://127.0.0.1:{unused_port}", retry=_ONCE))
    assert type(error) is ConnectionFailedError
    assert "Connect" in str(error)


async def test_a_silent_service_runs_into_the_timeout(bays: Bays, scripted: Script) -> None:
    """The message has the timeout of the client."""
    scripted.hang("GetSession")
    error = await _failure(bays(timeout=0.05, retry=_ONCE))
    assert type(error) is RequestTimeoutError
    assert isinstance(error, TimeoutError)
    assert "0.05 s" in str(error)


@pytest.mark.parametrize("trouble", ["disconnect", "truncate", "hang"])
async def test_an_idempotent_request_is_retried(bays: Bays, scripted: Script, trouble: str) -> None:
    """A look-up may be sent twice, so the caller does not notice."""
    getattr(scripted, trouble)("GetSession")
    scripted.ok("GetSession", {"SessionId": "s-1"})
    result = await bays(timeout=0.2).get("s-1")
    assert result.success
    assert len(scripted.requests) == 2


@pytest.mark.parametrize("trouble", ["disconnect", "truncate", "hang"])
async def test_a_create_without_an_idempotency_key_is_not_retried_after_a_lost_answer(
    bays: Bays, scripted: Script, trouble: str
) -> None:
    """A second request could create a session that nobody would find."""
    getattr(scripted, trouble)("CreateMcpSession")
    result = await bays(timeout=0.2, cfg=Config(reserved_labels=False)).create()
    assert not result.success
    assert scripted.actions == ["CreateMcpSession"]


@pytest.mark.parametrize("trouble", ["disconnect", "truncate", "hang"])
async def test_a_tool_call_is_not_retried_after_a_lost_answer(
    session: AsyncSession, bays: Bays, scripted: Script, trouble: str
) -> None:
    """A command must not run twice."""
    getattr(scripted, trouble)("CallMcpTool")
    result = await session.call_mcp_tool("shell", {"command": "rm x"}, timeout=0.2)
    assert not result.success
    assert scripted.actions == ["CallMcpTool"]


async def test_a_throttled_create_is_retried(bay: AsyncAgentBay, scripted: Script) -> None:
    """The service did not act on it."""
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
async def test_a_throttled_client_waits_for_retry_after(
    bay: AsyncAgentBay,
    scripted: Script,
    clock: InstantClock,
    headers: dict[str, str],
    seconds: float,
) -> None:
    """Never shorter, and at most a little longer."""
    scripted.fail("GetSession", "Throttling", status=429, headers=headers)
    scripted.ok("GetSession", {"SessionId": "s-1"})
    assert (await bay.get("s-1")).success
    (slept,) = clock.sleeps
    assert seconds <= slept <= seconds + 0.2


async def test_a_wait_beyond_the_deadline_fails_at_once(
    bays: Bays, scripted: Script, clock: InstantClock
) -> None:
    """The error is raised without waiting."""
    scripted.fail("GetSession", "Throttling", status=429, headers={"Retry-After": "31"})
    result = await bays(cfg=Config(deadline=30)).get("s-1")
    assert isinstance(result.error, ThrottledError)
    assert result.error.retry_after == 31
    assert clock.sleeps == []


async def test_a_failed_service_may_set_retry_after(
    bay: AsyncAgentBay, scripted: Script, clock: InstantClock
) -> None:
    """With HTTP 503, too."""
    scripted.fail("GetSession", "ServiceUnavailable", status=503, headers={"Retry-After": "7"})
    scripted.ok("GetSession", {"SessionId": "s-1"})
    assert (await bay.get("s-1")).success
    (slept,) = clock.sleeps
    assert 7 <= slept <= 7.2


async def test_a_used_up_quota_is_not_retried(bay: AsyncAgentBay, scripted: Script) -> None:
    """Even if the answer has a Retry-After."""
    headers = {"Retry-After": "7"}
    scripted.fail("CreateMcpSession", "QuotaExceeded", status=429, headers=headers)
    result = await bay.create()
    assert isinstance(result.error, QuotaExceededError)
    assert not result.error.retryable
    assert result.error.retry_after == 7
    assert scripted.actions == ["CreateMcpSession"]


async def test_an_error_lists_its_attempts(
    bays: Bays, scripted: Script, clock: InstantClock
) -> None:
    """The failure of each attempt, and the pauses between them."""
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


async def test_the_retry_budget_limits_retries_in_an_outage(bays: Bays, scripted: Script) -> None:
    """Once the reserve is used up, only a share of the requests is retried."""
    scripted.fail("GetSession", "ServiceUnavailable", status=503)
    bay = bays(retry=RetryPolicy(attempts=4, reserve=5, budget=0.5))
    errors = [await _failure(bay) for _ in range(20)]
    assert len(scripted.requests) == pytest.approx(20 + 5 + 20 * 0.5, abs=1)
    assert "too many calls of this client failed" in str(errors[-1])


async def test_throttling_does_not_use_the_retry_budget(bays: Bays, scripted: Script) -> None:
    """The service itself says when to come back."""
    scripted.fail("GetSession", "Throttling", status=429)
    await _failure(bays(retry=RetryPolicy(attempts=4, reserve=0, budget=0)))
    assert len(scripted.requests) == 4


async def test_deletes_are_exempt_from_the_retry_budget(
    bays: Bays, scripted: Script, clock: InstantClock
) -> None:
    """A session that is left behind costs money."""
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


async def test_the_last_error_is_raised_after_all_attempts(
    bay: AsyncAgentBay, scripted: Script, clock: InstantClock
) -> None:
    """Four attempts, with three pauses between them."""
    scripted.fail("GetSession", "ServiceUnavailable", status=503)
    assert isinstance(await _failure(bay), ServiceError)
    assert (len(scripted.requests), len(clock.sleeps)) == (4, 3)


async def test_the_number_of_attempts_can_be_set(bays: Bays, scripted: Script) -> None:
    """By a RetryPolicy."""
    scripted.fail("GetSession", "ServiceUnavailable", status=503)
    await _failure(bays(retry=RetryPolicy(attempts=2)))
    assert len(scripted.requests) == 2


async def test_the_last_attempt_gets_no_more_time_than_the_deadline_leaves(
    bays: Bays, scripted: Script
) -> None:
    """All attempts share one deadline."""
    scripted.fail("GetSession", "Throttling", status=429, headers={"Retry-After": "9"})
    scripted.hang("GetSession")
    bay = bays(cfg=Config(deadline=9.1), timeout=9.1, retry=RetryPolicy(attempts=2, base=0))
    error = await _failure(bay)
    assert isinstance(error, RequestTimeoutError)
    assert "0.1 s" in str(error)


async def test_a_permanent_failure_is_not_retried(bay: AsyncAgentBay, scripted: Script) -> None:
    """Another attempt would fail in the same way."""
    scripted.fail("GetSession", "InvalidMcpSession.NotFound")
    await _failure(bay)
    assert scripted.actions.count("GetSession") == 1


async def test_numbers_of_the_wrong_type_in_the_envelope_are_a_bad_answer(
    bays: Bays, scripted: Script
) -> None:
    """Such as a page size that is a list, or infinite."""
    sizes: list[object] = [[], {}, float("inf")]
    for size in sizes:
        scripted.clear()
        scripted.raw("ListSession", json.dumps({"Success": True, "Data": [], "MaxResults": size}))
        result = await bays(retry=_ONCE).list()
        assert type(result.error) is BadAnswerError
