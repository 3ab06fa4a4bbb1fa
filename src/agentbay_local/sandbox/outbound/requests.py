"""Requests to the proxy: parse what a session sends, and write it anew for the host.

All of it is hostile until it is parsed. Nothing is passed on byte for byte: h11 parses the request,
and h11 writes another one, so that the host cannot find another end of it than the proxy did.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import attrs
import h11

from agentbay_local.sandbox.outbound.allow_list import normalize_host, split_port

__all__ = ["LARGEST_HEAD", "Refusal", "Request", "RequestParser"]

LARGEST_HEAD = 64 * 1024
"""Bytes of the first line and the headers of a request."""

_URL = re.compile(rb"http://([^/?#]+)([^#]*)", re.IGNORECASE)

_HOP_BY_HOP = {
    b"connection",
    b"host",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"upgrade",
}
"""Headers that are not passed on: they concern the proxy, and the host gets a new Host header."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of this program
    """A request that the proxy does not carry out.

    Attributes:
        status: The status of the answer.
        sentence: The reason, and the cure if there is one.
    """

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence

    def answer(self) -> bytes:
        """Return the whole answer."""
        body = f"{self.sentence}\n".encode("utf-8", "replace")
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode("ascii") + body


@attrs.frozen
class Request:
    """A request of a session.

    Attributes:
        host: A name or an address, as `normalize_host` writes it.
        port: 1 to 65535.
        head: The request for the host; None for a tunnel, in which the session itself speaks.
    """

    host: str
    port: int
    head: h11.Request | None = None


class RequestParser:
    r"""The parser of one request: its head, then its body.

    Example:
        >>> parser = RequestParser()
        >>> parser.feed(b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org\r\n\r\nhello")
        >>> parser.parse_head()
        Request(host='pypi.org', port=443, head=None)
        >>> parser.unparsed
        b'hello'
    """

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)

    @property
    def unparsed(self) -> bytes:
        """The bytes that came after the head of a tunnel, or after the body."""
        return self._connection.trailing_data[0]

    def feed(self, data: bytes) -> None:
        """Take what has come; b"" is the end."""
        self._connection.receive_data(data)

    def parse_head(self) -> Request | None:
        """Return the request; None when its head has not come in full.

        Raises:
            Refusal: A proxy cannot carry it out.
        """
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                raise Refusal(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"The headers of a request may have at most {LARGEST_HEAD} bytes.",
                ) from None
            raise _malformed(str(error)) from None
        return _check(event) if isinstance(event, h11.Request) else None

    def parse_body(self) -> h11.Data | h11.EndOfMessage | None:
        """Return the next part of the body; None when more has to come.

        Raises:
            h11.RemoteProtocolError: It is malformed, or it ended too early.
        """
        event = self._connection.next_event()
        return event if isinstance(event, (h11.Data, h11.EndOfMessage)) else None


def _check(request: h11.Request) -> Request:
    if request.method == b"CONNECT":
        return Request(*_parse_authority(request.target, None))
    url = _URL.fullmatch(request.target)
    if url is None:
        raise _malformed("its address does not begin with http://; use CONNECT for https")
    names = {name for name, _ in request.headers}
    # The two can disagree about the end of the body. h11 lets the second one win; others do not.
    if {b"content-length", b"transfer-encoding"} <= names:
        raise _malformed("it has both Content-Length and Transfer-Encoding; send one of them")
    target = url[2] if url[2].startswith(b"/") else b"/" + url[2]
    own = [(b"Host", url[1]), (b"Connection", b"close")]
    headers = [*own, *_end_to_end(request)]
    head = h11.Request(method=request.method, target=target, headers=headers)
    return Request(*_parse_authority(url[1], 80), head)


def _parse_authority(text: bytes, default: int | None) -> tuple[str, int]:
    parts = split_port(text.decode("latin-1"))
    host = normalize_host(parts[0]) if parts else None
    port = (parts[1] or default) if parts else None
    if host is None or port is None:
        raise _malformed("its address has no valid host and port")
    return host, port


def _end_to_end(request: h11.Request) -> list[tuple[bytes, bytes]]:
    """Return the headers that are for the host and not for the proxy."""
    dropped = set(_HOP_BY_HOP)
    for name, value in request.headers:
        if name == b"connection":
            dropped.update(word.strip().lower() for word in value.split(b","))
    # Without these, the host would find another end of the body than the proxy does.
    dropped -= {b"content-length", b"transfer-encoding"}
    return [
        (name, value) for name, value in request.headers.raw_items() if name.lower() not in dropped
    ]


def _malformed(reason: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, f"The proxy cannot read this request: {reason}.")
