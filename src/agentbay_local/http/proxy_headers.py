"""Headers of requests and responses that the reverse proxy forwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

__all__ = ["AUTOMATIC_HEADERS", "request_headers", "response_headers"]

AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp adds unless told otherwise; the proxy must not."""

_HOP_BY_HOP = frozenset(
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
_HANDSHAKE_PREFIX = "sec-websocket-"


def request_headers(request: web.Request, prefix: str) -> CIMultiDict[str]:
    """Return the headers of a request for the server inside.

    The host stays as it was sent, because some servers compare it with the origin of a page.

    Args:
        request: The request of the client.
        prefix: The part of its path that belongs to the service.
    """
    headers = _end_to_end(request.headers)
    for name in [name for name in headers if name.lower().startswith(_HANDSHAKE_PREFIX)]:
        headers.popall(name, None)
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Prefix"] = prefix
    return headers


def response_headers(
    found: Mapping[str, str], request: web.Request, prefix: str
) -> CIMultiDict[str]:
    """Return the headers for the client; a redirect to the same server stays below the prefix."""
    headers = _end_to_end(found)
    if "Location" in headers:
        headers["Location"] = _rewrite_location(headers["Location"], request, prefix)
    return headers


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers without those of a single connection."""
    named = headers.get("Connection", "").lower().split(",")
    dropped = _HOP_BY_HOP | {name.strip() for name in named}
    return CIMultiDict(item for item in headers.items() if item[0].lower() not in dropped)


def _rewrite_location(location: str, request: web.Request, prefix: str) -> str:
    origin = f"{request.scheme}://{request.host}"
    own, path = (origin, location[len(origin) :]) if location.startswith(origin) else ("", location)
    if path.startswith("/") and not path.startswith(("//", f"{prefix}/")):
        return f"{own}{prefix}{path}"
    return location
