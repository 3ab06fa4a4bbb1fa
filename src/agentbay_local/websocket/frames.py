"""The frames of a session's WebSocket, as the session sees them: JSON text to values and back.

A client names an invocation, the server that it asks, and gives an object. What names no invocation
cannot be answered, and is dropped; what names one is always answered.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from agentbay_async._protocol.codec import compact_json

__all__ = ["InvalidFrameError", "Request", "dump_frame", "parse_request"]

_GATEWAY = "WEBSOCKET_SERVER"
_CLIENT = "SDK"
_LONGEST_NAME = 200


class InvalidFrameError(ValueError):  # an answer to a client, no error of ours
    """A frame that says nothing.

    Attributes:
        invocation: The id to answer to, or ``""`` where there is none.
        reply: The text of the answer.
    """

    def __init__(self, invocation: str, why: str) -> None:
        super().__init__(why)
        self.invocation = invocation
        self.reply = dump_frame(invocation, _GATEWAY, {"error": f"The frame {why}."})


@attrs.frozen
class Request:
    """What a client says.

    Attributes:
        invocation: What the answer must carry.
        target: The server it is for.
        data: What it says.
    """

    invocation: str
    target: str
    data: dict[str, Any] = attrs.field(repr=False)

    @property
    def method(self) -> str:
        """What is to be done."""
        method = self.data.get("method")
        return method[:_LONGEST_NAME] if isinstance(method, str) else ""

    @property
    def params(self) -> dict[str, Any]:
        """What it is to be done with."""
        params = self.data.get("params")
        return params if isinstance(params, dict) else {}


def parse_request(text: str | bytes) -> Request:
    """Read a frame.

    Raises:
        Unreadable: It is none.

    Example:
        >>> read('{"invocationId":"1","source":"SDK","target":"PTY_SERVER","data":{}}').target
        'PTY_SERVER'
    """
    document = _parsed(text)
    if not isinstance(document, dict):
        raise InvalidFrameError("", "is no JSON object")
    invocation = _name(document, "invocationId") or _name(document, "requestId")
    if not invocation:
        raise InvalidFrameError("", "names no invocation")
    target = _name(document, "target")
    if not target:
        raise InvalidFrameError(invocation, "names no target")
    data = document.get("data")
    if isinstance(data, str):
        data = _parsed(data)
    if not isinstance(data, dict):
        raise InvalidFrameError(invocation, "carries no object in data")
    return Request(invocation, target, data)


def dump_frame(invocation: str, source: str, data: dict[str, Any]) -> str:
    """Write a frame to the client."""
    return compact_json(
        {"invocationId": invocation, "source": source, "target": _CLIENT, "data": data}
    )


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _name(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else ""
