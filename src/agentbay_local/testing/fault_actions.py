"""Fault actions, as values; the HTTP middleware and file transfers carry them out.

Times are seconds on the service's clock, except where a header says them to the client.
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
    "Slow",
    "StickTask",
    "Throttle",
    "Truncate",
    "effect_from_json",
]


@attrs.frozen
class Effect:
    """What every fault is one of; ``name`` is how JSON, the journal and people call it."""

    name: ClassVar[str]


_MOST_PIECES = 1_000_000


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
    return attrs.field(default=value, validator=[validators.instance_of(str), _is_whole])


def _is_whole(_effect: object, field: attrs.Attribute[str], value: str) -> None:
    """Refuse half a surrogate pair, which JSON can say and no answer can carry."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"'{field.name}' must be text, but has half a surrogate pair") from error


def _switch() -> Any:
    return attrs.field(default=False, validator=validators.instance_of(bool))


@attrs.frozen
class Fail(Effect):
    """Refuse, without doing anything, in the service's own error dialect.

    Attributes:
        code: The error code.
        status: The HTTP status; 200 refuses as the service does for contexts.
        message: The sentence for people.
    """

    name = "fail"
    code: str = _text(error_codes.SERVICE_UNAVAILABLE)
    status: int = _status(503)
    message: str = _text("A fault was asked for.")


@attrs.frozen
class Throttle(Effect):
    """Refuse, and say when to come back.

    Attributes:
        after: Seconds to wait, as told to the client.
        code: The error code.
        status: The HTTP status.
        own_header: Say it in ``x-acs-retry-after``, in milliseconds, and not in ``Retry-After``.
    """

    name = "throttle"
    after: float = _seconds(1)
    code: str = _text(f"{error_codes.THROTTLING}.User")
    status: int = _status(429)
    own_header: bool = _switch()


@attrs.frozen
class Delay(Effect):
    """Wait, and then do it."""

    name = "delay"
    seconds: float = _seconds(1)


@attrs.frozen
class Drop(Effect):
    """Close the connection without an answer.

    Attributes:
        committed: Do what was asked for first: the client cannot know that it was done.
        reset: Break the connection with a reset instead of an orderly end.
    """

    name = "drop"
    committed: bool = _switch()
    reset: bool = _switch()


@attrs.frozen
class Truncate(Effect):
    """Do it, and break the answer off; of a file that comes in, read no more than that.

    Attributes:
        at: Bytes that still arrive; None for half of an answer, and for nothing of a file.
    """

    name = "truncate"
    at: int | None = attrs.field(
        default=None, validator=validators.optional([validators.instance_of(int), validators.ge(0)])
    )


@attrs.frozen
class Garbage(Effect):
    """Do it, and answer with something that is not of the protocol, and HTTP 200."""

    name = "garbage"
    body: str = _text("<html><body>It works!</body></html>")


@attrs.frozen
class Slow(Effect):
    """Do it, and answer piece by piece.

    Attributes:
        seconds: How long the answer takes.
        pieces: In how many pieces it comes.
    """

    name = "slow"
    seconds: float = _seconds(1)
    pieces: int = attrs.field(
        default=10,
        validator=[validators.instance_of(int), validators.ge(1), validators.le(_MOST_PIECES)],
    )


@attrs.frozen
class ExpireToken(Effect):
    """Refuse a page token as expired; a request without one is none of its business."""

    name = "expire-token"


@attrs.frozen
class FailTask(Effect):
    """Let a movement of files fail, after it has begun and before it has moved anything."""

    name = "fail-task"
    message: str = _text("A fault was asked for.")


@attrs.frozen
class StickTask(Effect):
    """Let a movement of files begin, and never end."""

    name = "stick-task"


@attrs.frozen
class Lag(Effect):
    """Let listings by label not see the sessions that are younger than `seconds`."""

    name = "lag"
    seconds: float = _seconds(1)


_KINDS: list[type[Effect]] = [
    Delay,
    Drop,
    ExpireToken,
    Fail,
    FailTask,
    Garbage,
    Lag,
    Slow,
    StickTask,
    Throttle,
    Truncate,
]
_EFFECTS = {kind.name: kind for kind in _KINDS}


def effect_from_json(name: object, options: dict[str, Any]) -> Effect:
    """Make an effect of its name and its fields.

    Raises:
        ValueError: There is no such effect, or it has no such field, or not such a value.
    """
    kind = _EFFECTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"effect must be one of {', '.join(sorted(_EFFECTS))}, not {name!r:.80}")
    known = [field.name for field in attrs.fields(kind)]
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ValueError(f"{option!r:.80} is no field of effect {kind.name!r}: {has}")
    try:
        return kind(**options)
    except TypeError as error:
        raise ValueError(f"effect {kind.name!r}: {error.args[0]!s:.200}") from error
