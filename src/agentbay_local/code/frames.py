"""The frames between the service and a worker, and a look at each that is not trusted.

The code in a session can reach its worker's end of the conversation and write what it likes. Sizes
and types are checked here; what no honest worker says ends the worker and nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agentbay_local.code.events import Failed, Shown
from agentbay_local.sandbox.errors import MalformedReply

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ACKNOWLEDGEMENT", "LARGEST", "Frames", "count_in", "failed_in", "packed", "shown_in"]

LARGEST = 16 * 1024 * 1024
"""Bytes of the largest frame in either direction."""

ACKNOWLEDGEMENT = bytes(4)
"""An empty frame."""

_HEAD = 4
_FORMS = 64
_LONGEST_NAME = 256
_LARGEST_COUNT = 2**53
_DEEPEST = 100
_HALF_PAIR = b"\\ud"


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Take bytes as they come; yield the messages they complete.

        Raises:
            MalformedReply: A frame is too large, or is no JSON object.
        """
        self._data += data
        while len(self._data) >= _HEAD:
            size = int.from_bytes(self._data[:_HEAD], "big")
            if size > LARGEST:
                raise MalformedReply("a code worker announced a frame that is too large")
            if len(self._data) < _HEAD + size:
                return
            body = bytes(self._data[_HEAD : _HEAD + size])
            del self._data[: _HEAD + size]
            yield _object(body)


def packed(message: dict[str, Any]) -> bytes:
    """Return the frame of a message."""
    data = json.dumps(message).encode("ascii")
    return len(data).to_bytes(_HEAD, "big") + data


def shown_in(message: dict[str, Any]) -> Shown:
    """Return the display a message tells of.

    Raises:
        MalformedReply: It is none.
    """
    bundle, main = message.get("result"), message.get("main")
    if not isinstance(bundle, dict) or not isinstance(main, bool) or len(bundle) > _FORMS:
        raise MalformedReply("a code worker sent a result that is none")
    if any(len(kind) > _LONGEST_NAME or kind == "isMainResult" for kind in bundle):
        raise MalformedReply("a code worker sent a result of an impossible type")
    if _deep(bundle):
        raise MalformedReply("a code worker sent a result that is nested too deeply")
    return Shown(bundle, main)


def failed_in(message: dict[str, Any]) -> Failed:
    """Return the error a message tells of.

    Raises:
        MalformedReply: It is none.
    """
    error = message.get("error")
    if not isinstance(error, dict):
        raise MalformedReply("a code worker sent an error that is none")
    return Failed(_text(error, "name"), _text(error, "value"), _text(error, "traceback"))


def count_in(message: dict[str, Any]) -> int:
    """Return the number of the execution that a message ends.

    Raises:
        MalformedReply: It has none.
    """
    count = message.get("done")
    if type(count) is not int or not 0 <= count < _LARGEST_COUNT:
        raise MalformedReply("a code worker ended code without its number")
    return count


def _object(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body, parse_constant=_no_number)
        if _HALF_PAIR in body:
            # No answer can carry half of a surrogate pair; whole ones are characters by now.
            whole = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
            message = json.loads(whole)
    except (ValueError, RecursionError):
        raise MalformedReply("a code worker sent something that is not JSON") from None
    if not isinstance(message, dict):
        raise MalformedReply("a code worker sent something that is not an object")
    return message


def _text(error: dict[str, Any], name: str) -> str:
    text = error.get(name)
    if not isinstance(text, str):
        raise MalformedReply(f"a code worker sent an error without a {name}")
    return text


def _no_number(name: str) -> None:
    raise ValueError(name)


def _deep(value: Any, left: int = _DEEPEST) -> bool:
    """Say whether a value is nested more deeply than it could be written again."""
    if isinstance(value, dict):
        return left == 0 or any(_deep(inner, left - 1) for inner in value.values())
    if isinstance(value, list):
        return left == 0 or any(_deep(inner, left - 1) for inner in value)
    return False
