"""Sync policies: a :class:`SyncPolicy` to the JSON text of the wire, and back.

On the wire a policy is JSON text inside the JSON of a list. Its keys are camelCase; one differs
from our name (``extractToCurrentFolder``). The classes of a policy check their own values, so
reading converts the enums only.
"""

from __future__ import annotations

import json
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

import attrs

from agentbay_async._protocol.codec import compact_json
from agentbay_async.models.sync_policy import SyncPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

_SPECIAL_NAMES = {"extract_current_folder": "extractToCurrentFolder"}
# Left out when empty, as official clients do. All other keys are sent, defaults too.
_OMITTED = frozenset({"archive_exclude_paths", "mapping_policy"})

# cattrs would convert these ("yes" to True); their classes are to see the value as it arrived.
_UNCHANGED = (bool, str, list[str])


def policy_to_text(policy: SyncPolicy) -> str:
    """Return the wire form of `policy`.

    Example:
        >>> '"autoUpload":true' in policy_to_text(SyncPolicy.default())
        True
    """
    return compact_json(_converter().unstructure(policy))


def policy_from_text(text: str | None) -> SyncPolicy:
    """Read a policy from the wire; absent parts and keys, and empty choices, have their defaults.

    Raises:
        ValueError: The text is not a policy; the message names the part.
    """
    try:
        policy: SyncPolicy = _converter().structure(json.loads(text) if text else {}, SyncPolicy)
    except RecursionError as error:
        raise ValueError("a policy must not be nested so deeply") from error
    return policy


@cache
def _converter() -> Any:
    """Build the converter on first use: most programs never send a policy."""
    from cattrs import Converter

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook_factory(attrs.has, lambda kind: _reader(kind, converter))
    converter.register_unstructure_hook_factory(attrs.has, lambda kind: _writer(kind, converter))
    return converter


def _unchanged(value: Any, _: object) -> Any:
    return value


def _reader(kind: Any, converter: Any) -> Callable[[Any, Any], Any]:
    from cattrs.gen import make_dict_structure_fn, override

    hints = get_type_hints(kind)
    names: dict[str, Any] = {
        field.name: override(
            rename=_camel(field.name),
            struct_hook=_unchanged if hints[field.name] in _UNCHANGED else None,
        )
        for field in attrs.fields(kind)
    }
    build = make_dict_structure_fn(kind, converter, **names)
    choices = {
        _camel(name)
        for name, hint in hints.items()
        if isinstance(hint, type) and issubclass(hint, Enum)
    }

    def is_given(key: str, entry: Any) -> bool:
        # The Go client sends a choice that its user has left out as an empty text.
        return entry is not None and not (entry == "" and key in choices)

    def read(value: Any, _: object) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{kind.__name__} must be a JSON object")
        try:
            return build({k: entry for k, entry in value.items() if is_given(k, entry)}, kind)
        except TypeError as error:
            raise ValueError(f"{kind.__name__}: {error}") from error

    return read


def _writer(kind: Any, converter: Any) -> Callable[[Any], Any]:
    from cattrs.gen import make_dict_unstructure_fn, override

    names: dict[str, Any] = {
        field.name: override(rename=_camel(field.name), omit_if_default=field.name in _OMITTED)
        for field in attrs.fields(kind)
    }
    write: Callable[[Any], Any] = make_dict_unstructure_fn(kind, converter, **names)
    return write


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return _SPECIAL_NAMES.get(name) or head + "".join(word.title() for word in rest)
