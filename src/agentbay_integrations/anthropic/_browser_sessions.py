"""The session whose browser is driven, for the driver: the same for both kinds of sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agentbay_async import BrowserOption
    from agentbay_integrations._sessions import BlockingSessionOwner, SessionOwner

__all__ = ["AsyncBrowserSession", "BlockingBrowserSession", "BrowserSession"]


class BrowserSession(Protocol):
    """What the driver needs of a session."""

    async def endpoint_url(self) -> str:
        """Start the browser if it does not run, and return its address.

        The first call makes the session.
        """
        ...

    async def read(self, path: str, most: int) -> bytes:
        """Return the content of a file of the session, which has a number of bytes at most."""
        ...


class AsyncBrowserSession:
    """An async session.

    Args:
        owner: Its owner.
        option: The options with which its browser is started.
    """

    def __init__(self, owner: SessionOwner, option: BrowserOption | None) -> None:
        self._owner = owner
        self._option = option

    async def endpoint_url(self) -> str:
        """Start the browser if it does not run, and return its address."""
        browser = (await self._owner.get()).browser
        (await browser.initialize(self._option)).unwrap()
        return await browser.get_endpoint_url()

    async def read(self, path: str, most: int) -> bytes:
        """Return the content of a file of the session, which has a number of bytes at most."""
        files = (await self._owner.get()).file_system
        return (await files.read_file(path, format="bytes", max_size=most)).unwrap()


class BlockingBrowserSession:
    """A blocking session, whose calls run on threads.

    Args:
        owner: Its owner.
        option: The options with which its browser is started.
    """

    def __init__(self, owner: BlockingSessionOwner, option: BrowserOption | None) -> None:
        self._owner = owner
        self._option = option

    async def endpoint_url(self) -> str:
        """Start the browser if it does not run, and return its address."""
        return await asyncio.to_thread(self._start)

    def _start(self) -> str:
        browser = self._owner.get().browser
        browser.initialize(self._option).unwrap()
        return browser.get_endpoint_url()

    async def read(self, path: str, most: int) -> bytes:
        """Return the content of a file of the session, which has a number of bytes at most."""
        return await asyncio.to_thread(self._read, path, most)

    def _read(self, path: str, most: int) -> bytes:
        files = self._owner.get().file_system
        return files.read_file(path, format="bytes", max_size=most).unwrap()
