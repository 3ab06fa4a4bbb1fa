"""The pytest plugin: a local service for each test, clients for it, and a leak check.

==========================  =======================================================================
fixture                     value
==========================  =======================================================================
`agentbay_service`          an empty `LocalService`
`agentbay_client`           an asynchronous client for it
`agentbay_blocking_client`  a blocking client for it
`agentbay_clock`            the `ManualClock` of the service and its clients
`agentbay_auto_clock`       the same, but it jumps as soon as every task waits
==========================  =======================================================================

A test that leaves a session alive fails with the line that created it, unless it has the marker
``agentbay_leaks_allowed``. The marker ``agentbay_cassette(path)`` makes the service replay a
cassette; the path is relative to the file of the test.

pytest imports this module in every test run of the environment, used or not. So nothing but pytest
is imported before a fixture is used. Like a user's test, a fixture imports only public packages:
it is the one place of this package that knows the clients.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay import AgentBay
    from agentbay_async import AsyncAgentBay
    from agentbay_local import LocalService, ManualClock
    from agentbay_local.testing.origins import Origins

_ALLOWED = "agentbay_leaks_allowed"
_CASSETTE = "agentbay_cassette"
_CLOCKS = ("agentbay_auto_clock", "agentbay_clock")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", f"{_ALLOWED}: the test may leave sessions alive")
    config.addinivalue_line("markers", f"{_CASSETTE}(path): the service replays a cassette")


class _Services:
    """The services of this process: one for each kind of clock, started on first use."""

    def __init__(self) -> None:
        self._running: dict[str, LocalService] = {}

    def get(self, clock: str) -> LocalService:
        """Return the service with the clock of a fixture; other names mean the system clock."""
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
    """Provide the manual clock of this test's service and clients."""
    return _manual(_agentbay_services.get("agentbay_clock"))


@pytest.fixture
def agentbay_auto_clock(_agentbay_services: _Services) -> ManualClock:
    """Provide the automatic clock of this test's service and clients: no wait takes real time."""
    return _manual(_agentbay_services.get("agentbay_auto_clock"))


def _manual(service: LocalService) -> ManualClock:
    from agentbay_local import ManualClock

    assert isinstance(service.clock, ManualClock)  # noqa: S101  # see _clock
    return service.clock


@pytest.fixture
def agentbay_service(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    _agentbay_services: _Services,
) -> Iterator[LocalService]:
    """Provide an empty local service; clients without an explicit endpoint use it.

    Raises:
        Failed: The test has passed, but left a session alive.
    """
    from agentbay_local.testing.origins import Origins

    with _service_of(request, _agentbay_services) as service:
        origins = Origins()
        origins.record(monkeypatch)
        monkeypatch.setenv("AGENTBAY_ENDPOINT", service.endpoint)
        monkeypatch.setenv("AGENTBAY_API_KEY", service.api_key)
        # Sessions of tests must not appear in the ledger of the user.
        monkeypatch.setenv("AGENTBAY_LEDGER", "off")
        failures = request.session.testsfailed
        yield service
        if request.session.testsfailed == failures:
            _check_leaks(request, service, origins)


@contextmanager
def _service_of(request: pytest.FixtureRequest, services: _Services) -> Iterator[LocalService]:
    """Provide the service of a test: an empty one, or one of its own that replays a cassette."""
    from agentbay_local import LocalService

    wanted = next((name for name in _CLOCKS if name in request.fixturenames), "")
    marker = request.node.get_closest_marker(_CASSETTE)
    if marker is not None:
        clock = services.get(wanted).clock if wanted else None
        path = request.path.parent / marker.args[0]
        with LocalService(clock=clock, cassette=path) as service:
            yield service
        return
    service = services.get(wanted)
    service.reset()
    try:
        yield service
    finally:
        service.reset()


@pytest.fixture
def agentbay_client(agentbay_service: LocalService) -> AsyncAgentBay:
    """Provide an asynchronous client; its connections end with the event loop of the test."""
    from agentbay_async import AsyncAgentBay

    return AsyncAgentBay(
        agentbay_service.api_key,
        endpoint=agentbay_service.endpoint,
        clock=agentbay_service.clock,
    )


@pytest.fixture
def agentbay_blocking_client(agentbay_service: LocalService) -> Iterator[AgentBay]:
    """Provide a blocking client."""
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
