"""What a client sent during one operation, as values that can be compared."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

# A value is part of a message when the test fails, so a long one is shown by its checksum.
_LONGEST = 200

#: What is another at each run, by what stands for it. The order matters.
_RANDOM = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
    (r"link-\d{13}-\d{9}", "<link id>"),
    (r"[0-9a-f]{16}-[0-9a-f]+-[0-9a-f]{8}\b", "<idempotency key>"),
    (r"agentbay-[0-9a-f]{16}", "<temporary name>"),
    (r"mobile_sim_[0-9a-f]{32}_\d{10}\b", "<name of a simulated phone>"),
    (r"\b(ext_)?[0-9a-f]{32}\b", r"\1<32 digits>"),
    (r"\b[0-9a-f]{16}\b", "<16 digits>"),
)
#: Fields that follow from others, or are the client's own in every request.
_LEFT_OUT = {"header.content-length", "header.sec-websocket-key"}


@attrs.frozen
class Request:
    """One request, or one frame.

    Attributes:
        name: The action, and the tool it calls.
        fields: Each value by its place, such as ``form.Args.command``.
    """

    name: str
    fields: Mapping[str, str]

    @classmethod
    def of(cls, name: str, fields: Mapping[str, str], url: str) -> Request:
        """Return a request to the recorder at `url`, with what is random replaced."""
        return cls(
            name,
            {
                field: _stable(value.replace(url, "<recorder>").replace(url[7:], "<recorder>"))
                for field, value in fields.items()
                if field not in _LEFT_OUT
            },
        )


@attrs.define
class Operation:
    """What one operation sent, and how it ended.

    Attributes:
        requests: The requests, in the order in which they arrived.
        outcome: ``succeeded``, ``failed``, ``raised`` or ``misses a name``.
        reason: Why it did not succeed; for messages only.
    """

    requests: list[Request] = attrs.field(factory=list)
    outcome: str = ""
    reason: str = ""


def flatten(name: str, value: object) -> dict[str, str]:
    """Return the values in a JSON value by their places; text that holds JSON is read too.

    Example:
        >>> flatten("a", {"b": [1, '{"c": true}']})
        {'a.b[0]': '1', 'a.b[1].c': 'true'}
    """
    if isinstance(value, str):
        inner = _json_in(value)
        return {name: value} if inner is None else flatten(name, inner)
    if isinstance(value, dict) and value:
        parts = [(f"{name}.{key}", part) for key, part in value.items()]
    elif isinstance(value, list) and value:
        parts = [(f"{name}[{index}]", part) for index, part in enumerate(value)]
    else:
        return {name: json.dumps(value)}
    flat: dict[str, str] = {}
    for place, part in parts:
        flat |= flatten(place, part)
    return flat


def _json_in(text: str) -> object:
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _stable(value: str) -> str:
    for pattern, name in _RANDOM:
        value = re.sub(pattern, name, value)
    if len(value) > _LONGEST:
        digest = hashlib.sha256(value.encode()).hexdigest()[:8]
        return f"{value[:40]}... ({len(value)} characters, {digest})"
    return value
