"""From a service back to its session."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from agentbay import Session
from agentbay._facade import wrap
from agentbay_async import AsyncAgentBay, AsyncOss, AsyncSession, ClosedError

from .test_link import _ran

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .machine import Machine

SERVICES = [
    "agent",
    "browser",
    "code",
    "command",
    "computer",
    "context",
    "env",
    "file_system",
    "git",
    "mobile",
    "oss",
    "pty",
]


@pytest.fixture
def session(linked_bay: AsyncAgentBay) -> AsyncSession:
    """Give a session that nothing but the test holds."""
    return AsyncSession(linked_bay._api, "s-1", "linux_latest", "RUNNING")


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_leads_to_its_session(session: AsyncSession, name: str) -> None:
    """As in the official client."""
    assert getattr(session, name).session is session


def test_the_operator_leads_to_its_browser_and_its_session(session: AsyncSession) -> None:
    """It is the same one each time."""
    operator = session.browser.operator
    assert operator is session.browser.operator
    assert operator.browser is session.browser
    assert operator.session is session


def test_an_agent_is_the_same_each_time(session: AsyncSession) -> None:
    """The blocking package keeps a facade of each."""
    assert session.agent.browser is session.agent.browser


def test_a_service_made_of_a_session_leads_to_it(session: AsyncSession) -> None:
    """A program of the official client may make it so."""
    assert AsyncOss(session).session is session


def test_a_session_and_the_contexts_lead_to_the_client(
    linked_bay: AsyncAgentBay, session: AsyncSession
) -> None:
    """As in the official client."""
    assert session.agent_bay is linked_bay
    assert linked_bay.context.agent_bay is linked_bay


@pytest.mark.usefixtures("_no_collector")
async def test_a_session_alone_leads_to_an_equal_client(machine: Machine) -> None:
    """It shares the connections of the first one, and closing it closes them."""
    first = AsyncAgentBay("key", endpoint=machine.endpoint)
    session = AsyncSession(first._api, "s-1")
    assert first.context.agent_bay is first
    freed = weakref.ref(first), weakref.ref(first._api)
    del first
    assert freed[0]() is None
    client = session.agent_bay
    assert client is session.agent_bay
    assert (client.api_key, client.context.agent_bay) == ("key", client)
    assert (await client.get("s-1")).success
    assert [entry async for entry in client.list()] == []
    await client.aclose()
    with pytest.raises(ClosedError):
        await session.get_status()
    del session, client
    assert freed[1]() is None


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_does_not_keep_its_session(linked_bay: AsyncAgentBay, name: str) -> None:
    """A session is freed with its last use, without the garbage collector."""
    session = AsyncSession(linked_bay._api, "s-1")
    service = getattr(session, name)
    assert service.session is session
    freed = weakref.ref(session)
    del session
    assert freed() is None
    del service
    assert "s-1" not in linked_bay._api.access


@pytest.mark.usefixtures("_no_collector")
def test_a_blocking_service_leads_to_an_equal_session(session: AsyncSession) -> None:
    """Its facade is another one, which the service keeps; all of it is freed with its last use."""
    blocking = wrap(Session, session)
    command = blocking.command
    assert command.session == blocking
    assert command.session is command.session
    assert len({command.session, blocking}) == 1
    assert command.session != blocking.code
    assert blocking.agent_bay == command.session.agent_bay
    assert blocking.browser.operator.browser.session == blocking
    freed = [weakref.ref(each) for each in (blocking, command, command.session)]
    del blocking, command
    assert [each() for each in freed] == [None] * 3


async def test_a_service_alone_leads_to_an_equal_session(
    linked_bay: AsyncAgentBay, machine: Machine
) -> None:
    """A program may keep ``session.command`` only; the session knows what it knew before."""
    machine.tools["shell"] = _ran
    found = (await linked_bay.get("s-1")).session
    command, token, described = found.command, found.token, (found.image_id, found.resource_url)
    del found
    gc.collect()
    session = command.session
    assert session is command.session
    assert session.session_id == "s-1"
    assert (session.token, (session.image_id, session.resource_url)) == (token, described)
    assert session.code.session is session
    assert (await session.command.run("true")).success
