"""Values to JSON and back: what answers are made of, and parts of requests.

Both ends use it: the client reads answers, the local service writes them. Everything a class needs
is worked out once, on first use, because importing must be cheap.

The wire is read leniently where nothing can be misread (a number where text is expected, JSON text
where an object is expected) and strictly otherwise: what cannot be read is a :class:`ValueError`.
"""

from __future__ import annotations

import json
import types
from functools import cache, partial
from importlib import import_module
from operator import eq
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def wire_name(field: attrs.Attribute[Any]) -> str:
    """Return the name of a schema field on the wire: ``session_id`` is ``SessionId``."""
    name: str | None = field.metadata.get("wire")
    return name or field.name.title().replace("_", "")


def compact_json(value: object) -> str:
    """Return `value` as JSON without spaces, in ASCII so that any text can be carried."""
    return _ENCODER.encode(value)


def _plain(value: object) -> Any:
    if attrs.has(type(value)):
        return to_json(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


# json.dumps would make an encoder for every call.
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain)


def bare(hint: Any) -> Any:
    """Strip ``| None`` from a type hint."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint


def read_json(body: bytes) -> Any:
    """Parse the body of an answer; orjson, where it is installed, takes a sixth of the time.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    fast = _fast_loads()
    if fast is not None:
        try:
            return fast(body)
        except ValueError:
            # It is stricter: half of a surrogate pair, and NaN, are read below.
            pass
    return json.loads(body)


@cache
def _fast_loads() -> Callable[[bytes], Any] | None:
    try:
        loads: Callable[[bytes], Any] = import_module("orjson").loads
    except ImportError:
        return None
    return loads


def from_json(kind: Any, value: Any) -> Any:
    """Build a value of type `kind` (a schema class, list or dict) from parsed JSON.

    JSON text where an object or array is expected is parsed first, as the service sends some of
    its data so.

    Raises:
        ValueError: `value` has another shape.
    """
    try:
        if isinstance(value, str) and kind is not str:
            value = json.loads(value) if value else None
        return None if value is None else _reading(kind)(value)
    except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        wanted = "an array" if get_origin(kind) is list else "an object"
        raise ValueError(f"expected {wanted}, got {type(value).__name__}") from error


@cache
def _reading(kind: Any) -> Callable[[Any], Any]:
    """Return what reads a `kind`: kept, because cattrs would look for it again with each answer."""
    if attrs.has(kind):
        return _reader(kind, _converter())
    if get_origin(kind) is not list:
        return partial(_converter().structure, cl=kind)
    entry = _reading(get_args(kind)[0])

    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError("not an array")
        return [entry(one) for one in value]

    return read


def to_json(value: Any) -> Any:
    """Turn schema values into what :mod:`json` can write, without absent fields."""
    return _converter().unstructure(value)


@cache
def _converter() -> Any:
    """Build the cattrs converter, on first use: cattrs compiles functions for each class."""
    from cattrs import Converter

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook_factory(attrs.has, lambda kind: _reader(kind, converter))
    converter.register_unstructure_hook_factory(attrs.has, lambda kind: _writer(kind, converter))
    for hint, read in _READERS:
        converter.register_structure_hook_func(partial(eq, hint), read)
        converter.register_structure_hook_func(partial(eq, Union[hint, None]), read)  # noqa: UP007  # a type built at run time
    return converter


def _reader(kind: Any, converter: Any) -> Callable[..., Any]:
    """Compile a function that reads one object: ``kind(session_id, status, ...)``.

    What has its field's type already is taken as it is, without a call; the function that cattrs
    would make takes three times as long, which is felt where a page of sessions is read.
    """
    hints = get_type_hints(kind)
    scope: dict[str, Any] = {"kind": kind}
    arguments: list[str] = []
    for number, field in enumerate(attrs.fields(kind)):
        hint = hints[field.name]
        scope[f"type_{number}"] = bare(hint)
        scope[f"read_{number}"] = partial(converter.structure, cl=hint)
        arguments.append(
            f"v if (v := value.get({wire_name(field)!r})) is None or v.__class__ is type_{number}"
            f" else read_{number}(v)"
        )
    # The text is made of the schema alone, never of what comes over the wire.
    source = f"lambda value, _=None: kind({', '.join(arguments)})"
    read: Callable[..., Any] = eval(source, scope)  # noqa: S307
    return read


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


def _read_text(value: Any, _kind: object) -> Any:
    if value.__class__ is str or value is None:
        return value
    return compact_json(value) if isinstance(value, (list, dict, bool)) else str(value)


def _read_int(value: Any, _kind: object) -> int | None:
    return None if value is None or value == "" else int(value)


def _read_bool(value: Any, _kind: object) -> bool | None:
    if isinstance(value, str):
        return value.lower() == "true"
    return None if value is None else bool(value)


def _read_text_map(value: Any, _kind: object) -> dict[str, str] | None:
    if isinstance(value, str):
        value = json.loads(value) if value else None
    if value is None:
        return None
    return {str(key): str(_read_text(entry, str)) for key, entry in value.items()}


_READERS: tuple[tuple[Any, Callable[[Any, Any], Any]], ...] = (
    (str, _read_text),
    (int, _read_int),
    (bool, _read_bool),
    (dict[str, str], _read_text_map),
)


def tasks_to_text(tasks: Iterable[Any]) -> str:
    """Wrap tasks as GetContextInfo does: a JSON array of wrappers that hold JSON text."""
    return compact_json([{"type": "data", "data": compact_json([to_json(task) for task in tasks])}])


def tasks_from_text(kind: Any, text: str | None) -> list[Any]:
    """Read what :func:`tasks_to_text` wrote; wrappers of other types are passed over.

    Raises:
        ValueError: The text is not of that form.
    """
    try:
        wrappers = json.loads(text) if text else []
    except RecursionError as error:
        raise ValueError("tasks must not be nested so deeply") from error
    if not isinstance(wrappers, list) or not all(isinstance(entry, dict) for entry in wrappers):
        raise ValueError("expected an array of objects")
    data = [entry.get("data") or [] for entry in wrappers if entry.get("type") == "data"]
    return [task for entry in data for task in from_json(list[kind], entry) or ()]
