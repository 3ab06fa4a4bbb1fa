"""Members of the browser toolset that read a page, and that fill in what a mouse cannot."""

from __future__ import annotations

import base64
import json
import mimetypes
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from anthropic.tools import ToolError

from agentbay_integrations.anthropic import _pictures
from agentbay_integrations.anthropic._documents import FRAME_LEFT_OUT

if TYPE_CHECKING:
    from collections import deque

    from anthropic.tools.browser import BetaScreenshotResult
    from playwright.async_api import CDPSession, ElementHandle, FilePayload

    from agentbay_integrations.anthropic._connected import ConnectedBrowser

__all__ = ["PAGE_MEMBERS"]

# What the API says of read_page, and here holds for every text of a page.
_MOST_TEXT = 50_000
_MOST_ERROR = 4096
_DEPTH = 15
_MATCHES = 20
_SCRIPT_MS = 10_000
# Playwright sends no more to a page at once.
_MOST_BYTES = 50_000_000
# Words that say nothing about an element.
_STOP_WORDS = re.compile("an?|all|and|any|at|by|for|in|is|its?|of|on|or|that|the|this|to|with")

# Each of these takes an input of the framework, whose class depends on the member.


async def _screenshot(connected: ConnectedBrowser, given: Any) -> BetaScreenshotResult:
    page = connected.tab(given.tab_id).page
    return await _as_result(await page.screenshot(scale="css", caret="initial"))


async def _zoom(connected: ConnectedBrowser, given: Any) -> BetaScreenshotResult:
    """Let the browser draw the region larger, which shows more than a larger picture of it."""
    tab = connected.tab(given.tab_id)
    scale = _pictures.fit(given.region, *await tab.viewport())
    left, top, right, bottom = given.region
    devtools = await tab.devtools()
    view = (await devtools.send("Page.getLayoutMetrics"))["cssVisualViewport"]
    clip = {"x": view["pageX"] + left, "y": view["pageY"] + top, "scale": scale}
    clip |= {"width": right - left, "height": bottom - top}
    shot = await devtools.send("Page.captureScreenshot", {"format": "png", "clip": clip})
    return await _as_result(base64.b64decode(shot["data"]))


async def _as_result(png: bytes) -> BetaScreenshotResult:
    # On a thread: a large picture takes up to a second, in which the event loop would stand still.
    return await anyio.to_thread.run_sync(_pictures.as_result, png)


async def _read_page(connected: ConnectedBrowser, given: Any) -> str:
    tab = connected.tab(given.tab_id)
    frame, root = tab.page.main_frame, None
    if given.ref:
        await tab.documents.element(given.ref)  # it may be gone
        frame, root = tab.documents.locate(given.ref)
    depth = _DEPTH if given.depth is None else given.depth
    options = {"filter": given.filter, "depth": depth, "root": root, "limit": _MOST_TEXT}
    lines, cut = await tab.documents.tree(frame, **options)
    return _bounded("\n".join(lines), "read a part by its ref, or with a smaller depth", cut)


async def _find(connected: ConnectedBrowser, given: Any) -> str:
    phrase = given.query.strip().lower()
    words = re.findall(r"\w+", phrase)
    words = [word for word in words if not _STOP_WORDS.fullmatch(word)] or words
    documents = connected.tab(given.tab_id).documents
    lines, is_whole = await documents.find(words, phrase, _MATCHES)
    text = "\n".join(lines) or "no element has these words: read_page lists all"
    return text if is_whole else f"{text}\n{FRAME_LEFT_OUT}"


async def _page_text(connected: ConnectedBrowser, given: Any) -> str:
    text = await connected.tab(given.tab_id).documents.text(_MOST_TEXT + 1)
    return _bounded(text, "the rest is left out")


def _bounded(text: str, remedy: str, cut: bool = False) -> str:
    if not cut and len(text) <= _MOST_TEXT:
        return text
    note = f"\n[cut at {_MOST_TEXT:,} characters: {remedy}]"
    return text[: _MOST_TEXT - len(note)] + note


