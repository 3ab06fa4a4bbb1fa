"""Codec: values of the schema to JSON and back.

The client reads answers and writes parts of requests; the local service does the reverse. Reading
is lenient where nothing can be misread (a number for text, JSON text for an object) and strict
otherwise: a value of another shape is a :class:`ValueError`.

Reading is compiled here and not left to cattrs, for two reasons: a reader that cattrs makes takes
three times as long, and importing cattrs costs a program more than its first call. Writing is left
to cattrs, which is imported when a schema value is first written as JSON.
"""

from __future__ import annotations

import base64
import json
import types
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def wire_name(field: attrs.Attribute[Any]) -> str:
    """Return the name of a schema field on the wire: ``session_id`` is ``SessionId``."""
    name: str | None = field.metadata.get("wire")
    return name or field.name.title().replace("_", "")


def bare(hint: Any) -> Any:
    """Strip ``| None`` from a type hint."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint


def compact_json(value: object) -> str:
    """Return `value` as JSON without spaces, in ASCII, so that half a surrogate pair passes too."""
    return _ENCODER.encode(value)


def _encode_attrs(value: object) -> Any:
    if attrs.has(type(value)):
        return to_json(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


# json.dumps would make an encoder for every call.
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_encode_attrs)


def read_json(body: bytes) -> Any:
    """Parse the body of an answer, with orjson where it is installed: six times as fast.

    Raises:
        ValueError: The body is not JSON.
        RecursionError: It is nested too deeply.
    """
    fast = _fast_loads()
    if fast is not None:
        try:
            return fast(body)
        except ValueError:
            # orjson is stricter. The standard parser reads half a surrogate pair, and NaN.
            pass
    return json.loads(body)


@cache
def _fast_loads() -> Callable[[bytes], Any] | None:
    try:
        loads: Callable[[bytes], Any] = import_module("orjson").loads
    except ImportError:
        return None
    return loads


def decode_base64(text: str) -> bytes:
    """Decode base64; some services break it into lines.

    Raises:
        ValueError: It is not base64.
    """
    return base64.b64decode("".join(text.split()), validate=True)


def from_json(kind: Any, value: Any) -> Any:
    """Build a value of type `kind` (a schema class, list or dict) from parsed JSON.

    JSON text in place of an object or array is parsed first: the service sends some data so.

    Raises:
        ValueError: `value` has another shape.
    """
    try:
        if isinstance(value, str) and kind is not str:
            value = json.loads(value) if value else None
        return None if value is None else _reader(kind)(value)
    except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        wanted = "an array" if get_origin(kind) is list else "an object"
        raise ValueError(f"expected {wanted}, got {type(value).__name__}") from error


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return the function that reads a value of type `kind`."""
    if attrs.has(kind):
        return _object_reader(kind)
    if get_origin(kind) is list:
        return _list_reader(_reader(get_args(kind)[0]))
    return _READERS[kind]


def _object_reader(kind: Any) -> Callable[[Any], Any]:
    """Compile a function that reads one object: ``kind(session_id, status, ...)``.

    A value of its field's type is taken as it is, without a call.
    """
    hints = get_type_hints(kind)
    scope: dict[str, Any] = {"kind": kind}
    arguments: list[str] = []
    for number, field in enumerate(attrs.fields(kind)):
        hint = bare(hints[field.name])
        scope[f"type_{number}"] = hint
        scope[f"read_{number}"] = field.metadata.get("read") or _reader(hint)
        found = f"value.get({wire_name(field)!r})"
        if also := field.metadata.get("also"):
            found = f"(v if (v := {found}) is not None else value.get({also!r}))"
        arguments.append(
            f"v if (v := {found}) is None or v.__class__ is type_{number} else read_{number}(v)"
        )
    # The source is made from the schema alone, never from data that came over the wire.
    source = f"lambda value: kind({', '.join(arguments)})"
    read: Callable[[Any], Any] = eval(source, scope)  # noqa: S307
    return read


def _list_reader(read_entry: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError("not an array")
        return [read_entry(entry) for entry in value]

    return read


def _read_text(value: Any) -> Any:
    if value.__class__ is str or value is None:
        return value
    return compact_json(value) if isinstance(value, (list, dict, bool)) else str(value)


def _read_int(value: Any) -> int | None:
    return None if value is None or value == "" else int(value)


def _read_bool(value: Any) -> bool | None:
    if isinstance(value, str):
        return value.lower() == "true"
    return None if value is None else bool(value)


def _read_text_map(value: Any) -> dict[str, str] | None:
    if isinstance(value, str):
        value = json.loads(value) if value else None
    if value is None:
        return None
    return {str(key): str(_read_text(entry)) for key, entry in value.items()}


def _read_map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _read_text,
    int: _read_int,
    bool: _read_bool,
    dict[str, str]: _read_text_map,
    dict[str, Any]: _read_map,
}


def to_json(value: Any) -> Any:
    """Turn schema values into values that :mod:`json` can write, without absent fields."""
    return _converter().unstructure(value)


@cache
def _converter() -> Any:
    from cattrs import Converter

    converter = Converter()
    converter.register_unstructure_hook_factory(attrs.has, lambda kind: _writer(kind, converter))
    return converter


def _writer(kind: Any, converter: Any) -> Callable[[Any], Any]:
    from cattrs.gen import make_dict_unstructure_fn, override

    names: dict[str, Any] = {
        field.name: override(
            rename=wire_name(field),
            unstruct_hook=compact_json if field.metadata.get("json") else None,
        )
        for field in attrs.fields(kind)
    }
    write: Callable[[Any], Any] = make_dict_unstructure_fn(
        kind, converter, _cattrs_omit_if_default=True, **names
    )
    return write


def tasks_to_text(tasks: Iterable[Any]) -> str:
    """Wrap tasks as GetContextInfo does: a JSON array of wrappers that hold JSON text."""
    return compact_json([{"type": "data", "data": compact_json([to_json(task) for task in tasks])}])


def tasks_from_text(kind: Any, text: str | None) -> list[Any]:
    """Read the text that :func:`tasks_to_text` writes; ignore wrappers of other types.

    Raises:
        ValueError: The text has another form.
    """
    try:
        wrappers = json.loads(text) if text else []
    except RecursionError as error:
        raise ValueError("tasks must not be nested so deeply") from error
    if not isinstance(wrappers, list) or not all(isinstance(entry, dict) for entry in wrappers):
        raise ValueError("expected an array of objects")
    data = [entry.get("data") or [] for entry in wrappers if entry.get("type") == "data"]
    return [task for entry in data for task in from_json(list[kind], entry) or ()]
