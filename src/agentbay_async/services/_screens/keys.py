"""Names of keys as the tools want them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMED = (
    "Ctrl Alt Shift Win Meta Super Command Tab Enter Escape Backspace Delete Insert Home End "
    "PageUp PageDown Space CapsLock NumLock ScrollLock PrintScreen Pause "
    "ArrowUp ArrowDown ArrowLeft ArrowRight"
)
_CHARACTERS = {
    "minus": "-",
    "equal": "=",
    "comma": ",",
    "period": ".",
    "slash": "/",
    "backslash": "\\",
    "semicolon": ";",
    "quote": "'",
    "backquote": "`",
}
_NAMES = {
    **{name.lower(): name for name in _NAMED.split()},
    **{f"f{number}": f"F{number}" for number in range(1, 25)},
    **_CHARACTERS,
}


def keys(value: Sequence[str], name: str = "keys") -> list[str]:
    """Return keys in the spelling of the tools; what has no other spelling stays as it is.

    Example:
        >>> keys(["ctrl", "A"])
        ['Ctrl', 'a']
    """
    return [
        _key(_check.string(key, f"each of {name}")) for key in _check.sequence(value, name, str)
    ]


def _key(key: str) -> str:
    if len(key) == 1:
        return key.lower()
    return _NAMES.get(key.lower(), key)
