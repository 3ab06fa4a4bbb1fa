"""The members of the browser toolset by name; those for tabs and addresses are here."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from anthropic.tools import ToolError
from anthropic.tools.browser import BetaBrowserNavigateResult

from agentbay_integrations.anthropic._input_members import INPUT_MEMBERS
from agentbay_integrations.anthropic._page_members import PAGE_MEMBERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anthropic.types.beta import BetaBrowserStateTabEntryParam
    from playwright.async_api import Page, Response

    from agentbay_integrations.anthropic._connected import ConnectedBrowser

__all__ = ["MEMBERS"]

_NAVIGATION_MS = 30_000
# A page whose pictures never come is complete enough then.
_LOAD_MS = 10_000
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|(about|blob|data|view-source):", re.IGNORECASE)


async def _navigate(connected: ConnectedBrowser, given: Any) -> BetaBrowserNavigateResult:
    from playwright.async_api import TimeoutError as PlaywrightTimeout

    page = connected.tab(given.tab_id).page
    response = await _go(page, given.url.strip())
    if response is not None:
        with contextlib.suppress(PlaywrightTimeout):
            await page.wait_for_load_state(timeout=_LOAD_MS)
    status = response.status if response is not None else None
    return BetaBrowserNavigateResult(url=page.url, status=status, title=await page.title())


async def _go(page: Page, url: str) -> Response | None:
    """Go to an address, or in the history, until a page begins; return its answer if it has one."""
    if url == "reload":
        return await page.reload(wait_until="commit", timeout=_NAVIGATION_MS)
    if url not in ("back", "forward"):
        address = url if _HAS_SCHEME.match(url) else f"https://{url}"
        return await page.goto(address, wait_until="commit", timeout=_NAVIGATION_MS)
    before, turn = page.url, page.go_back if url == "back" else page.go_forward
    # A page that Chromium has kept as it was begins, and tells of nothing that it loads.
    response = await turn(wait_until="commit", timeout=_NAVIGATION_MS)
    if response is None and page.url == before:
        raise ToolError(f"there is no page to go {url} to")
    return response


async def _new_tab(connected: ConnectedBrowser, _given: Any) -> BetaBrowserStateTabEntryParam:
    return await (await connected.open_tab()).entry()


async def _list_tabs(
    connected: ConnectedBrowser, _given: Any
) -> list[BetaBrowserStateTabEntryParam]:
    return await connected.entries()


async def _switch_tab(connected: ConnectedBrowser, given: Any) -> BetaBrowserStateTabEntryParam:
    return await (await connected.activate(connected.tab(given.tab_id))).entry()


async def _close_tab(connected: ConnectedBrowser, given: Any) -> None:
    await connected.close_tab(connected.tab(given.tab_id))


#: What runs each member; it takes an input of the framework, whose class depends on the member.
MEMBERS: dict[str, Callable[[ConnectedBrowser, Any], Awaitable[Any]]] = {
    "navigate": _navigate,
    "new_tab": _new_tab,
    "list_tabs": _list_tabs,
    "switch_tab": _switch_tab,
    "close_tab": _close_tab,
    **INPUT_MEMBERS,
    **PAGE_MEMBERS,
}
