"""The screen of a session on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

if TYPE_CHECKING:
    from agentbay_async import AsyncSession


async def test_the_page_shows_the_screen_once_a_display_runs(session: AsyncSession) -> None:
    """To look starts none."""
    page = urlsplit(session.resource_url)
    service = f"http://127.0.0.1:{page.port}"
    async with aiohttp.ClientSession(headers={"Host": page.netloc}) as http:

        async def status(path: str) -> tuple[int, bytes]:
            async with http.get(f"{service}{path}") as answer:
                return answer.status, await answer.read()

        (await session.command.run("true")).unwrap()
        assert (await status("/desktop"))[0] == 404
        screen = (await session.computer.get_screen_size()).unwrap()
        found, picture = await status("/desktop")
        assert (found, picture[:8]) == (200, b"\x89PNG\r\n\x1a\n")
        size = int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
        assert size == (screen.width, screen.height)
        async with http.get(f"{service}/facts") as answer:
            inside = (await answer.json())["sandbox"]
        assert (inside["desktop"], inside["browser"]) == (True, False)
