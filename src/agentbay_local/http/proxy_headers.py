"""Headers of requests and responses that the reverse proxy forwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from aiohttp import web

__all__ = ["AUTOMATIC_HEADERS", "end_to_end", "request_headers", "response_headers"]

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

# Credentials never pass: they are for this service, or for another server of the user.
_REQUEST_SECRETS = frozenset({"authorization"})
_RESPONSE_SECRETS = frozenset({"authentication-info", "www-authenticate"})
# A session must not send later requests of the browser elsewhere.
_ROUTES = frozenset({"alt-svc", "strict-transport-security"})
# What holds for a whole origin, or a whole host, is for a link with a host of its own.
_PER_ORIGIN = frozenset({"clear-site-data", "service-worker-allowed", "set-cookie"})


def request_headers(request: web.Request, prefix: str) -> CIMultiDict[str]:
    """Return the headers of a request for the server inside.

    The host stays as it was sent, because some servers compare it with the origin of a page.

    Args:
        request: The request of the client.
        prefix: The part of its path that belongs to the service; "" if the link has a host of its
            own. Only there cookies pass: browsers send those of a host to all of its ports.
    """
    headers = end_to_end(request.headers, _REQUEST_SECRETS | ({"cookie"} if prefix else set()))
    for name in [name for name in headers if name.lower().startswith(_HANDSHAKE_PREFIX)]:
        headers.popall(name, None)
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = request.scheme
    headers.popall("X-Forwarded-Prefix", None)
    if prefix:
        headers["X-Forwarded-Prefix"] = prefix
    return headers


def response_headers(
    found: Mapping[str, str], request: web.Request, prefix: str
) -> CIMultiDict[str]:
    """Return the headers for the client; a redirect to the same server stays below the prefix."""
    dropped = _RESPONSE_SECRETS | _ROUTES
    if prefix:
        headers = end_to_end(found, dropped | _PER_ORIGIN)
        if "Location" in headers:
            headers["Location"] = _rewrite_location(headers["Location"], request, prefix)
        return headers
    headers = CIMultiDict(
        (name, _host_only(value) if name.lower() == "set-cookie" else value)
        for name, value in end_to_end(found, dropped).items()
    )
    # Other servers must not learn the host of the link, which is its only secret.
    headers.setdefault("Referrer-Policy", "same-origin")
    return headers


def _host_only(cookie: str) -> str:
    """Return a ``Set-Cookie`` header without ``Domain``; browsers split it at each semicolon."""
    first, *attributes = cookie.split(";")
    kept = [one for one in attributes if one.partition("=")[0].strip().lower() != "domain"]
    return ";".join([first, *kept])


def end_to_end(headers: Mapping[str, str], others: Set[str]) -> CIMultiDict[str]:
    """Return the headers without those of a single connection, and without some others."""
    named = headers.get("Connection", "").lower().split(",")
    dropped = _HOP_BY_HOP | others | {name.strip() for name in named}
    return CIMultiDict(item for item in headers.items() if item[0].lower() not in dropped)


def _rewrite_location(location: str, request: web.Request, prefix: str) -> str:
    origin = f"{request.scheme}://{request.host}"
    own, path = (origin, location[len(origin) :]) if location.startswith(origin) else ("", location)
    if path.startswith("/") and not path.startswith(("//", f"{prefix}/")):
        return f"{own}{prefix}{path}"
    return location
