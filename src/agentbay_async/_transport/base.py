"""The transport seam: send one HTTP request, return one response.

A client sends every call through a :class:`Transport`: the actions of the API, and tools that are
called directly at a session's own address. WebSockets, and files that travel to and from the object
store, are streams and have connections besides it.
"""

from __future__ import annotations

import json
import platform
import random
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, quote_plus, urlsplit

import attrs
from multidict import CIMultiDict, istr

from agentbay_async._installation import __version__
from agentbay_async._protocol.forms import encode_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async._protocol.schema import Request


_NO_HEADERS: Mapping[str, str] = {}


@attrs.frozen
class HttpRequest:
    """An HTTP request, as a transport sends it.

    Attributes:
        action: The action of the API, such as ``"CreateMcpSession"``. For a tool called directly
            at its session, the tool: ``"shell (direct)"``. Errors name it.
        url: The URL, percent-encoded.
        body: The body.
        headers: The headers.
        timeout: Seconds for the whole exchange.
        method: The HTTP method.
        max_size: The most bytes that the body of the response may have, decompressed.
    """

    action: str
    # These three may hold the API key, or the token of a session.
    url: str = attrs.field(repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    timeout: float = 60.0
    method: str = "POST"
    max_size: int = 8 * 1024 * 1024

    @property
    def query(self) -> dict[str, str]:
        """The fields of the URL's query."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form body, without the API key."""
        fields = dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        fields.pop("Authorization", None)
        return fields


@attrs.frozen
class HttpResponse:
    """An HTTP response, as a transport returns it.

    Attributes:
        status: The HTTP status.
        body: The body.
        headers: The headers. Use a case-insensitive mapping for headers from the network.
    """

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    headers: Mapping[str, str] = _NO_HEADERS

    @classmethod
    def success(cls, data: object = None, **envelope: object) -> HttpResponse:
        """Make the answer to an action that succeeded.

        Args:
            data: The ``Data`` of the answer; ``None`` leaves it out.
            envelope: Other fields of the answer, such as ``NextToken``.

        Example:
            >>> HttpResponse.success({"SessionId": "s-1"}).status
            200
        """
        document = {"RequestId": "", "Success": True, "Code": "ok", **envelope}
        return cls(
            200, json.dumps(document if data is None else {**document, "Data": data}).encode()
        )

    @classmethod
    def failure(
        cls,
        code: str,
        message: str = "",
        *,
        status: int = 400,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> HttpResponse:
        """Make the answer to an action that the service refused.

        Args:
            code: The error code of the service, such as ``"InvalidMcpSession.NotFound"``.
            message: The message of the service.
            status: The HTTP status.
            headers: The headers, such as ``Retry-After``.
        """
        document = {"RequestId": "", "Success": False, "Code": code, "Message": message}
        return cls(status, json.dumps(document).encode(), headers)


class Transport(Protocol):
    """Sends the HTTP requests of a client.

    Implement it to record traffic, to go through another HTTP library, or to test without a
    service (:class:`MockTransport` does that). Pass it as ``AsyncAgentBay(transport=...)``. The
    client retries, reads answers and raises errors above the transport.

    Example:
        Count requests, and send them by another transport::

            class Counting:
                def __init__(self, inner: Transport) -> None:
                    self.inner = inner
                    self.count = 0

                async def send(self, request: HttpRequest) -> HttpResponse:
                    self.count += 1
                    return await self.inner.send(request)

                async def aclose(self) -> None:
                    await self.inner.aclose()
    """

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send `request` once and return the response, whatever its status.

        Raises:
            ConnectionFailedError: Nothing reached the service. The client may send it again.
            ConnectionLostError: The connection broke; the service may have acted on the request.
            RequestTimeoutError: No response within ``request.timeout`` seconds.
            BadAnswerError: The response was cut short or is not HTTP.
            AnswerTooLargeError: The body has more than ``request.max_size`` bytes.
        """
        ...

    async def aclose(self) -> None:
        """Release the connections of the running event loop. Called when the client is closed."""
        ...


_VERSION = "2025-05-06"
_USER_AGENT = f"agentbay-python/{__version__} Python/{platform.python_version()}"


class RequestBuilder:
    """Builds requests to one service.

    Args:
        endpoint: The URL of the service, without a trailing slash.
        api_key: The key. It is sent as a form field.

    Attributes:
        endpoint: The URL of the service.
        key_in_query: Whether actions for which a gateway may want the key in the query send it
            there too.
    """

    def __init__(self, endpoint: str, api_key: str) -> None:
        self.endpoint = endpoint
        self._base = f"{endpoint}/?Format=json&Version={_VERSION}&Action="
        self._authorization = f"Authorization=Bearer+{quote_plus(api_key)}"
        self._timestamp = (0, "")
        self.key_in_query = False

    def build(self, request: Request[Any], timeout: float) -> HttpRequest:
        """Return the HTTP request for `request`, with `timeout` in seconds."""
        query, form = encode_request(request)
        body = f"{self._authorization}&{form}" if form else self._authorization
        action = request.ACTION
        # Nothing is signed with nonce and time, but the protocol lists them as required.
        nonce = f"{random.getrandbits(128):032x}"
        extra = f"&{query}" if query else ""
        if self.key_in_query and request.KEY_MAY_BE_IN_QUERY:
            extra += f"&{self._authorization}"
        second = int(time.time())
        if self._timestamp[0] != second:
            text = time.strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ", time.gmtime(second))
            self._timestamp = (second, text)
        url = f"{self._base}{action}&Timestamp={self._timestamp[1]}&SignatureNonce={nonce}{extra}"
        return HttpRequest(
            action,
            url,
            body.encode("ascii"),
            _headers(action),
            timeout,
            max_size=request.MAX_ANSWER,
        )


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
