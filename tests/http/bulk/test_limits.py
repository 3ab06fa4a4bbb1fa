"""Budgets, and the rate that the processes of a host share, are checked before a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AgentBayError,
    Budget,
    BudgetExceededError,
    Config,
    ConfigurationError,
    CreateSessionParams,
    HttpResponse,
)
from agentbay_async._bulk.host_rate import HostBucket, host_bucket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

PARAMS = CreateSessionParams()


def _config(scripted: Script, **settings: Any) -> dict[str, Any]:
    return {"cfg": Config(endpoint=scripted.endpoint, **settings), "endpoint": None}


async def test_a_budget_of_sessions_rejects_before_the_request(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """Seven may be created; no client sends a request for the eighth."""
    budget = Budget(max_sessions=7)
    bay, other = (bays(**_config(scripted, budget=budget)) for _ in range(2))
    result = await bay.create_many(PARAMS, 10)
    assert (result.done, service.requested, budget.sessions) == (7, 7, 7)
    assert {type(error) for error in result.failures.values()} == {BudgetExceededError}
    error = (await other.create()).error
    assert isinstance(error, BudgetExceededError)
    assert "budget of 7 sessions is spent" in str(error)
    assert not error.retryable


async def test_rejected_creates_do_not_count_against_the_budget(
    bays: Bays, service: FakeService, scripted: Script
) -> None:
    """The budget limits sessions, not attempts."""
    service.fail_with = lambda number: HttpResponse.failure("QuotaExceeded") if number < 5 else None
    bay = bays(**_config(scripted, budget=Budget(max_sessions=5)))
    result = await bay.create_many(PARAMS, 10, max_concurrency=1)
    assert (result.done, result.failed) == (5, 5)


async def test_a_budget_of_hours_counts_until_a_session_is_deleted(
    bays: Bays, service: FakeService, scripted: Script, clock: InstantClock
) -> None:
    """Two sessions for half an hour are one hour; what is deleted counts no longer."""
    budget = Budget(max_session_hours=1.5)
    bay = bays(**_config(scripted, budget=budget))
    first, second = (await bay.create_many(PARAMS, 2)).sessions
    clock.now += 1800
    assert budget.session_hours(clock.now) == pytest.approx(1.0)
    assert (await first.delete()).success
    assert (await bay.create()).success
    clock.now += 900
    assert budget.session_hours(clock.now) == pytest.approx(1.5)
    assert isinstance((await bay.create()).error, BudgetExceededError)
    assert (await second.delete()).success
    assert service.created == 3


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"max_sessions": 0},
        {"max_session_hours": -1},
        {"max_session_hours": float("inf")},
        {"max_session_hours": "8"},
    ],
)
def test_an_invalid_budget_is_rejected(arguments: dict[str, Any]) -> None:
    """At once; the message names the argument."""
    with pytest.raises(AgentBayError, match="max_session"):
        Budget(**arguments)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": 5}, "budget must be a Budget"),
        ({"host_limit": 0}, "host_limit must be above 0"),
        ({"host_limit": "fast"}, "host_limit must be a number"),
    ],
)
def test_invalid_settings_are_rejected(
    bays: Bays, scripted: Script, settings: dict[str, Any], words: str
) -> None:
    """At the creation of the client."""
    with pytest.raises((ConfigurationError, AgentBayError), match=words):
        bays(**_config(scripted, **settings))


@pytest.fixture
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.usefixtures("_home")
async def test_clients_of_a_host_share_one_rate(
    bays: Bays, service: FakeService, scripted: Script, clock: InstantClock
) -> None:
    """Two at once and two a second for all clients: twelve sessions take five seconds."""
    began = clock.now
    for bay in [bays(**_config(scripted, host_limit=2.0)) for _ in range(3)]:
        result = await bay.create_many(PARAMS, 4, max_concurrency=1)
        assert result.success
    assert clock.now - began == pytest.approx(5.0)
    assert service.created == 12


def test_processes_share_the_file_of_a_bucket(
    tmp_path: Path, run_child: Callable[..., str]
) -> None:
    """A token that another process took is gone."""
    path = tmp_path / "there" / "a.rate"
    bucket = HostBucket(path, rate=2.0)
    assert [bucket.take(100.0), bucket.take(100.0)] == [0.0, 0.0]
    code = """
        from pathlib import Path
        from agentbay_async._bulk.host_rate import HostBucket
        print(HostBucket(Path({!r}), rate=2.0).take(100.0))
    """
    assert run_child(code.format(str(path))) == "0.5"
    assert bucket.take(100.0) == 1.0
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_a_full_bucket(tmp_path: Path) -> None:
    """A killed process must not stop the others for ever."""
    path = tmp_path / "a.rate"
    path.write_bytes(b"\xff half")
    assert HostBucket(path, rate=1.0).take(5.0) == 0.0
    assert HostBucket(path, rate=1.0).take(5.0) == 1.0


@pytest.mark.usefixtures("_home")
def test_the_file_does_not_reveal_the_key(tmp_path: Path, api_key: str) -> None:
    """Neither its name nor its content."""
    host_bucket("https://a.host", api_key, 1.0).take(5.0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert api_key not in str(files[0])
    assert api_key.encode() not in files[0].read_bytes()
