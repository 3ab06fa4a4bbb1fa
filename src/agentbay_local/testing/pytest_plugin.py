"""The plugin for pytest: a local service for each test, clients of it, and a check for leaks.

==========================  =======================================================================
fixture                     what it gives
==========================  =======================================================================
`agentbay_service`          a `LocalService` with nothing in it
`agentbay_client`           an asynchronous client of it
`agentbay_blocking_client`  a blocking one
`agentbay_clock`            the `ManualClock` that service and clients of the test share
`agentbay_auto_clock`       the same, but it jumps as soon as everybody waits
==========================  =======================================================================

A test that leaves a session alive fails, with the line that created it, unless it is marked with
``agentbay_leaks_allowed``.

pytest imports this in every test run of the environment, also where nobody uses it. So nothing but
pytest is imported before a fixture is asked for; and the fixtures alone, in all of this package,
know the clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay import AgentBay
    from agentbay_async import AsyncAgentBay
    from agentbay_local import LocalService, ManualClock
    from agentbay_local.testing.origins import Origins

_ALLOWED = "agentbay_leaks_allowed"
_CLOCKS = ("agentbay_auto_clock", "agentbay_clock")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"{_ALLOWED}: the test may leave sessions alive")


class _Services:
    """The services of this process: one for each kind of clock, started when it is asked for."""

    def __init__(self) -> None:
        self._running: dict[str, LocalService] = {}

    def get(self, clock: str) -> LocalService:
        """Return the service with that clock, which is the machine's unless it is a fixture's."""
        if clock not in self._running:
            from agentbay_local import LocalService

            self._running[clock] = LocalService(clock=_clock(clock)).start()
        return self._running[clock]

    def stop(self) -> None:
        """Stop all of them."""
        for service in self._running.values():
            service.stop()


def _clock(name: str) -> ManualClock | None:
    if name not in _CLOCKS:
        return None
    from agentbay_local import ManualClock

    return ManualClock(auto=name == "agentbay_auto_clock")


@pytest.fixture(scope="session")
def _agentbay_services() -> Iterator[_Services]:
    services = _Services()
    yield services
    services.stop()


@pytest.fixture
def agentbay_clock(_agentbay_services: _Services) -> ManualClock:
    """Give the clock of this test's service and clients, which stands still until it is moved."""
    return _manual(_agentbay_services.get("agentbay_clock"))


@pytest.fixture
def agentbay_auto_clock(_agentbay_services: _Services) -> ManualClock:
    """Give the clock of this test's service and clients, on which no wait takes time."""
    return _manual(_agentbay_services.get("agentbay_auto_clock"))


def _manual(service: LocalService) -> ManualClock:
    from agentbay_local import ManualClock

    assert isinstance(service.clock, ManualClock)  # noqa: S101  # it was made so
    return service.clock


@pytest.fixture
def agentbay_service(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    _agentbay_services: _Services,
) -> Iterator[LocalService]:
    """Give a local service with nothing in it; clients that are told nothing find it.

    Raises:
        Failed: The test has passed, and left a session alive.
    """
    from agentbay_local.testing.origins import Origins

    wanted = next((name for name in _CLOCKS if name in request.fixturenames), "")
    service = _agentbay_services.get(wanted)
    service.reset()
    origins = Origins()
    origins.watch(monkeypatch)
    monkeypatch.setenv("AGENTBAY_ENDPOINT", service.endpoint)
    monkeypatch.setenv("AGENTBAY_API_KEY", service.api_key)
    # What a test creates is no business of the host's ledger.
    monkeypatch.setenv("AGENTBAY_LEDGER", "off")
    failures = request.session.testsfailed
    yield service
    try:
        if request.session.testsfailed == failures:
            _check_leaks(request, service, origins)
    finally:
        service.reset()


@pytest.fixture
def agentbay_client(agentbay_service: LocalService) -> AsyncAgentBay:
    """Give an asynchronous client; its connections end with the event loop of the test."""
    from agentbay_async import AsyncAgentBay

    return AsyncAgentBay(
        agentbay_service.api_key,
        endpoint=agentbay_service.endpoint,
        clock=agentbay_service.clock,
    )


@pytest.fixture
def agentbay_blocking_client(agentbay_service: LocalService) -> Iterator[AgentBay]:
    """Give a blocking client."""
    from agentbay import AgentBay

    with AgentBay(
        agentbay_service.api_key,
        endpoint=agentbay_service.endpoint,
        clock=agentbay_service.clock,
    ) as client:
        yield client


def _check_leaks(request: pytest.FixtureRequest, service: LocalService, origins: Origins) -> None:
    if request.node.get_closest_marker(_ALLOWED) is not None:
        return
    lines = [
        f"  {session}, created at {origins.of(session)}" + (f", labels {labels}" if labels else "")
        for session, labels in service.living().items()
    ]
    if lines:
        pytest.fail(
            "the test left sessions alive:\n"
            + "\n".join(lines)
            + f"\nDelete them, or mark the test with @pytest.mark.{_ALLOWED}.",
            pytrace=False,
        )