async def _read_console(connected: ConnectedBrowser, given: Any) -> str:
    return _drained(connected.tab(given.tab_id).console)


async def _read_network(connected: ConnectedBrowser, given: Any) -> str:
    return _drained(connected.tab(given.tab_id).network)


def _drained(log: deque[str]) -> str:
    text = "\n".join(log)
    log.clear()
    return _bounded(text, "the rest is left out")


async def _run_script(connected: ConnectedBrowser, given: Any) -> str:
    devtools = await connected.tab(given.tab_id).devtools()
    # replMode: statements, and await at the top, as in the console of a browser.
    how = {"replMode": True, "awaitPromise": True, "userGesture": True, "timeout": _SCRIPT_MS}
    result = _value(await devtools.send("Runtime.evaluate", {"expression": given.text, **how}))
    if result.get("subtype") == "promise":
        promise = {"promiseObjectId": result["objectId"]}
        result = _value(await devtools.send("Runtime.awaitPromise", promise))
    return _bounded(await _written(devtools, result), "return less")


def _value(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the value of a script, or raise its error."""
    if (details := answer.get("exceptionDetails")) is not None:
        error = details.get("exception", {}).get("description") or details["text"]
        raise ToolError(f"the script failed: {str(error)[:_MOST_ERROR]}")
    return dict(answer["result"])


async def _written(devtools: CDPSession, value: dict[str, Any]) -> str:
    """Return a value as JSON; one that has none, such as an element, as browsers describe it."""
    text: str | None = None
    if "objectId" in value and value.get("subtype") not in ("node", "error"):
        call = {"objectId": value["objectId"], "returnByValue": True}
        call["functionDeclaration"] = "function() { return JSON.stringify(this); }"
        text = (await devtools.send("Runtime.callFunctionOn", call))["result"].get("value")
    elif "value" in value:
        text = json.dumps(value["value"], ensure_ascii=False)
    return str(text or value.get("description") or value["type"])


async def _form_input(connected: ConnectedBrowser, given: Any) -> None:
    documents = connected.tab(given.tab_id).documents
    form = await documents.form(given.target.ref, _as_text(given.value))
    element = await documents.element(given.target.ref)
    if form["type"] in ("checkbox", "radio"):
        if not isinstance(given.value, bool):
            raise ToolError(f"value must be true or false for a {form['type']}")
        await documents.center(given.target.ref)  # it is clicked
        await element.set_checked(given.value)
    elif form["tag"] == "select":
        await _choose(element, form)
    elif form["type"] == "file":
        raise ToolError("this element takes files: use file_upload")
    else:
        await element.fill(_as_text(given.value))


async def _choose(element: ElementHandle, form: dict[str, Any]) -> None:
    if form["option"] is None:
        known = ", ".join(map(repr, form["options"]))
        more = f" and {form['more']} more" if form["more"] else ""
        raise ToolError(f"value must be one of the options {known}{more}")
    await element.select_option(index=form["option"])


def _as_text(value: str | float) -> str:
    # The framework gives each number as a float, and a page wants 7, not 7.0.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


async def _file_upload(connected: ConnectedBrowser, given: Any) -> None:
    if given.document_ids or not given.paths:
        raise ToolError("file_upload takes paths of the session, and no document_ids")
    element = await connected.tab(given.tab_id).documents.element(given.target.ref)
    files: list[FilePayload] = []
    left = _MOST_BYTES
    for path in given.paths:
        data = await connected.session.read(path, max(left, 1))
        left -= len(data)
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        files.append({"name": PurePosixPath(path).name, "mimeType": kind, "buffer": data})
    await element.set_input_files(files)


PAGE_MEMBERS = {
    "screenshot": _screenshot,
    "zoom": _zoom,
    "read_page": _read_page,
    "find": _find,
    "get_page_text": _page_text,
    "read_console": _read_console,
    "read_network": _read_network,
    "javascript_exec": _run_script,
    "form_input": _form_input,
    "file_upload": _file_upload,
}
