"""Matching of requests: which recorded request is the same as another one.

Two requests are the same if they name the same action (or method and URL) with the same parameters.
What differs in each run does not count: nonce, time stamp and credentials; the region; and values
that a client draws, such as idempotency keys and ids of calls. These *random values* are known by
their form, and by where they come from: a value that an answer of the cassette gives out first,
such as the id of a session, has to be the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._protocol.codec import compact_json
from agentbay_local.cassettes.cassette import CLIENT, Exchange, Frame, parse_container
from agentbay_local.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from agentbay_local.cassettes.cassette import Cassette, Request

__all__ = ["RANDOM", "Normalized", "RandomValues", "parameters", "replace_texts", "replacer"]

RANDOM = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    r"|(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{8,}"
    r")(?![0-9A-Za-z])"
)

# Of the client or the connection, not of what the program asks for.
_DROPPED = frozenset(
    {
        "Authorization",
        "Format",
        "LoginRegionId",
        "SdkStats",
        "SignatureNonce",
        "Timestamp",
        "Version",
    }
)
# Labels that this library adds; they name the process.
_RESERVED = "agentbay-"


def parameters(request: Request) -> dict[str, str]:
    """Return what the program asks for, of the fields of a request."""
    fields = {**request.form, **request.query}
    return {name: value for name, value in fields.items() if name not in _DROPPED}


@attrs.frozen
class Normalized:
    """A request without what differs in each run.

    Attributes:
        key: Equal for requests that are the same.
        drawn: The random values of the client in it, in order.
    """

    key: str
    drawn: tuple[str, ...]


@attrs.frozen
class RandomValues:
    """The random values of a cassette, by who drew them.

    Attributes:
        of_service: Values that an answer gave out first.
    """

    of_service: Collection[str]

    @classmethod
    def of(cls, cassette: Cassette) -> RandomValues:
        """Return the random values of a cassette."""
        client: set[str] = set()
        service: set[str] = set()
        for sent, received in map(_texts, cassette.entries):
            client.update(set(RANDOM.findall(sent)) - service)
            service.update(set(RANDOM.findall(received)) - client)
        return cls(frozenset(service))

    def normalize_request(self, request: Request) -> Normalized:
        """Return the normalised form of a request, whatever client has sent it."""
        kept = parameters(request)
        name = kept.pop("Action", request.action) or f"{request.method} {request.target}"
        return self._normalize([name, kept, dict(request.body)])

    def normalize_frame(self, body: Mapping[str, Any]) -> Normalized:
        """Return the normalised form of a frame that a client sends."""
        return self._normalize(dict(body))

    def _normalize(self, value: Any) -> Normalized:
        drawn: list[str] = []

        def replace(found: re.Match[str]) -> str:
            if found[0] in self.of_service:
                return found[0]
            drawn.append(found[0])
            return "?"

        key = compact_json(_canonical(value, lambda text: RANDOM.sub(replace, text)))
        return Normalized(key, tuple(drawn))


def _texts(entry: Exchange | Frame) -> tuple[str, str]:
    """Return what a client has sent, and what it has received, as texts."""
    if isinstance(entry, Frame):
        text = compact_json(dict(entry.body))
        return (text, "") if entry.sender == CLIENT else ("", text)
    received = attrs.asdict(entry.response) if entry.response else ""
    return compact_json(attrs.asdict(entry.request)), compact_json(received)


def _canonical(value: Any, replace: Callable[[str], str], name: str = "") -> Any:
    """Return a JSON value with sorted members, without secrets and random values."""
    if isinstance(value, dict):
        return {key: _canonical(value[key], replace, key) for key in sorted(value)}
    if isinstance(value, list):
        return [_canonical(item, replace, name) for item in value]
    if not isinstance(value, str):
        return value
    if is_secret_name(name):
        return "<secret>"
    if (inner := parse_container(value)) is not None:
        return _canonical(inner, replace, name)
    replaced = replace(value)
    if name == "requestId":
        return "?"
    return "<reserved>" if name.startswith(_RESERVED) else replaced


def replace_texts(value: Any, replace: Callable[[str], str]) -> Any:
    """Return a JSON value whose texts, names of members too, have been replaced."""
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, dict):
        return {replace(key): replace_texts(member, replace) for key, member in value.items()}
    if isinstance(value, list):
        return [replace_texts(item, replace) for item in value]
    return value


def replacer(mapping: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that replaces each key of a mapping in a text by its value."""
    if not mapping:
        return lambda text: text
    longest = sorted(mapping, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest)))
    return lambda text: pattern.sub(lambda found: mapping[found[0]], text)
