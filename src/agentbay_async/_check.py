"""Check arguments before a request is sent.

Each function returns the checked value, so that it can be used inline. Error messages name the
argument and the cure.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from posixpath import normpath
from typing import TypeVar

from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError

T = TypeVar("T")

#: The limits of the cloud for the labels of a session: their number, and the characters of each.
MAX_LABELS = 20
MAX_LABEL_KEY = 128
MAX_LABEL_VALUE = 256
#: Keys of labels that the library sets begin with it; see ``_lifecycle/reserved_labels.py``.
RESERVED_PREFIX = "agentbay-"

WILDCARDS = frozenset("*?[]")

# More wrappers than any function has; a cycle of them must end.
_MAX_WRAPPERS = 100


_warned: set[str] = set()


def warn_deprecated(official: str, ours: str) -> None:
    """Warn, once for each name, that the official client deprecates `official`; name ours."""
    if official in _warned:
        return
    _warned.add(official)
    warnings.warn(
        f"{official} is deprecated by the official client too: use {ours}",
        DeprecationWarning,
        stacklevel=_stack_level(),
    )


def _stack_level() -> int:
    """Return the level of the caller's own code: the first frame outside of this library."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("agentbay"):
        frame, level = frame.f_back, level + 1
    return level


def string(value: object, name: str) -> str:
    """Return `value` if it is a string."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be a str, not {type(value).__name__}")
    return value


def text(value: object, name: str, most: int | None = None) -> str:
    """Return `value` if it is a string that is not blank, of at most `most` characters."""
    value = string(value, name)
    if not value.strip():
        raise InvalidArgumentError(f"{name} must not be empty or blank")
    if "\0" in value:
        raise InvalidArgumentError(f"{name} must not contain a NUL character")
    if most is not None and len(value) > most:
        raise InvalidArgumentError(f"{name} must have at most {most} characters, not {len(value)}")
    return encodable(value, name)


def encodable(value: str, name: str) -> str:
    """Return `value` if it can be written as UTF-8; file names that are not text cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            f"{name} cannot be written as UTF-8 (character {error.start} is half of a pair)"
        ) from None
    return value


def identifier(value: object, name: str, most: int | None = None) -> str:
    """Return `value` if it can be an id: one word, no white space around or inside."""
    checked = text(value, name, most)
    if any(character.isspace() for character in checked):
        raise InvalidArgumentError(f"{name} must be an id without white space, not {checked!r}")
    return checked


def boolean(value: object, name: str) -> bool:
    """Return `value` if it is ``True`` or ``False``."""
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def integer(value: object, name: str) -> int:
    """Return `value` if it is an integer (``True`` is not)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(f"{name} must be an int, not {type(value).__name__}")
    return value


def positive_int(value: object, name: str) -> int:
    """Return `value` if it is an integer above 0 (``True`` is not)."""
    number = integer(value, name)
    if number < 1:
        raise InvalidArgumentError(f"{name} must be at least 1, not {number}")
    return number


def seconds(value: object, name: str) -> float:
    """Return a length of time in seconds, given as a number of seconds or a timedelta."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(
            f"{name} must be a number of seconds or a timedelta, not {type(value).__name__}"
        )
    if not 0 < value < float("inf"):
        raise InvalidArgumentError(f"{name} must be above 0 and finite, not {value}")
    return float(value)


def labels(value: object, name: str = "labels") -> dict[str, str]:
    """Return a copy of `value` if it maps non-blank strings to such strings, within the limits."""
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(f"{name} must map str to str, not be a {type(value).__name__}")
    checked = {
        text(key, f"each key of {name}", MAX_LABEL_KEY): text(
            entry, f"{name}[{key!r:.100}]", MAX_LABEL_VALUE
        )
        for key, entry in value.items()
    }
    if len(checked) > MAX_LABELS:
        raise InvalidArgumentError(
            f"{name} must have at most {MAX_LABELS} entries, not {len(checked)}"
        )
    for key in checked:
        if key.startswith(RESERVED_PREFIX):
            raise InvalidArgumentError(
                f"{name}: {key!r} is reserved, like all keys that begin with {RESERVED_PREFIX!r};"
                " take another name"
            )
    return checked


