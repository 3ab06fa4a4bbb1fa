"""Names of keys, and their symbols (keysyms) on the display."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["key_symbol"]

# X11/keysymdef.h
_SYMBOLS = {
    "alt": 0xFFE9,
    "altleft": 0xFFE9,
    "altright": 0xFFEA,
    "backspace": 0xFF08,
    "capslock": 0xFFE5,
    "command": 0xFFEB,
    "control": 0xFFE3,
    "ctrl": 0xFFE3,
    "ctrlleft": 0xFFE3,
    "ctrlright": 0xFFE4,
    "delete": 0xFFFF,
    "end": 0xFF57,
    "enter": 0xFF0D,
    "escape": 0xFF1B,
    "home": 0xFF50,
    "insert": 0xFF63,
    "menu": 0xFF67,
    "meta": 0xFFEB,
    "numlock": 0xFF7F,
    "pagedown": 0xFF56,
    "pageup": 0xFF55,
    "pause": 0xFF13,
    "printscreen": 0xFF61,
    "scrolllock": 0xFF14,
    "shift": 0xFFE1,
    "shiftleft": 0xFFE1,
    "shiftright": 0xFFE2,
    "space": 0x20,
    "super": 0xFFEB,
    "tab": 0xFF09,
    "win": 0xFFEB,
    **{f"arrow{name}": 0xFF51 + n for n, name in enumerate(("left", "up", "right", "down"))},
    **{name: 0xFF51 + n for n, name in enumerate(("left", "up", "right", "down"))},
    **{f"f{number}": 0xFFBD + number for number in range(1, 25)},
}
# What programs for X and for other remote controls call these keys.
_SYNONYMS = {
    "esc": "escape",
    "del": "delete",
    "return": "enter",
    "pgup": "pageup",
    "prior": "pageup",
    "pgdn": "pagedown",
    "next": "pagedown",
    "print": "printscreen",
    "cmd": "command",
    "controlright": "ctrlright",
    "option": "alt",
    "windows": "win",
    "spacebar": "space",
}
_FIRST_PRINTABLE, _LAST_ASCII, _FIRST_LATIN, _LAST_LATIN = 0x20, 0x7E, 0xA0, 0xFF
_UNICODE = 0x01000000


def key_symbol(name: str) -> int | None:
    """Return the symbol of a key; None if no key has that name.

    Args:
        name: One character, or the name of a key, in any case and with ``_``, ``-`` or spaces.

    Example:
        >>> hex(key_symbol("Page_Up")), hex(key_symbol("a")), key_symbol("Hyper7")
        ('0xff55', '0x61', None)
    """
    if len(name) == 1:
        return _character_symbol(ord(name))
    # X has the names Control_L and Control_R, and so on.
    left = name.lower().removesuffix("_l")
    plain = _without(re.sub("_r$", "right", left), "_- ")
    return _SYMBOLS.get(_SYNONYMS.get(plain, plain))


def _character_symbol(code: int) -> int | None:
    if _FIRST_PRINTABLE <= code <= _LAST_ASCII or _FIRST_LATIN <= code <= _LAST_LATIN:
        return code
    return _UNICODE | code if code > _LAST_LATIN else None


def _without(text: str, characters: Iterable[str]) -> str:
    return "".join(one for one in text if one not in characters)
