"""The first message of TLS, as the outbound proxy reads it."""

from __future__ import annotations

import ssl
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_local.sandbox.outbound import client_hello
from agentbay_local.sandbox.outbound.client_hello import (
    ClientHello,
    ClientHelloReader,
    InvalidHello,
    is_retry_request,
    parse_client_hello,
)


def hello_of_openssl(name: str | None) -> bytes:
    """Return what a real client sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


REAL = hello_of_openssl("pypi.org")


def vector(size: int, data: bytes) -> bytes:
    """Return data after its length."""
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    """Return an extension."""
    return kind.to_bytes(2, "big") + vector(2, data)


def server_name(*names: bytes, kind: int = 0) -> bytes:
    """Return the extension with the server's name."""
    entries = b"".join(bytes([kind]) + vector(2, name) for name in names)
    return extension(0, vector(2, entries))


def body(extensions: bytes | None, *, suites: bytes = b"\x13\x01", after: bytes = b"") -> bytes:
    """Return the body of a ClientHello."""
    fixed = b"\x03\x03" + bytes(32) + vector(1, b"") + vector(2, suites) + vector(1, b"\0")
    return fixed + (b"" if extensions is None else vector(2, extensions)) + after


def message(content: bytes) -> bytes:
    """Return a handshake message."""
    return b"\x01" + vector(3, content)


def record(content: bytes, kind: int = 22) -> bytes:
    """Return a record."""
    return bytes([kind, 3, 1]) + vector(2, content)


def read(data: bytes, **options: bool) -> ClientHello | None:
    """Read bytes that come at once."""
    return ClientHelloReader(data, **options).parse()


def test_the_name_of_a_real_client_is_read() -> None:
    """OpenSSL sends none without a server name."""
    assert read(REAL) == ClientHello("pypi.org", is_encrypted=False)
    assert read(hello_of_openssl(None)) == ClientHello(None, is_encrypted=False)
    assert read(record(message(body(server_name(b"PyPI.org."))))) == ClientHello("pypi.org", False)
    assert read(record(message(body(None)))) == ClientHello(None, is_encrypted=False)


@given(st.lists(st.integers(0, len(REAL)), max_size=6), st.integers(1, 200))
def test_fragments_make_no_difference(cuts: list[int], size: int) -> None:
    """Neither those of the network nor those of TLS."""
    content = REAL[5:]
    wire = b"".join(record(content[i : i + size]) for i in range(0, len(content), size))
    reader = ClientHelloReader()
    edges = sorted({0, *cuts, len(wire)})
    found = None
    for start, end in pairwise(edges):
        assert found is None
        reader.feed(wire[start:end])
        found = reader.parse()
    if len(wire) > client_hello.LARGEST_WIRE:
        return
    assert found == ClientHello("pypi.org", is_encrypted=False)
    assert (reader.wire, reader.rest) == (wire, b"")


def test_bytes_after_the_message_are_kept_apart() -> None:
    """They may not go to the host before its answer."""
    reader = ClientHelloReader(REAL + record(b"early", 23) + b"\x17")
    assert reader.parse() is not None
    assert (reader.wire, reader.rest) == (REAL, record(b"early", 23) + b"\x17")


HOSTILE = {
    "no TLS": b"GET / HTTP/1.1\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "version 2 of SSL": b"\x80\x2e\x01\x00\x02",
    "another version": b"\x16\x02\x00\x00\x05\x01\x00\x00\x01\x00",
    "alert first": record(b"\x01\x00", 21) + REAL,
    "data first": record(b"x", 23) + REAL,
    "cipher change first": record(b"\x01", 20) + REAL,
    "empty record": record(b"") + REAL,
    "record too long": b"\x16\x03\x01\x40\x01",
    "another message": record(b"\x02" + vector(3, b"x")),
    "message too long": record(b"\x01\x01\x00\x00"),
    "two messages in a record": record(message(body(server_name(b"a.b"))) * 2),
    "another record inside": record(message(body(None))[:9]) + record(b"x", 23),
    "bytes after the extensions": record(message(body(server_name(b"a.b"), after=b"x"))),
    "odd cipher suites": record(message(body(None, suites=b"\x13"))),
    "no cipher suites": record(message(body(None, suites=b""))),
    "name twice": record(message(body(server_name(b"a.b") * 2))),
    "two names": record(message(body(server_name(b"a.b", b"c.d")))),
    "no names": record(message(body(server_name()))),
    "empty name": record(message(body(server_name(b"")))),
    "name of another kind": record(message(body(server_name(b"a.b", kind=1)))),
    "name with a zero": record(message(body(server_name(b"a.b\0.c")))),
    "name with a space": record(message(body(server_name(b" a.b")))),
    "name that is not ASCII": record(message(body(server_name("\u00e4.b".encode())))),
    "bytes after the name": record(message(body(extension(0, vector(2, b"\0\0\1a") + b"x")))),
    "extension cut off": record(message(body(b"\0\0\0\x09x"))),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_messages_are_invalid(data: bytes) -> None:
    """A server might read a name in them that the proxy does not see."""
    with pytest.raises(InvalidHello):
        read(data)


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE, 0xFF02])
def test_an_encrypted_name_is_noticed(kind: int) -> None:
    """The name in clear text is not the real one then."""
    found = read(record(message(body(server_name(b"a.b") + extension(kind, b"x")))))
    assert found == ClientHello("a.b", is_encrypted=True)


def test_an_endless_message_is_given_up() -> None:
    """Also in fragments of one byte."""
    start = message(bytes(30_000))
    reader = ClientHelloReader(b"".join(record(start[i : i + 1]) for i in range(20_000)))
    with pytest.raises(InvalidHello, match="not complete after 65536 bytes"):
        reader.parse()


@given(
    st.binary(max_size=200)
    | st.binary(max_size=120).map(lambda data: record(message(data)))
    | st.binary(max_size=80).map(lambda data: record(message(body(data))))
    | st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)).map(
        lambda change: REAL[: change[0]] + bytes([change[1]]) + REAL[change[0] + 1 :]
    )
)
def test_no_bytes_break_the_parser(data: bytes) -> None:
    """The outcome is a message, a wish for more, or `InvalidHello`."""
    try:
        found = read(data)
        parse_client_hello(data)
    except InvalidHello:
        return
    assert found is None or isinstance(found, ClientHello)


def test_records_before_the_second_message_are_skipped() -> None:
    """After a retry request, clients send a cipher change for old machines, or early data."""
    first = record(b"\x01", 20) + record(b"early", 23)
    reader = ClientHelloReader(first + REAL, after_retry=True)
    assert reader.parse() == ClientHello("pypi.org", is_encrypted=False)
    assert reader.wire == first + REAL


def test_a_retry_request_is_known_by_its_random_value() -> None:
    """RFC 8446 has the value."""
    value = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")
    for random, is_retry in ((value, True), (bytes(32), False)):
        answer = record(b"\x02" + vector(3, b"\x03\x03" + random + b"\0"))
        assert is_retry_request(answer) is is_retry
    assert not is_retry_request(b"")