def variables(value: object, name: str = "envs") -> dict[str, str]:
    """Return a copy of `value` if it can be used as environment variables."""
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(f"{name} must map str to str, not be a {type(value).__name__}")
    for key, entry in value.items():
        if "=" in identifier(key, f"each name in {name}"):
            raise InvalidArgumentError(f"each name in {name} must not contain '=': {key!r}")
        # Values may be secrets, so no message has one.
        if "\0" in encodable(string(entry, f"{name}[{key!r}]"), f"{name}[{key!r}]"):
            raise InvalidArgumentError(f"{name}[{key!r}] must not contain a NUL character")
    return dict(value)


def sequence(value: object, name: str, item_type: type[T]) -> list[T]:
    """Return the items of `value` as a list if all are instances of `item_type`."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ArgumentTypeError(f"{name} must be a list, not {type(value).__name__}")
    for index, entry in enumerate(value):
        if not isinstance(entry, item_type):
            raise ArgumentTypeError(
                f"{name}[{index}] must be a {item_type.__name__}, not {type(entry).__name__}"
            )
    return list(value)


def absolute_path(value: object, name: str) -> str:
    """Return `value` if it is an absolute POSIX path that stays below the root."""
    path = text(value, name)
    if not path.startswith("/"):
        raise InvalidArgumentError(
            f"{name} must be an absolute path such as '/mnt/data', not {path!r}"
        )
    if ".." in path.split("/"):
        raise InvalidArgumentError(
            f"{name} must not contain '..': {path!r}; give {normpath(path)!r}"
        )
    return path


def mount_path(value: object, name: str) -> str:
    """Return `value` if it is an absolute path other than the root, which holds the system."""
    path = absolute_path(value, name)
    if not path.strip("/."):
        raise InvalidArgumentError(
            f"{name} must be a directory of its own such as '/mnt/data', not {path!r}: the files of"
            " a context would hide the session's system"
        )
    return path


def literal_path(value: object, name: str, *, regex: bool = False) -> str:
    """Return `value` if it is a path without wildcards; an empty path means the whole tree.

    Args:
        value: The argument.
        name: Its name, for messages.
        regex: Whether it is a regular expression, which may contain any character.
    """
    value = string(value, name)
    found = sorted(WILDCARDS.intersection(value)) if value.strip() and not regex else []
    if found:
        raise InvalidArgumentError(
            f"{name} must not contain wildcards ({' '.join(found)}): {value!r}; "
            "name the directory itself (white lists may set a regex flag instead)"
        )
    return value


def is_coroutine_function(value: object) -> bool:
    """Return whether `value` is defined as a coroutine function.

    Looks through :func:`functools.partial`, decorators that use :func:`functools.wraps`, methods,
    and objects with an ``async def __call__``.
    """
    # Imported here: the module is large, and few programs pass functions.
    from inspect import isasyncgenfunction, iscoroutinefunction

    return any(
        iscoroutinefunction(found) or isasyncgenfunction(found) for found in _definitions(value)
    )


def is_plain_function(value: object) -> bool:
    """Return whether `value` is certainly a ``def`` that returns no awaitable.

    A lambda may return the coroutine of another function, and a function without Python code
    cannot be looked into: of these it is not sure.
    """
    from inspect import isfunction

    found = _definitions(value)[-1]
    return isfunction(found) and found.__name__ != "<lambda>" and not is_coroutine_function(value)


def _definitions(value: object) -> list[object]:
    """Return `value` and its wrapped functions, down to the innermost one."""
    from functools import partial
    from inspect import isclass, isfunction, ismethod

    found = [value]
    for _ in range(_MAX_WRAPPERS):
        if isinstance(value, partial):
            value = value.func
        elif ismethod(value):
            value = value.__func__
        elif (wrapped := getattr(value, "__wrapped__", None)) is not None:
            value = wrapped
        elif isfunction(value) or isclass(value) or not callable(value):
            break
        else:
            value = type(value).__call__
        found.append(value)
    return found
