"""Frames of a session's WebSocket: parse requests, encode replies and events.

A request has an invocation id, the name of a server, and a JSON object. A frame without an
invocation id cannot be answered and is dropped; every other frame is answered.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from agentbay_async._protocol.codec import compact_json

__all__ = ["InvalidFrameError", "Request", "dump_frame", "parse_request"]

_GATEWAY = "WEBSOCKET_SERVER"
_CLIENT = "SDK"
_MAX_NAME = 200


class InvalidFrameError(ValueError):
    """A frame of a client is not a valid request.

    Attributes:
        invocation_id: The id to answer to, or ``""``.
        reply: The frame to answer with.
    """

    def __init__(self, invocation_id: str, reason: str) -> None:
        super().__init__(reason)
        self.invocation_id = invocation_id
        self.reply = dump_frame(invocation_id, _GATEWAY, {"error": f"The frame {reason}."})


@attrs.frozen
class Request:
    """A request of a client.

    Attributes:
        invocation_id: Id that the reply must carry.
        target: Name of the server.
        data: Method and parameters.
    """

    invocation_id: str
    target: str
    data: dict[str, Any] = attrs.field(repr=False)

    @property
    def method(self) -> str:
        """The method, or ``""``."""
        method = self.data.get("method")
        return method[:_MAX_NAME] if isinstance(method, str) else ""

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the method."""
        params = self.data.get("params")
        return params if isinstance(params, dict) else {}


def parse_request(text: str | bytes) -> Request:
    """Parse a frame of a client.

    Raises:
        InvalidFrameError: The frame is not a valid request.

    Example:
        >>> text = '{"invocationId":"1","source":"SDK","target":"PTY_SERVER","data":{}}'
        >>> parse_request(text).target
        'PTY_SERVER'
    """
    document = _parse_json(text)
    if not isinstance(document, dict):
        raise InvalidFrameError("", "is not a JSON object")
    invocation_id = _read_name(document, "invocationId") or _read_name(document, "requestId")
    if not invocation_id:
        raise InvalidFrameError("", "has no invocation id")
    target = _read_name(document, "target")
    if not target:
        raise InvalidFrameError(invocation_id, "has no target")
    data = document.get("data")
    # Some clients send the object as JSON text.
    if isinstance(data, str):
        data = _parse_json(data)
    if not isinstance(data, dict):
        raise InvalidFrameError(invocation_id, "has no object in data")
    return Request(invocation_id, target, data)


def dump_frame(invocation_id: str, source: str, data: dict[str, Any]) -> str:
    """Return a frame to the client as JSON text."""
    frame = {"invocationId": invocation_id, "source": source, "target": _CLIENT, "data": data}
    return compact_json(frame)


def _parse_json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_name(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) and len(value) <= _MAX_NAME else ""
