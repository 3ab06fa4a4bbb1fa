"""Build the HTTP request of an action: URL, headers and form."""

from __future__ import annotations

import platform
import random
import time
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from multidict import CIMultiDict, istr

from agentbay_async._protocol.forms import encode_request
from agentbay_async._transport.base import HttpRequest
from agentbay_async._version import __version__

if TYPE_CHECKING:
    from agentbay_async._protocol.schema import Request

_VERSION = "2025-05-06"
_USER_AGENT = f"agentbay-python/{__version__} Python/{platform.python_version()}"


class RequestBuilder:
    """Builds requests to one service.

    Args:
        endpoint: The URL of the service, without a trailing slash.
        api_key: The key. It is sent as a form field, as the protocol wants it, never in the URL.
    """

    def __init__(self, endpoint: str, api_key: str) -> None:
        self._base = f"{endpoint}/?Format=json&Version={_VERSION}&Action="
        self._authorization = f"Authorization=Bearer+{quote_plus(api_key)}"
        self._timestamp = (0, "")

    def build(self, request: Request[Any], timeout: float) -> HttpRequest:
        """Return the HTTP request for `request`, with `timeout` in seconds."""
        query, form = encode_request(request)
        body = f"{self._authorization}&{form}" if form else self._authorization
        action = request.ACTION
        # Nothing is signed with nonce and time, but the protocol lists them as required.
        nonce = f"{random.getrandbits(128):032x}"
        extra = f"&{query}" if query else ""
        url = f"{self._base}{action}&Timestamp={self._now()}&SignatureNonce={nonce}{extra}"
        return HttpRequest(action, url, body.encode("ascii"), _headers(action), timeout)

    def _now(self) -> str:
        # Formatted once a second.
        second = int(time.time())
        if self._timestamp[0] != second:
            text = time.strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ", time.gmtime(second))
            self._timestamp = (second, text)
        return self._timestamp[1]


@cache
def _headers(action: str) -> CIMultiDict[str]:
    # The type that aiohttp would convert them to, for each request.
    return CIMultiDict(
        {
            istr("x-acs-version"): _VERSION,
            istr("x-acs-action"): action,
            istr("User-Agent"): _USER_AGENT,
            istr("Content-Type"): "application/x-www-form-urlencoded",
        }
    )
