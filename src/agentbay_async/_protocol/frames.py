"""The frames of a session's WebSocket: JSON text to a value and back.

A frame has the id of an invocation, a source, a target, and an object as its data. An invalid frame
is a :class:`ValueError`; readers log and drop it.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from agentbay_async._protocol.codec import compact_json

#: The source of frames from the gateway itself, which is not one of the servers.
GATEWAY = "WEBSOCKET_SERVER"
#: A client, as the source of the frames it sends and the target of those it receives.
CLIENT = "SDK"


@attrs.frozen
class Frame:
    """A frame that arrived.

    Attributes:
        id: The id of its invocation.
        source: The sender.
        target: The receiver.
        data: The payload.
        error: The error text, or ``""``.
        size: The length of its text.
    """

    id: str
    source: str
    target: str
    # Each server defines its own data, with any JSON values.
    data: dict[str, Any] = attrs.field(repr=False)
    error: str = ""
    size: int = 0

    @property
    def topic(self) -> str:
        """The server that pushed it, if no invocation is waiting for it."""
        return self.source if self.target == CLIENT and self.source != CLIENT else self.target


def write_frame(invocation: str, target: str, data: dict[str, Any]) -> str:
    """Return the text of a frame to `target`."""
    return compact_json(
        {"invocationId": invocation, "source": CLIENT, "target": target, "data": data}
    )


def read_frame(text: str | bytes) -> Frame:
    """Read a frame.

    Raises:
        ValueError: It is not a valid frame; the message says why, without its contents.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("is not an object")
    invocation = _text(document, "invocationId") or _text(document, "requestId")
    if not invocation:
        raise ValueError("has no invocation id")
    source, target = _text(document, "source"), _text(document, "target")
    if not target and source != GATEWAY:
        raise ValueError("has no target")
    data = _data(document.get("data"), required=source != GATEWAY)
    error = _text(data, "error") or (_text(document, "error") if source == GATEWAY else "")
    return Frame(invocation, source, target, data, error, len(text))


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _data(value: Any, *, required: bool) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if isinstance(value, dict):
        return value
    if required:
        raise ValueError("has no object as data")
    return {}
