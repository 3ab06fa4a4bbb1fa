"""Frames between the service and a kernel: encode, decode and validate them.

The code in a session can reach its kernel's end of the socket and write anything to it, so sizes
and types are checked here, before anything large is parsed. An invalid frame ends the kernel and
nothing else.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.code.events import DisplayOutput, ErrorOutput
from agentbay_local.sandbox.errors import MalformedReply

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ACKNOWLEDGEMENT",
    "MAX_FRAME",
    "MAX_VALUES",
    "Frame",
    "FrameDecoder",
    "encode_frame",
    "parse_count",
    "parse_display",
    "parse_error",
]

MAX_FRAME = 16 * 1024 * 1024
"""Bytes of the largest frame in either direction."""

ACKNOWLEDGEMENT = bytes(4)
"""An empty frame."""

MAX_VALUES = 250_000
"""Brackets, braces, commas and colons in a JSON value of a result."""

_HEADER_SIZE = 4
_MAX_HEAD = 64 * 1024
_NO_STRUCTURE = bytes(set(range(256)) - set(b"[]{},:"))
_MAX_MIME_TYPES = 64
_MAX_MIME_NAME = 256
_MAX_COUNT = 2**53
# Well below the depth at which the JSON encoder raises RecursionError.
_MAX_DEPTH = 100
_SURROGATE_ESCAPE = b"\\ud"


@attrs.frozen
class Frame:
    """A message of a kernel; only its header is parsed.

    Attributes:
        head: The head.
        content: The texts and JSON values that the head lists, one after the other.
    """

    head: dict[str, Any]
    content: bytes = b""


class FrameDecoder:
    """Splits a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes, and yield the frames that they complete.

        Raises:
            MalformedReply: A frame or its head is too large, or the head not a JSON object.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER_SIZE:
            size = int.from_bytes(self._buffer[:_HEADER_SIZE], "big")
            if size > MAX_FRAME:
                raise MalformedReply("a code kernel announced a frame that is too large")
            if len(self._buffer) < _HEADER_SIZE + size:
                return
            body = bytes(memoryview(self._buffer)[_HEADER_SIZE : _HEADER_SIZE + size])
            del self._buffer[: _HEADER_SIZE + size]
            yield _split(body)


def _split(body: bytes) -> Frame:
    size = int.from_bytes(body[:_HEADER_SIZE], "big")
    end = _HEADER_SIZE + size
    if size > _MAX_HEAD or end > len(body):
        raise MalformedReply("a code kernel sent a frame whose head is too large")
    head = _parse_json(body[_HEADER_SIZE:end])
    if not isinstance(head, dict):
        raise MalformedReply("a code kernel sent a head that is not an object")
    return Frame(head, body[end:])


def encode_frame(message: dict[str, Any]) -> bytes:
    """Return the frame of a message."""
    data = json.dumps(message).encode("ascii")
    return len(data).to_bytes(_HEADER_SIZE, "big") + data


def parse_display(frame: Frame) -> DisplayOutput:
    """Return the display in a frame.

    Raises:
        MalformedReply: The display is invalid.
    """
    types, main = frame.head.get("result"), frame.head.get("main")
    if not isinstance(types, dict) or not isinstance(main, bool) or len(types) > _MAX_MIME_TYPES:
        raise MalformedReply("a code kernel sent an invalid result")
    # The answer of the tool puts ``isMainResult`` beside the MIME types.
    if any(len(kind) > _MAX_MIME_NAME or kind == "isMainResult" for kind in types):
        raise MalformedReply("a code kernel sent a result of an invalid MIME type")
    forms = [one[0] if isinstance(one, list) and len(one) == 2 else None for one in types.values()]
    if not all(form in ("text", "json") for form in forms):
        raise MalformedReply("a code kernel sent a result of an invalid form")
    parts = _cut(frame.content, [one[1] for one in types.values()])
    values = (
        _read_text(part) if form == "text" else _read_json(part)
        for form, part in zip(forms, parts, strict=True)
    )
    return DisplayOutput(dict(zip(types, values, strict=True)), main)


def parse_error(frame: Frame) -> ErrorOutput:
    """Return the error in a frame.

    Raises:
        MalformedReply: The error is invalid.
    """
    sizes = frame.head.get("error")
    if not isinstance(sizes, list) or len(sizes) != 3:
        raise MalformedReply("a code kernel sent an invalid error")
    name, value, traceback = map(_read_text, _cut(frame.content, sizes))
    return ErrorOutput(name, value, traceback)


def parse_count(frame: Frame) -> int:
    """Return the number of the execution that a frame ends.

    Raises:
        MalformedReply: The number is missing or invalid.
    """
    count = frame.head.get("done")
    if type(count) is not int or not 0 <= count < _MAX_COUNT:
        raise MalformedReply("a code kernel ended an execution without its number")
    return count


def _cut(content: bytes, sizes: list[Any]) -> list[bytes]:
    """Cut the content of a frame into parts, which must fill it."""
    if not all(type(size) is int and size >= 0 for size in sizes) or sum(sizes) != len(content):
        raise MalformedReply("a code kernel sent a frame whose parts do not fill it")
    ends = [*itertools.accumulate(sizes)]
    return [content[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _read_text(part: bytes) -> str:
    return part.decode("utf-8", "replace")


def _read_json(part: bytes) -> Any:
    """Parse a value, if it has few enough parts: the parser stops everything while it works."""
    if len(part.translate(None, _NO_STRUCTURE)) > MAX_VALUES:
        raise MalformedReply("a code kernel sent a result of too many parts")
    value = _parse_json(part)
    if _exceeds_depth(value):
        raise MalformedReply("a code kernel sent a result that is nested too deeply")
    if _SURROGATE_ESCAPE in part:
        # Half of a surrogate pair cannot be sent to a client; json.loads has joined whole ones.
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def _parse_json(data: bytes) -> Any:
    try:
        return json.loads(data, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise MalformedReply("a code kernel sent invalid JSON") from None


def _reject_constant(name: str) -> None:
    """Reject NaN and Infinity, which are not JSON."""
    raise ValueError(name)


def _exceeds_depth(value: Any, depth_left: int = _MAX_DEPTH) -> bool:
    """Return whether a value is nested too deeply to be encoded again."""
    if isinstance(value, dict):
        return depth_left == 0 or any(_exceeds_depth(v, depth_left - 1) for v in value.values())
    if isinstance(value, list):
        return depth_left == 0 or any(_exceeds_depth(v, depth_left - 1) for v in value)
    return False
