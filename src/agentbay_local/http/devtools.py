"""What a browser's DevTools say of themselves, by the link of a browser.

`/json/version` and the like name the addresses of WebSockets, as they are inside the session.
Clients connect to the named address, so each is replaced by the one that leads there through the
link. A session may answer anything in the browser's place: no other address passes.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.errors import ApiError

if TYPE_CHECKING:
    from multidict import CIMultiDict
    from yarl import URL

__all__ = ["as_from_inside", "describes", "forward_description"]

_LONGEST = 512 * 1024
_WITHIN = 10.0
_ADDRESS = "webSocketDebuggerUrl"
# Pages for people at another site, which would get the address of the WebSocket.
_LEFT_OUT = frozenset({_ADDRESS, "devtoolsFrontendUrl", "devtoolsFrontendUrlCompat"})
_SOCKET_PATH = re.compile(r"/devtools/[a-z_]{1,30}/[\w-]{1,100}")


def describes(path: str) -> bool:
    """Return whether a path of the DevTools is for descriptions with addresses."""
    name = path.partition("?")[0].rstrip("/")
    return name == "/json" or (name.startswith("/json/") and name != "/json/protocol")


def as_from_inside(headers: CIMultiDict[str], port: int) -> CIMultiDict[str]:
    """Return the headers of a request for the DevTools, as a program of the session sends them.

    Chromium refuses other names in ``Host``, and any ``Origin``. Both are checked before.
    """
    headers.popall("Origin", None)
    headers["Host"] = f"127.0.0.1:{port}"
    return headers


async def forward_description(
    client: aiohttp.ClientSession, method: str, url: URL, headers: CIMultiDict[str], link: str
) -> web.Response:
    """Ask the DevTools, and return what they say with the addresses of the link.

    Args:
        client: Connects into sessions.
        method: GET or PUT.
        url: The address inside.
        headers: Those for the DevTools.
        link: The WebSocket address of the link, without a slash at its end.

    Raises:
        ApiError: The answer is not what DevTools say, or does not come.
        aiohttp.ClientError: Nothing answers.
    """
    try:
        status, body = await asyncio.wait_for(_ask(client, method, url, headers), _WITHIN)
    except asyncio.TimeoutError:
        raise _no_devtools(f"did not answer in {_WITHIN:g} seconds") from None
    if status != 200:
        # Plain text, such as "No such target id"; never as a page.
        text = body[:1000].decode("utf-8", "replace")
        return web.Response(status=status if 400 <= status < 600 else 502, text=text)
    if body.strip() and not body.lstrip().startswith((b"{", b"[")):
        return web.Response(text=body[:1000].decode("utf-8", "replace"))
    return web.Response(
        text=compact_json(_with_addresses(body, link)), content_type="application/json"
    )


async def _ask(
    client: aiohttp.ClientSession, method: str, url: URL, headers: CIMultiDict[str]
) -> tuple[int, bytes]:
    async with client.request(method, url, headers=headers, allow_redirects=False) as found:
        body = bytearray()
        async for chunk in found.content.iter_any():
            body += chunk
            if len(body) > _LONGEST:
                raise _no_devtools(f"gave an answer of more than {_LONGEST} bytes")
        return found.status, bytes(body)


def _with_addresses(body: bytes, link: str) -> Any:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise _no_devtools("gave an answer that is no JSON") from None
    if isinstance(value, dict):
        return _with_address(value, link)
    if not all(isinstance(one, dict) for one in value):
        raise _no_devtools("gave a list of something else than pages")
    return [_with_address(one, link) for one in value]


def _with_address(described: dict[str, Any], link: str) -> dict[str, Any]:
    kept = {name: value for name, value in described.items() if name not in _LEFT_OUT}
    address = described.get(_ADDRESS)
    path = _path(address) if isinstance(address, str) else ""
    return {**kept, _ADDRESS: f"{link}{path}"} if _SOCKET_PATH.fullmatch(path) else kept


def _path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _no_devtools(what: str) -> ApiError:
    message = f"The DevTools of the browser in this session {what}."
    return ApiError(error_codes.SERVICE_UNAVAILABLE, message, 502)
