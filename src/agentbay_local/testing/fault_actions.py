"""Fault actions as values; the HTTP middleware and file transfers carry them out.

Times are seconds on the service's clock, except in headers for the client.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
from attrs import validators

from agentbay_async._protocol import error_codes
from agentbay_local.manual_clock import LONGEST

__all__ = [
    "Delay",
    "Drop",
    "Effect",
    "ExpireToken",
    "Fail",
    "FailTask",
    "Garbage",
    "Lag",
    "Repeat",
    "Slow",
    "StickTask",
    "Throttle",
    "Truncate",
    "effect_from_json",
]


@attrs.frozen
class Effect:
    """Base class of fault actions; ``name`` identifies one in JSON and in the journal."""

    name: ClassVar[str]


_MAX_PIECES = 1_000_000


def _seconds(value: float) -> Any:
    limits: list[Any] = [
        validators.instance_of((int, float)),
        validators.ge(0),
        validators.le(LONGEST),
    ]
    return attrs.field(default=value, validator=limits)


def _status(value: int) -> Any:
    limits = [validators.instance_of(int), validators.ge(200), validators.le(599)]
    return attrs.field(default=value, validator=limits)


def _text(value: str) -> Any:
    return attrs.field(default=value, validator=[validators.instance_of(str), _is_encodable])


def _is_encodable(_effect: object, field: attrs.Attribute[str], value: str) -> None:
    """Reject half of a surrogate pair, which JSON can express but UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"'{field.name}' must not contain lone surrogates") from error


def _flag() -> Any:
    return attrs.field(default=False, validator=validators.instance_of(bool))


@attrs.frozen
class Fail(Effect):
    """Answer with an error, without calling the handler.

    Attributes:
        code: The error code.
        status: The HTTP status; the service uses 200 for errors of contexts.
        message: The error message.
    """

    name = "fail"
    code: str = _text(error_codes.SERVICE_UNAVAILABLE)
    status: int = _status(503)
    message: str = _text("A fault was injected.")


@attrs.frozen
class Throttle(Effect):
    """Answer with a throttling error that says when to try again.

    Attributes:
        after: Seconds that the client is asked to wait.
        code: The error code.
        status: The HTTP status.
        own_header: Send them as milliseconds in ``x-acs-retry-after``, not in ``Retry-After``.
    """

    name = "throttle"
    after: float = _seconds(1)
    code: str = _text(f"{error_codes.THROTTLING}.User")
    status: int = _status(429)
    own_header: bool = _flag()


@attrs.frozen
class Delay(Effect):
    """Delay the request, then handle it."""

    name = "delay"
    seconds: float = _seconds(1)


@attrs.frozen
class Drop(Effect):
    """Close the connection without an answer.

    Attributes:
        committed: Handle the request first; the client cannot know that.
        reset: Close the connection with a reset instead of an orderly end.
    """

    name = "drop"
    committed: bool = _flag()
    reset: bool = _flag()


@attrs.frozen
class Truncate(Effect):
    """Handle the request, and cut the answer short; of an upload, read only that much.

    Attributes:
        at: Bytes that still arrive; None for half of an answer, and none of a file.
    """

    name = "truncate"
    at: int | None = attrs.field(
        default=None, validator=validators.optional([validators.instance_of(int), validators.ge(0)])
    )


@attrs.frozen
class Garbage(Effect):
    """Handle the request, and answer with HTTP 200 and a body that is not of the protocol."""

    name = "garbage"
    body: str = _text("<html><body>It works!</body></html>")


@attrs.frozen
class Slow(Effect):
    """Handle the request, and send the answer slowly, in pieces.

    Attributes:
        seconds: Duration of the answer.
        pieces: Number of pieces.
    """

    name = "slow"
    seconds: float = _seconds(1)
    pieces: int = attrs.field(
        default=10,
        validator=[validators.instance_of(int), validators.ge(1), validators.le(_MAX_PIECES)],
    )


@attrs.frozen
class Repeat(Effect):
    """Handle the request twice, as if the network had delivered it twice; send the last answer."""

    name = "repeat"


@attrs.frozen
class ExpireToken(Effect):
    """Reject the page token of a request as expired; other requests are not affected."""

    name = "expire-token"


@attrs.frozen
class FailTask(Effect):
    """Fail a transfer task after its start, before any file is transferred."""

    name = "fail-task"
    message: str = _text("A fault was injected.")


@attrs.frozen
class StickTask(Effect):
    """Start a transfer task that never ends."""

    name = "stick-task"


@attrs.frozen
class Lag(Effect):
    """Hide sessions younger than `seconds` from listings by label."""

    name = "lag"
    seconds: float = _seconds(1)


_TYPES: list[type[Effect]] = [
    Delay,
    Drop,
    ExpireToken,
    Fail,
    FailTask,
    Garbage,
    Lag,
    Repeat,
    Slow,
    StickTask,
    Throttle,
    Truncate,
]
_EFFECTS = {kind.name: kind for kind in _TYPES}


def effect_from_json(name: object, options: dict[str, Any]) -> Effect:
    """Build an effect from its name and fields.

    Raises:
        ValueError: The effect, a field or a value is invalid.
    """
    kind = _EFFECTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"effect must be one of {', '.join(sorted(_EFFECTS))}, not {name!r:.80}")
    fields = [field.name for field in attrs.fields(kind)]
    for option in options:
        if option not in fields:
            has = f"it has {', '.join(fields)}" if fields else "it has none"
            raise ValueError(f"{option!r:.80} is not a field of effect {kind.name!r}: {has}")
    try:
        return kind(**options)
    except TypeError as error:
        raise ValueError(f"effect {kind.name!r}: {error.args[0]!s:.200}") from error
