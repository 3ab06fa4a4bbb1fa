"""Frames between the service and a kernel: encode, decode and validate them.

The code in a session can reach its kernel's end of the socket and write anything to it, so sizes
and types are checked here. An invalid frame ends the kernel and nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agentbay_local.code.events import DisplayOutput, ErrorOutput
from agentbay_local.sandbox.errors import MalformedReply

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ACKNOWLEDGEMENT",
    "MAX_FRAME",
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

_HEADER_SIZE = 4
_MAX_MIME_TYPES = 64
_MAX_MIME_NAME = 256
_MAX_COUNT = 2**53
# Well below the depth at which the JSON encoder raises RecursionError.
_MAX_DEPTH = 100
_SURROGATE_ESCAPE = b"\\ud"


class FrameDecoder:
    """Splits a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Add bytes, and yield the messages that they complete.

        Raises:
            MalformedReply: A frame is too large or not a JSON object.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER_SIZE:
            size = int.from_bytes(self._buffer[:_HEADER_SIZE], "big")
            if size > MAX_FRAME:
                raise MalformedReply("a code kernel announced a frame that is too large")
            if len(self._buffer) < _HEADER_SIZE + size:
                return
            body = bytes(self._buffer[_HEADER_SIZE : _HEADER_SIZE + size])
            del self._buffer[: _HEADER_SIZE + size]
            yield _parse_object(body)


def encode_frame(message: dict[str, Any]) -> bytes:
    """Return the frame of a message."""
    data = json.dumps(message).encode("ascii")
    return len(data).to_bytes(_HEADER_SIZE, "big") + data


def parse_display(message: dict[str, Any]) -> DisplayOutput:
    """Return the display in a message.

    Raises:
        MalformedReply: The display is invalid.
    """
    bundle, main = message.get("result"), message.get("main")
    if not isinstance(bundle, dict) or not isinstance(main, bool) or len(bundle) > _MAX_MIME_TYPES:
        raise MalformedReply("a code kernel sent an invalid result")
    # The answer of the tool puts ``isMainResult`` beside the MIME types.
    if any(len(kind) > _MAX_MIME_NAME or kind == "isMainResult" for kind in bundle):
        raise MalformedReply("a code kernel sent a result of an invalid MIME type")
    if _exceeds_depth(bundle):
        raise MalformedReply("a code kernel sent a result that is nested too deeply")
    return DisplayOutput(bundle, main)


def parse_error(message: dict[str, Any]) -> ErrorOutput:
    """Return the error in a message.

    Raises:
        MalformedReply: The error is invalid.
    """
    error = message.get("error")
    if not isinstance(error, dict):
        raise MalformedReply("a code kernel sent an invalid error")
    name, value, traceback = (_read_text(error, key) for key in ("name", "value", "traceback"))
    return ErrorOutput(name, value, traceback)


def parse_count(message: dict[str, Any]) -> int:
    """Return the number of the execution that a message ends.

    Raises:
        MalformedReply: The number is missing or invalid.
    """
    count = message.get("done")
    if type(count) is not int or not 0 <= count < _MAX_COUNT:
        raise MalformedReply("a code kernel ended an execution without its number")
    return count


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body, parse_constant=_reject_constant)
        if _SURROGATE_ESCAPE in body:
            # Half of a surrogate pair cannot be sent to a client; json.loads has joined whole ones.
            whole = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
            message = json.loads(whole)
    except (ValueError, RecursionError):
        raise MalformedReply("a code kernel sent invalid JSON") from None
    if not isinstance(message, dict):
        raise MalformedReply("a code kernel sent JSON that is not an object")
    return message


def _read_text(error: dict[str, Any], key: str) -> str:
    text = error.get(key)
    if not isinstance(text, str):
        raise MalformedReply(f"a code kernel sent an error without a {key}")
    return text


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
