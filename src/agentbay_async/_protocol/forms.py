"""Requests to form fields and back. The client encodes, the local service decodes.

What a class needs is worked out once, on first use, because importing must be cheap. Encoding is a
good part of what a call costs, and much of what is encoded is the same in call after call; so it is
kept, encoded.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints
from urllib.parse import quote_plus

import attrs

from agentbay_async._protocol.codec import bare, compact_json, from_json, wire_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentbay_async._protocol.schema import Request

R = TypeVar("R", bound="Request[Any]")


@attrs.frozen
class _FormField:
    """How one field of a request travels."""

    attribute: str
    wire: str
    in_query: bool
    is_json: bool
    kind: Any
    # Returns the value as it stands in a form.
    encode: Callable[[Any], str]

    def read(self, text: str) -> Any:
        if self.is_json:
            return from_json(self.kind, text)
        if self.kind is int:
            return int(text)
        if self.kind is bool and text.lower() not in ("true", "false"):
            raise ValueError("must be true or false")
        return text.lower() == "true" if self.kind is bool else text


def _form_fields(kind: Any) -> tuple[_FormField, ...]:
    # A function of its own because type checkers hold a class with __eq__ for unhashable.
    return _planned(kind)


@cache
def _planned(kind: Any) -> tuple[_FormField, ...]:
    hints = get_type_hints(kind)
    return tuple(
        _FormField(
            field.name,
            wire_name(field),
            field.name in kind.IN_QUERY,
            bool(field.metadata.get("json")),
            bare(hints[field.name]),
            _encoder(field, bare(hints[field.name])),
        )
        for field in attrs.fields(kind)
    )


def _encoder(field: attrs.Attribute[Any], kind: Any) -> Callable[[Any], str]:
    if field.metadata.get("recurs"):
        return _quoted_once
    if field.metadata.get("json"):
        return _quoted_map if kind == dict[str, str] else _quoted_json
    if kind is int:
        return str
    return _yes_or_no if kind is bool else quoted


def _quoted_json(value: Any) -> str:
    return quoted(compact_json(value))


def _quoted_map(texts: dict[str, str]) -> str:
    return f"%7B{'%2C'.join([_quoted_pair(*pair) for pair in texts.items()])}%7D"


def _yes_or_no(value: Any) -> str:
    return "true" if value else "false"


# In this order: what is put in must not be replaced again.
_COMMON = tuple((character, quote_plus(character)) for character in '%+"{}:,@ ')
_PLAIN = re.compile(r"[\w.~-]*", re.ASCII)
_QUOTED = re.compile(r"[\w.~%+-]*", re.ASCII)


def encode_request(request: Request[Any]) -> tuple[str, str]:
    """Return the request's own part of the query, and its form, both percent-encoded.

    Absent and empty fields are left out.

    Example:
        >>> from agentbay_async._protocol.schema import SetLabel
        >>> encode_request(SetLabel(session_id="s-1", labels={"a": "b"}))[1]
        'SessionId=s-1&Labels=%7B%22a%22%3A%22b%22%7D'
    """
    query: list[str] = []
    form: list[str] = []
    for field in _form_fields(type(request)):
        value = getattr(request, field.attribute)
        if value is not None and value != "":
            part = f"{field.wire}={field.encode(value)}"
            (query if field.in_query else form).append(part)
    return "&".join(query), "&".join(form)


def quoted(text: str) -> str:
    """Percent-encode `text` for a form, as :func:`urllib.parse.quote_plus` does, but sooner.

    Labels and statistics are JSON, full of a handful of characters; replacing those costs a fifth
    of looking at each character.

    Example:
        >>> quoted('{"a": "ü"}') == quote_plus('{"a": "ü"}')
        True
    """
    if _PLAIN.fullmatch(text):
        return text
    done = text
    for character, code in _COMMON:
        done = done.replace(character, code)
    return done if _QUOTED.fullmatch(done) else quote_plus(text)


_quoted_once = lru_cache(maxsize=64)(quoted)


@lru_cache(maxsize=256)
def _quoted_pair(key: str, value: str) -> str:
    # Of the labels of sessions that one program makes, only the idempotency key is never the same.
    return f"{_quoted_text(key)}%3A{_quoted_text(value)}"


def _quoted_text(text: str) -> str:
    return f"%22{text}%22" if _PLAIN.fullmatch(text) else quoted(compact_json(text))


def decode_request(kind: type[R], fields: Mapping[str, str]) -> R:
    """Build a request from the fields of query and form. Unknown fields are ignored.

    Raises:
        ValueError: A field cannot be read; the message names it.
    """
    values: dict[str, Any] = {}
    for field in _form_fields(kind):
        text = fields.get(field.wire)
        if text:
            try:
                values[field.attribute] = field.read(text)
            except ValueError as error:
                raise ValueError(f"{field.wire}: {error}") from error
    return kind(**values)
