"""The screen of a session on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from agentbay_local.urls import control_url

if TYPE_CHECKING:
    from tests.desktop.conftest import Terminal

    from agentbay_async import AsyncSession
    from agentbay_local import LocalService


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


async def test_mouse_and_keys_of_the_page_reach_the_desktop(
    service: LocalService, terminal: Terminal
) -> None:
    """By the address that allows input; what a tool refuses is told."""
    host = urlsplit(control_url(service._running().state, terminal.session.session_id)).netloc
    headers = {"Host": host, "Origin": f"http://{host}"}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def give(**event: object) -> str:
            url, body = f"{service.endpoint}/input", {"to": "desktop", **event}
            async with http.post(url, json=body) as answer:
                return str((await answer.json())["error"])

        x, y = terminal.at(3, 2)
        assert await give(do="click_mouse", x=x, y=y, button="left") == ""
        await terminal.records("\x1b[<0;3;2M\x1b[<0;3;2m")
        assert await give(do="input_text", text="Grüße") == ""
        assert await give(do="press_keys", keys=["Enter"]) == ""
        await terminal.records("\x1b[<0;3;2M\x1b[<0;3;2mGrüße\r")
        assert "must be" in await give(do="click_mouse", x=-1, y=0)
        assert "must be one of" in await give(do="start_app")
