"""Requests to the outbound proxy: parsing and rewriting."""

from __future__ import annotations

import h11
import pytest

from agentbay_local.sandbox.outbound.requests import Refusal, Request, RequestParser


def head(*lines: str) -> bytes:
    """Return the head of a request."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def parse_request(content: bytes) -> Request:
    """Parse the head of a request."""
    parser = RequestParser()
    parser.feed(content)
    request = parser.parse_head()
    assert request is not None
    return request


def forwarded(request: Request) -> bytes:
    """Return the head of a request as the host receives it."""
    assert request.head is not None
    return h11.Connection(h11.CLIENT).send(request.head) or b""


def test_tunnel_names_a_host_and_a_port() -> None:
    """Its head is not forwarded."""
    request = parse_request(
        head("CONNECT PyPI.org:443 HTTP/1.1", "Host: other.test", "User-Agent: x")
    )

    assert (request.host, request.port, request.head) == ("pypi.org", 443, None)


def test_tunnel_to_an_ipv6_address_is_bracketed() -> None:
    """As in every address with a port."""
    request = parse_request(head("CONNECT [2001:DB8::1]:443 HTTP/1.1", "Host: x"))

    assert (request.host, request.port) == ("2001:db8::1", 443)


def test_plain_request_is_rewritten_for_its_host() -> None:
    """Host is that of the URL, and the connection is closed after the answer."""
    request = parse_request(
        head(
            "POST http://a.test:8080/p?q=1 HTTP/1.1",
            "Host: internal",
            "Accept: */*",
            "Proxy-Authorization: Basic xyz",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "Content-Length: 5",
        )
    )

    assert forwarded(request) == head(
        "POST /p?q=1 HTTP/1.1",
        "Host: a.test:8080",
        "Connection: close",
        "Accept: */*",
        "Content-Length: 5",
    )
    assert (request.host, request.port) == ("a.test", 8080)


@pytest.mark.parametrize(
    ("target", "line"),
    [("http://a.test", "GET / HTTP/1.1"), ("HTTP://a.test?x=1", "GET /?x=1 HTTP/1.1")],
)
def test_url_without_a_path_requests_the_root(target: str, line: str) -> None:
    """The default port is 80."""
    request = parse_request(head(f"GET {target} HTTP/1.0"))

    assert forwarded(request).decode().split("\r\n")[0] == line
    assert request.port == 80


def test_chunked_body_stays_chunked() -> None:
    """The header is forwarded."""
    request = parse_request(
        head("PUT http://a.test/ HTTP/1.1", "Host: a.test", "Transfer-Encoding: Chunked")
    )

    assert b"Transfer-Encoding: chunked\r\n" in forwarded(request)


def test_length_of_a_body_cannot_be_hidden_from_the_host() -> None:
    """The host would read the body as another request."""
    lines = [
        "POST http://a.test/ HTTP/1.1",
        "Host: a.test",
        "Connection: content-length",
        "Content-Length: 5",
    ]

    assert b"Content-Length: 5" in forwarded(parse_request(head(*lines)))


@pytest.mark.parametrize(
    "lines",
    [
        [""],
        ["GET"],
        ["GET http://a.test/ HTTP/2"],
        ["GET http://a.test/ HTTP/1.1"],
        ["GET http://a.test/ HTTP/1.1", "Host: a.test", "Host: b.test"],
        ["GET  http://a.test/ HTTP/1.1", "Host: a.test"],
        ["GET /path HTTP/1.1", "Host: a.test"],
        ["GET https://a.test/ HTTP/1.1", "Host: a.test"],
        ["GET ftp://a.test/ HTTP/1.1", "Host: a.test"],
        ["GET http:///x HTTP/1.1", "Host: a.test"],
        ["GET http://a.test/#f HTTP/1.1", "Host: a.test"],
        ["GET http://user@a.test/ HTTP/1.1", "Host: a.test"],
        ["GET http://a.test:0/ HTTP/1.1", "Host: a.test"],
        ["CONNECT a.test HTTP/1.1", "Host: a.test"],
        ["CONNECT a.test:99999 HTTP/1.1", "Host: a.test"],
        ["CONNECT http://a.test:443 HTTP/1.1", "Host: a.test"],
        ["GET http://a.test/ HTTP/1.1", "Host: a.test", "no colon"],
        ["GET http://a.test/ HTTP/1.1", "Host: a.test", "Name : value"],
        ["GET http://a.test/ HTTP/1.1", " folded: value"],
        ["GET http://a.test/ HTTP/1.1", "Host: a.test", "X: a\rb"],
        ["GET http://a.test/ HTTP/1.1", "Host: a.test", "X: a\nb"],
        ["POST http://a.test/ HTTP/1.1", "Host: a.test", "Content-Length: 1", "Content-Length: 2"],
        ["POST http://a.test/ HTTP/1.1", "Host: a.test", "Content-Length: -1"],
        ["POST http://a.test/ HTTP/1.1", "Host: a.test", f"Content-Length: {10**30}"],
        [
            "POST http://a.test/ HTTP/1.1",
            "Host: a.test",
            "Content-Length: 1",
            "Transfer-Encoding: chunked",
        ],
        ["POST http://a.test/ HTTP/1.1", "Host: a.test", "Transfer-Encoding: gzip, chunked"],
    ],
)
def test_ambiguous_request_is_rejected(lines: list[str]) -> None:
    """The answer has the reason."""
    with pytest.raises(Refusal, match="cannot read this request: ") as caught:
        parse_request(head(*lines))

    assert caught.value.answer().startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_rejection_is_a_complete_response() -> None:
    """With length, type and end."""
    with pytest.raises(Refusal) as caught:
        parse_request(head("GET /x HTTP/1.1", "Host: a.test"))
    start, _, body = caught.value.answer().partition(b"\r\n\r\n")

    assert f"Content-Length: {len(body)}".encode() in start
    assert b"Connection: close" in start
    assert body == f"{caught.value}\n".encode()
