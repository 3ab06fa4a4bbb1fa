"""What a session may ask the proxy for, and how it is passed on."""

from __future__ import annotations

import pytest

from agentbay_local.sandbox.outbound.requests import CHUNKED, Refusal, parse_request


def head(*lines: str) -> bytes:
    """Write the head of a request."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_tunnel_names_a_host_and_a_port() -> None:
    """Nothing of its head is passed on."""
    request = parse_request(
        head("CONNECT PyPI.org:443 HTTP/1.1", "Host: other.test", "User-Agent: x")
    )

    assert (request.host, request.port, request.head) == ("pypi.org", 443, b"")
    assert request.tunnel


def test_tunnel_to_an_ipv6_address_is_bracketed() -> None:
    """As in every address with a port."""
    request = parse_request(head("CONNECT [2001:DB8::1]:443 HTTP/1.1"))

    assert (request.host, request.port) == ("2001:db8::1", 443)


def test_plain_request_is_told_to_the_host_it_names() -> None:
    """The host's name is that of the address, whatever the header said; the connection ends."""
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

    assert request.head == head(
        "POST /p?q=1 HTTP/1.1",
        "Host: a.test:8080",
        "Connection: close",
        "Accept: */*",
        "Content-Length: 5",
    )
    assert (request.host, request.port, request.length) == ("a.test", 8080, 5)


@pytest.mark.parametrize(
    ("target", "line"),
    [("http://a.test", "GET / HTTP/1.1"), ("HTTP://a.test?x=1", "GET /?x=1 HTTP/1.1")],
)
def test_address_without_a_path_asks_for_the_root(target: str, line: str) -> None:
    """And port 80 is meant."""
    request = parse_request(head(f"GET {target} HTTP/1.0"))

    assert request.head.decode().split("\r\n")[0] == line
    assert request.port == 80


def test_body_in_chunks_says_itself_where_it_ends() -> None:
    """The host is told so."""
    request = parse_request(head("PUT http://a.test/ HTTP/1.1", "Transfer-Encoding: Chunked"))

    assert request.length == CHUNKED
    assert b"Transfer-Encoding: Chunked" in request.head


def test_length_of_a_body_cannot_be_hidden_from_the_host() -> None:
    """Or it would read the body as another request."""
    lines = ["POST http://a.test/ HTTP/1.1", "Connection: content-length", "Content-Length: 5"]

    assert b"Content-Length: 5" in parse_request(head(*lines)).head


@pytest.mark.parametrize(
    "lines",
    [
        [""],
        ["GET"],
        ["GET http://a.test/ HTTP/2"],
        ["GET  http://a.test/ HTTP/1.1"],
        ["GET /path HTTP/1.1", "Host: a.test"],
        ["GET https://a.test/ HTTP/1.1"],
        ["GET ftp://a.test/ HTTP/1.1"],
        ["GET http:///x HTTP/1.1"],
        ["GET http://a.test/#f HTTP/1.1"],
        ["GET http://user@a.test/ HTTP/1.1"],
        ["GET http://a.test:0/ HTTP/1.1"],
        ["CONNECT a.test HTTP/1.1"],
        ["CONNECT a.test:99999 HTTP/1.1"],
        ["CONNECT http://a.test:443 HTTP/1.1"],
        ["GET http://a.test/ HTTP/1.1", "no colon"],
        ["GET http://a.test/ HTTP/1.1", "Name : value"],
        ["GET http://a.test/ HTTP/1.1", " folded: value"],
        ["GET http://a.test/ HTTP/1.1", "X: a\rb"],
        ["GET http://a.test/ HTTP/1.1", "X: a\nb"],
        ["POST http://a.test/ HTTP/1.1", "Content-Length: 1", "Content-Length: 2"],
        ["POST http://a.test/ HTTP/1.1", "Content-Length: -1"],
        ["POST http://a.test/ HTTP/1.1", "Content-Length: 9999999999999999999"],
        ["POST http://a.test/ HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked"],
        ["POST http://a.test/ HTTP/1.1", "Transfer-Encoding: gzip, chunked"],
    ],
)
def test_what_cannot_be_read_in_one_way_only_is_refused(lines: list[str]) -> None:
    """The session is told what is wrong with it."""
    with pytest.raises(Refusal, match="cannot read this request: ") as caught:
        parse_request(head(*lines))

    assert caught.value.answer().startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_refusal_is_a_whole_answer() -> None:
    """With a length, a type and an end."""
    with pytest.raises(Refusal) as caught:
        parse_request(head("GET /x HTTP/1.1"))
    start, _, body = caught.value.answer().partition(b"\r\n\r\n")

    assert f"Content-Length: {len(body)}".encode() in start
    assert b"Connection: close" in start
    assert body == f"{caught.value}\n".encode()
