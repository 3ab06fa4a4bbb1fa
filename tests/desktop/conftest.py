"""A service whose image has a desktop, a session of it, and a terminal that records its input."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs
import pytest
from tests.image_cache import ready_image

from agentbay_async import AsyncAgentBay
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay_async import AsyncSession
    from agentbay_async.models.ui import Window
    from agentbay_local import Image

#: Seconds within which a busy machine shows what a test waits for.
DEADLINE = 60.0
_RECORD = "/tmp/typed"


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds, which asks the session each time."""
    end = time.monotonic() + DEADLINE
    while not await condition():
        assert time.monotonic() < end, "it did not happen"


@attrs.frozen
class Terminal:
    """A terminal in a session, whose program records every byte that it gets.

    Attributes:
        session: The session.
        window: Its window.
    """

    session: AsyncSession
    window: Window

    async def recorded(self) -> str:
        """Return what it got until now."""
        return str((await self.session.file_system.read_file(_RECORD)).unwrap())

    async def records(self, text: str) -> None:
        """Wait until it has got as many characters as a text has, and compare."""

        async def is_long_enough() -> bool:
            return len(await self.recorded()) >= len(text)

        await until(is_long_enough)
        assert await self.recorded() == text

    def at(self, column: int, row: int) -> tuple[int, int]:
        """Return the point of a character, counted from one."""
        across, down = self.window.width / 80, self.window.height / 24
        return (
            self.window.absolute_upper_left_x + int((column - 0.5) * across),
            self.window.absolute_upper_left_y + int((row - 0.5) * down),
        )


@pytest.fixture(scope="session")
def desktop_image() -> Image:
    """Return the image with a desktop."""
    return ready_image("linux_latest")


@pytest.fixture
async def service(desktop_image: Image) -> AsyncIterator[LocalService]:
    """Give a service whose default image has a desktop."""
    async with LocalService(images=[desktop_image]) as service:
        yield service


@pytest.fixture
async def session(service: LocalService) -> AsyncIterator[AsyncSession]:
    """Give a session with a desktop."""
    async with (
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session() as session,
    ):
        yield session


@pytest.fixture
async def terminal(session: AsyncSession) -> Terminal:
    """Give a terminal that has the focus; it reports the mouse as xterm does (mode 1006)."""
    return await open_terminal(session, "printf '\\033[?1002h\\033[?1006h'")


async def open_terminal(session: AsyncSession, set_up: str = "true", options: str = "") -> Terminal:
    """Open a terminal, and wait until it has the focus and its program reads."""
    script = f"stty raw -echo; {set_up}; : > {_RECORD}; exec cat > {_RECORD}"
    # The border is none, so that the window consists of characters.
    command = f'xterm -b 0 -geometry 80x24 {options} -T recorder -e sh -c "{script}"'
    (await session.computer.start_app(command)).unwrap()

    async def is_ready() -> bool:
        active = await session.computer.get_active_window()
        exists = await session.file_system.get_file_info(_RECORD)
        return active.success and active.unwrap().title == "recorder" and exists.success

    await until(is_ready)
    return Terminal(session, (await session.computer.get_active_window()).unwrap())
