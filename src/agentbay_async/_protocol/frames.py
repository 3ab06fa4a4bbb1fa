"""The frames of a session's WebSocket: JSON text to a value and back. Pure.

A frame names an invocation, who speaks, to whom, and carries an object. Those that cannot be read
are a :class:`ValueError`: whoever reads the line drops them, and never stumbles.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from agentbay_async._protocol.codec import compact_json

#: How the gateway itself, which is none of the servers, names itself.
GATEWAY = "WEBSOCKET_SERVER"
#: How a client names itself, as the source of what it sends and the target of what it gets.
CLIENT = "SDK"


@attrs.frozen
class Frame:
    """One frame, as it arrived.

    Attributes:
        id: Which invocation it belongs to.
        source: Who sent it.
        target: To whom.
        data: What it says.
        error: What went wrong, in words, or ``""``.
    """

    id: str
    source: str
    target: str
    # Each server defines its own data, so any JSON value may stand in it.
    data: dict[str, Any] = attrs.field(repr=False)
    error: str = ""

    @property
    def topic(self) -> str:
        """The server that it comes from, where nobody asked for it."""
        return self.source if self.target == CLIENT and self.source != CLIENT else self.target


def write_frame(invocation: str, target: str, data: dict[str, Any]) -> str:
    """Return a frame to `target` as text."""
    return compact_json(
        {"invocationId": invocation, "source": CLIENT, "target": target, "data": data}
    )


def read_frame(text: str | bytes) -> Frame:
    """Read a frame.

    Raises:
        ValueError: It is none; the message says why, without what it holds.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("is no object")
    invocation = _text(document, "invocationId") or _text(document, "requestId")
    if not invocation:
        raise ValueError("names no invocation")
    source, target = _text(document, "source"), _text(document, "target")
    if not target and source != GATEWAY:
        raise ValueError("names no target")
    data = _data(document.get("data"), required=source != GATEWAY)
    error = _text(data, "error") or (_text(document, "error") if source == GATEWAY else "")
    return Frame(invocation, source, target, data, error)


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
        raise ValueError("carries no object")
    return {}
