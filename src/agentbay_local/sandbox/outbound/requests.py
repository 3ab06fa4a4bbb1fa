"""Reading what a session asks the proxy for. Everything here is hostile until it is read."""

from __future__ import annotations

import re
from http import HTTPStatus

import attrs

from agentbay_local.sandbox.outbound.allow_list import normalize_host, split_port

__all__ = ["CHUNKED", "Refusal", "Request", "parse_request"]

CHUNKED = -1
"""Length of a body that says itself where it ends."""

_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n]*)")
_URL = re.compile(r"http://([^/?#]+)([^#]*)", re.IGNORECASE)
_LONGEST_LENGTH = 18

_OF_THE_HOP = {
    "connection",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "upgrade",
}
"""Headers that are between a session and the proxy; the host is named anew."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of this program
    """A request that is not carried.

    Attributes:
        status: What the session is answered.
        sentence: Why, and what would help.
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
    """What a session asks for.

    Attributes:
        host: A name or an address, as `named` writes it.
        port: 1 to 65535.
        head: What the host is told first; empty for a tunnel, in which the session itself speaks.
        length: Bytes of the body that follows, or `CHUNKED`.
    """

    host: str
    port: int
    head: bytes = b""
    length: int = 0

    @property
    def tunnel(self) -> bool:
        """Whether everything is carried as it comes, in both directions."""
        return not self.head


def parse_request(head: bytes) -> Request:
    """Read a request up to its empty line.

    Raises:
        Refusal: It is not one that a proxy can carry.
    """
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    asked = _LINE.fullmatch(first)
    if asked is None:
        raise _malformed("its first line is no request")
    method, target = asked.groups()
    if method == "CONNECT":
        return Request(*_authority(target, None))
    url = _URL.fullmatch(target)
    if url is None:
        raise _malformed("it asks for no http:// address; secure ones are reached by CONNECT")
    host, port = _authority(url[1], 80)
    headers = [_header(line) for line in lines]
    path = url[2] if url[2].startswith("/") else f"/{url[2]}"
    told = [f"{method} {path} HTTP/1.1", f"Host: {url[1]}", "Connection: close", *_passed(headers)]
    return Request(host, port, "\r\n".join([*told, "", ""]).encode("latin-1"), _length(headers))


def _authority(text: str, usual: int | None) -> tuple[str, int]:
    parts = split_port(text)
    host = normalize_host(parts[0]) if parts else None
    port = (parts[1] or usual) if parts else None
    if host is None or port is None:
        raise _malformed("it names no host and port")
    return host, port


def _header(line: str) -> tuple[str, str]:
    parts = _HEADER.fullmatch(line)
    if parts is None:
        raise _malformed("one of its headers is none")
    return parts[1], parts[2].rstrip(" \t")


def _passed(headers: list[tuple[str, str]]) -> list[str]:
    """Return the lines that are meant for the host and not for the proxy."""
    dropped = set(_OF_THE_HOP)
    for name, value in headers:
        if name.lower() == "connection":
            dropped.update(word.strip().lower() for word in value.split(","))
    # Without these, the host would find another end of the body than the proxy does.
    dropped -= {"content-length", "transfer-encoding"}
    return [f"{name}: {value}" for name, value in headers if name.lower() not in dropped]


def _length(headers: list[tuple[str, str]]) -> int:
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    codings = [value.lower() for name, value in headers if name.lower() == "transfer-encoding"]
    if codings == ["chunked"] and not lengths:
        return CHUNKED
    if codings or len(lengths) > 1:
        raise _malformed("the length of its body is said in two ways, or in an unknown one")
    if not lengths:
        return 0
    digits = lengths[0]
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _LONGEST_LENGTH:
        raise _malformed("the length of its body is no number")
    return int(digits)


def _malformed(why: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, f"The proxy cannot read this request: {why}.")
