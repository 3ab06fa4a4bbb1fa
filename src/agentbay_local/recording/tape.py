"""What a recording has seen so far, within limits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.cassettes.cassette import (
    SERVICE,
    Cassette,
    Exchange,
    Frame,
    Request,
    Response,
    describe_body,
    read_body,
)
from agentbay_local.cassettes.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Capture", "Tape", "bounded_fields"]

MAX_BODY = 4 * 1024 * 1024
"""Bytes of one body that are recorded; of a larger one only its size and checksum."""

MAX_TOTAL = 64 * 1024 * 1024
"""Bytes of all bodies together; the recording stops there, the traffic goes on."""

# An exchange without a body takes memory too.
_OVERHEAD = 1024
# Checksums are of the original content, which the cassette may not hold any more.
_CHECKSUMS = frozenset({"etag", "content-md5"})


class Capture:
    """The content of one body as it passes."""

    def __init__(self) -> None:
        self._content: bytearray | None = bytearray()
        self._digest = hashlib.sha256()
        self.size = 0

    def add(self, chunk: bytes) -> bytes:
        """Add a chunk, and return it."""
        self.size += len(chunk)
        self._digest.update(chunk)
        if self._content is not None:
            self._content += chunk
            if self.size > MAX_BODY:
                self._content = None
        return chunk

    def body(self) -> dict[str, Any]:
        """Return the body of a line of a cassette."""
        if self._content is None:
            return {"omitted": self.size, "sha256": self._digest.hexdigest()}
        return describe_body(bytes(self._content))


def captured(content: bytes) -> dict[str, Any]:
    """Return the body of a line, from content that is there as a whole."""
    capture = Capture()
    capture.add(content)
    return capture.body()


def bounded_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """Return fields of a form without values that are too large."""
    return {
        name: value if len(value) <= MAX_BODY else f"<omitted: {len(value)} characters>"
        for name, value in fields.items()
    }


class Tape:
    """The exchanges and frames of a recording, with its redactor.

    Attributes:
        redactor: Knows the secrets that have passed.
    """

    def __init__(self) -> None:
        self.redactor = Redactor()
        self._entries: list[Exchange | Frame] = []
        self._number = 0
        self._size = 0
        self._is_complete = True

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, request: Request) -> Exchange:
        """Record a request, and return its exchange, which `finish` completes."""
        self._number += 1
        exchange = Exchange(self._number, request)
        for part in (request.query, request.form, request.headers, request.body):
            self.redactor.learn(part, is_answer=False)
        self._add(exchange, attrs.asdict(request))
        return exchange

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Record the response to a request."""
        self.redactor.learn(response.headers)
        self.redactor.learn(response.body)
        if self._has_room(response.body):
            exchange.response = response

    def add_frame(self, exchange: Exchange, sender: str, content: bytes) -> None:
        """Record a frame of the WebSocket that an exchange has opened."""
        frame = Frame(exchange.number, sender, captured(content))
        self.redactor.learn(frame.body, is_answer=sender == SERVICE)
        self._add(frame, frame.body)

    def _add(self, entry: Exchange | Frame, values: object) -> None:
        if self._has_room(values):
            self._entries.append(entry)

    def _has_room(self, values: object) -> bool:
        self._size += _OVERHEAD + _size(values)
        self._is_complete = self._is_complete and self._size <= MAX_TOTAL
        return self._is_complete

    def cassette(self, service: str, recorded: str) -> Cassette:
        """Return what was recorded, without the secrets that are known by now."""
        entries = tuple(map(self._redacted, self._entries))
        return Cassette(entries, service, recorded, self._is_complete)

    def _redacted(self, entry: Exchange | Frame) -> Exchange | Frame:
        redact = self.redactor.redact
        if isinstance(entry, Frame):
            return attrs.evolve(entry, body=redact_body(self.redactor, entry.body))
        request = Request(
            entry.request.method,
            redact(entry.request.target),
            redact(entry.request.query),
            redact(entry.request.form),
            redact(entry.request.headers),
            redact_body(self.redactor, entry.request.body),
        )
        return Exchange(entry.number, request, entry.response and self._response(entry.response))

    def _response(self, response: Response) -> Response:
        body = redact_body(self.redactor, response.body)
        headers = self.redactor.redact(response.headers)
        if body != response.body:
            headers = {k: v for k, v in headers.items() if k.lower() not in _CHECKSUMS}
        return Response(response.status, headers, body, response.failed)


def redact_body(redactor: Redactor, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body without secrets; that of a file that is no text too."""
    if "base64" in body:
        return describe_body(redactor.redact_content(read_body(body)))
    redacted: dict[str, Any] = redactor.redact(dict(body))
    return redacted


def _size(value: object) -> int:
    """Return about how many bytes JSON values take."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(str(name)) + _size(member) for name, member in value.items())
    return sum(map(_size, value)) if isinstance(value, list) else 8
