"""The headers of a request and of an answer on their way through the service. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

__all__ = ["ADDED_BY_AIOHTTP", "answered", "asked"]

ADDED_BY_AIOHTTP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What our own client would add, where whoever asked sent nothing."""

_OF_ONE_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OF_THE_HANDSHAKE = "sec-websocket-"


def asked(request: web.Request, prefix: str) -> CIMultiDict[str]:
    """Return the headers to ask with.

    The host stays as it was sent, so that what compares it with the origin of a page is content.

    Args:
        request: What the service was asked.
        prefix: The part of its path that belongs to the service.
    """
    headers = _of_both_ends(request.headers)
    for name in [name for name in headers if name.lower().startswith(_OF_THE_HANDSHAKE)]:
        headers.popall(name, None)
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Prefix"] = prefix
    return headers


def answered(found: Mapping[str, str], request: web.Request, prefix: str) -> CIMultiDict[str]:
    """Return the headers to answer with; redirects to the same server stay at the port."""
    headers = _of_both_ends(found)
    if "Location" in headers:
        headers["Location"] = _within(headers["Location"], request, prefix)
    return headers


def _of_both_ends(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers that are not about one connection."""
    named = headers.get("Connection", "").lower().split(",")
    dropped = _OF_ONE_HOP | {name.strip() for name in named}
    return CIMultiDict(item for item in headers.items() if item[0].lower() not in dropped)


def _within(location: str, request: web.Request, prefix: str) -> str:
    origin = f"{request.scheme}://{request.host}"
    own, path = (origin, location[len(origin) :]) if location.startswith(origin) else ("", location)
    if path.startswith("/") and not path.startswith(("//", f"{prefix}/")):
        return f"{own}{prefix}{path}"
    return location
