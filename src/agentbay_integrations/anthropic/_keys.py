"""Names of keys as models write them, in the words of Playwright."""

from __future__ import annotations

import re

from anthropic.tools import ToolError

__all__ = ["chords", "keys_of"]

_NAMES = {
    "alt": "Alt",
    "backspace": "Backspace",
    "capslock": "CapsLock",
    # Chromium runs on Linux in a session, where shortcuts of a Mac are those of Control.
    "cmd": "Control",
    "command": "Control",
    "control": "Control",
    "ctrl": "Control",
    "del": "Delete",
    "delete": "Delete",
    "down": "ArrowDown",
    "end": "End",
    "enter": "Enter",
    "esc": "Escape",
    "escape": "Escape",
    "home": "Home",
    "insert": "Insert",
    "left": "ArrowLeft",
    "meta": "Meta",
    "minus": "-",
    "next": "PageDown",
    "option": "Alt",
    "pagedown": "PageDown",
    "pageup": "PageUp",
    "plus": "+",
    "prior": "PageUp",
    "return": "Enter",
    "right": "ArrowRight",
    "shift": "Shift",
    "space": "Space",
    "super": "Meta",
    "tab": "Tab",
    "up": "ArrowUp",
    "win": "Meta",
}


def chords(text: str) -> list[list[str]]:
    """Return the chords of a sequence such as ``"ctrl+a Delete"``, each a list of keys.

    Raises:
        ToolError: It names no key.
    """
    found = [keys_of(chord) for chord in text.split()] if text != " " else [["Space"]]
    if not found:
        raise ToolError("text must name a key, such as 'Return' or 'ctrl+a'")
    return found


def keys_of(chord: str | None) -> list[str]:
    """Return the keys of a chord such as ``"ctrl+shift+p"``; of ``None``, none."""
    if not chord:
        return []
    if chord == "+" or chord.endswith("++"):  # the last key is a plus sign
        return [*keys_of(chord[:-2]), "+"]
    return [_key(name) for name in chord.split("+") if name]


def _key(name: str) -> str:
    if len(name) == 1:
        return name
    lower = name.lower()
    if re.fullmatch(r"f\d{1,2}", lower):
        return lower.upper()
    plain = re.sub(r"_[lr]$|^arrow|^kp_", "", lower).replace("_", "")
    return _NAMES.get(plain, name)
