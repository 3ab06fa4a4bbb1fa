"""The first message of TLS, in which a client names the server that it wants (SNI).

Hostile bytes: everything is bounded, and what a server could read in two ways is refused.
"""

from __future__ import annotations

import hashlib

import attrs

from agentbay_local.sandbox.outbound.allow_list import normalize_host

__all__ = [
    "RETRY_ANSWER_BYTES",
    "ClientHello",
    "ClientHelloReader",
    "InvalidHello",
    "is_retry_request",
    "parse_client_hello",
]

LARGEST_HELLO = 32 * 1024
"""Bytes of the message; with keys of quantum-safe methods it has some 2,000."""

LARGEST_WIRE = 64 * 1024
"""Bytes until the message is complete, headers of its fragments included."""

RETRY_ANSWER_BYTES = 43
"""Bytes of an answer from which `is_retry_request` can tell."""

_LARGEST_RECORD = 1 << 14
_CHANGE_CIPHER_SPEC, _HANDSHAKE, _APPLICATION_DATA = 20, 22, 23
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SERVER_NAME, _HOST_NAME = 0, 0
# Encrypted ClientHello (RFC 9849), its drafts, and the encrypted SNI before it.
_ENCRYPTED = frozenset({*range(0xFE08, 0xFE0E), 0xFF02, 0xFF03, 0xFFCE})
# RFC 8446, 4.1.3: a ServerHello with this random value asks for another ClientHello.
_RETRY_RANDOM = hashlib.sha256(b"HelloRetryRequest").digest()


class InvalidHello(ValueError):  # noqa: N818 - the name of what is invalid
    """Bytes that are not one unambiguous ClientHello; the message continues "its first message"."""


@attrs.frozen
class ClientHello:
    """What a ClientHello says about its server.

    Attributes:
        server_name: The name, as `normalize_host` writes it; None if it has none.
        is_encrypted: Whether it may have another, encrypted name.
    """

    server_name: str | None
    is_encrypted: bool


class ClientHelloReader:
    """Assembles a ClientHello from records.

    Args:
        data: The bytes that have come already.
        after_retry: The server has asked for another ClientHello. Then a client may send other
            records before it, which the server skips.
    """

    def __init__(self, data: bytes = b"", *, after_retry: bool = False) -> None:
        self._wire = bytearray()
        self._message = bytearray()
        self._rest = bytearray(data)
        self._skipped = (_CHANGE_CIPHER_SPEC, _APPLICATION_DATA) if after_retry else ()

    @property
    def wire(self) -> bytes:
        """The records up to the end of the message, as they came."""
        return bytes(self._wire)

    @property
    def rest(self) -> bytes:
        """The bytes after them."""
        return bytes(self._rest)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._rest += data

    def parse(self) -> ClientHello | None:
        """Return the message; None when more has to come.

        Raises:
            InvalidHello: It is not TLS, or malformed, or too long.
        """
        while (record := self._next_record()) is not None:
            kind, content = record
            if kind in self._skipped and not self._message:
                continue
            if kind != _HANDSHAKE or not content:
                raise InvalidHello("is not a TLS handshake")
            self._message += content
            if self._message[0] != _CLIENT_HELLO:
                raise InvalidHello("is not a ClientHello")
            size = int.from_bytes(self._message[1:4], "big")
            if size > LARGEST_HELLO:
                raise InvalidHello(f"has more than {LARGEST_HELLO} bytes")
            if len(self._message) >= 4 + size and len(self._message) >= 4:
                if len(self._message) > 4 + size:
                    raise InvalidHello("is followed by another one in its record")
                return parse_client_hello(bytes(self._message[4:]))
        return None

    def _next_record(self) -> tuple[int, bytes] | None:
        rest = self._rest
        if len(self._wire) + min(len(rest), 5) > LARGEST_WIRE:
            raise InvalidHello(f"is not complete after {LARGEST_WIRE} bytes")
        if rest and rest[0] not in (_HANDSHAKE, *self._skipped):
            raise InvalidHello("is not a TLS handshake")
        if len(rest) < 5:
            return None
        size = int.from_bytes(rest[3:5], "big")
        if rest[1] != 3 or size > _LARGEST_RECORD:
            raise InvalidHello("is not a TLS record")
        if len(rest) < 5 + size:
            return None
        kind, content = rest[0], bytes(rest[5 : 5 + size])
        self._wire += rest[: 5 + size]
        del rest[: 5 + size]
        return kind, content


def parse_client_hello(body: bytes) -> ClientHello:
    """Parse the body of a ClientHello, without the four bytes of its header.

    Raises:
        InvalidHello: It is malformed, or has a field twice.
    """
    reader = _Fields(body)
    reader.take(2 + 32)  # version and random value
    reader.vector(1, most=32)  # session id
    suites, methods = reader.vector(2), reader.vector(1)
    if not suites or len(suites) % 2 or not methods:
        raise InvalidHello("is malformed")
    extensions = dict(_extensions(reader.vector(2))) if reader.left else {}
    if reader.left:
        raise InvalidHello("is malformed")
    name = extensions.get(_SERVER_NAME)
    is_encrypted = not _ENCRYPTED.isdisjoint(extensions)
    return ClientHello(None if name is None else _parse_name(name), is_encrypted)


def is_retry_request(answer: bytes) -> bool:
    """Return whether the first bytes of a server's answer ask for another ClientHello."""
    return (
        len(answer) >= RETRY_ANSWER_BYTES
        and (answer[0], answer[5]) == (_HANDSHAKE, _SERVER_HELLO)
        and answer[11:43] == _RETRY_RANDOM
    )


class _Fields:
    """The fields of a message, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise InvalidHello("is malformed")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int, *, most: int = 0xFFFF) -> bytes:
        """Take a field that begins with its length, which has `size` bytes."""
        length = self.number(size)
        if length > most:
            raise InvalidHello("is malformed")
        return self.take(length)


def _extensions(data: bytes) -> list[tuple[int, bytes]]:
    fields, found = _Fields(data), []
    while fields.left:
        found.append((fields.number(2), fields.vector(2)))
    if len({kind for kind, _ in found}) < len(found):
        raise InvalidHello("has an extension twice")
    return found


def _parse_name(data: bytes) -> str:
    fields = _Fields(data)
    entries = _Fields(fields.vector(2))
    kind, name = entries.number(1), entries.vector(2)
    if fields.left or entries.left or kind != _HOST_NAME:
        raise InvalidHello("has more than one server name")
    host = normalize_host(name.decode("latin-1"))
    if host is None:
        raise InvalidHello("has an invalid server name")
    return host
