"""A service whose sessions have a desktop or a browser, as the tests of both have them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.conftest import browser_image
from tests.desktop.conftest import desktop_image, session, terminal
from tests.integrations.anthropic.script import Caller

from agentbay import AgentBay
from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_integrations.anthropic import (
    AgentBayBrowserToolset,
    AgentBayComputerToolset,
    BlockingAgentBayBrowserToolset,
    BlockingAgentBayComputerToolset,
)
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from agentbay_async import AsyncSession
    from agentbay_local import Image

    Open = Callable[..., AbstractAsyncContextManager[Caller]]

__all__ = ["browser_image", "desktop_image", "session", "shared_service", "terminal"]

TOOLSETS: dict[tuple[str, str], Any] = {
    ("computer", "async"): AgentBayComputerToolset,
    ("computer", "blocking"): BlockingAgentBayComputerToolset,
    ("browser", "async"): AgentBayBrowserToolset,
    ("browser", "blocking"): BlockingAgentBayBrowserToolset,
}


@pytest.fixture(scope="session", name="shared_service")
def shared_service(
    desktop_image: Image,  # the fixtures
    browser_image: Image,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[LocalService]:
    """Run one service for all tests; tell the report how many sessions are left in the end."""
    with LocalService(images=[desktop_image, browser_image]) as service:
        yield service
        record_testsuite_property("sessions_left", len(service.living()))


@pytest.fixture
async def web_session(service: LocalService) -> AsyncIterator[AsyncSession]:
    """Give a session with a browser."""
    params = CreateSessionParams(image_id="browser_latest")
    async with AsyncAgentBay() as bay, bay.session(params) as session:
        yield session


@asynccontextmanager
async def async_session(session_id: str) -> AsyncIterator[Any]:
    """Look up a session for an async toolset."""
    async with AsyncAgentBay() as bay:
        yield (await bay.get(session_id)).unwrap()


@asynccontextmanager
async def blocking_session(session_id: str) -> AsyncIterator[Any]:
    """Look up a session for a blocking toolset, on a thread."""
    bay = AgentBay()
    try:
        yield (await asyncio.to_thread(bay.get, session_id)).unwrap()
    finally:
        await asyncio.to_thread(bay.close)


@pytest.fixture(params=["async", "blocking"])
def open_toolset(service: LocalService, request: pytest.FixtureRequest) -> Open:
    """Return a function that opens a toolset, async or blocking, perhaps for a session."""
    look_up = async_session if request.param == "async" else blocking_session

    @asynccontextmanager
    async def open_toolset(
        family: str, session_id: str | None = None, **options: Any
    ) -> AsyncIterator[Caller]:
        options.setdefault("confirm", lambda _: True)
        async with AsyncExitStack() as stack:
            if session_id is not None:
                options["session"] = await stack.enter_async_context(look_up(session_id))
            caller = Caller(TOOLSETS[family, request.param](**options))
            stack.push_async_callback(caller.close)
            yield caller

    return open_toolset
