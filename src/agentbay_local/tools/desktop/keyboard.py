"""The tools of the keyboard: type a text, press keys, release them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local.tools.desktop.display import DONE, display_of
from agentbay_local.tools.desktop.keys import key_symbol

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["input_text", "press_keys", "release_keys"]

_LONGEST_TEXT = 20_000
_MOST_KEYS = 16
# Keys that type them exist.
_TYPED_CONTROLS = frozenset("\n\r\t\b\x1b")


async def input_text(context: ToolContext, arguments: Arguments) -> str:
    """Type a text into the window that has the focus."""
    text = arguments.text("text")
    if len(text) > _LONGEST_TEXT:
        raise arguments.wrong("text", f"must have at most {_LONGEST_TEXT} characters")
    for character in text:
        if not _can_be_typed(character):
            raise arguments.wrong("text", f"has {character!r}, which no key can type")
    if text:
        await display_of(context).perform("type_text", text=text.replace("\r\n", "\n"))
    return DONE


async def press_keys(context: ToolContext, arguments: Arguments) -> str:
    """Press keys one after another, and release them unless they are held."""
    symbols = _symbols(arguments)
    released = [] if arguments.flag("hold") else symbols[::-1]
    await display_of(context).perform("use_keys", down=symbols, up=released)
    return DONE


async def release_keys(context: ToolContext, arguments: Arguments) -> str:
    """Release keys that are held."""
    await display_of(context).perform("use_keys", down=[], up=_symbols(arguments)[::-1])
    return DONE


def _can_be_typed(character: str) -> bool:
    # C0 and C1 controls, and halves of surrogate pairs, are no characters of any keyboard.
    code = ord(character)
    if code < 0x20:
        return character in _TYPED_CONTROLS
    return not (0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000)


def _symbols(arguments: Arguments) -> list[int]:
    names = arguments.texts("keys")
    if not 0 < len(names) <= _MOST_KEYS:
        raise arguments.wrong("keys", f"must have 1 to {_MOST_KEYS} names of keys")
    found = [key_symbol(name) for name in names]
    for name, symbol in zip(names, found, strict=True):
        if symbol is None:
            raise arguments.wrong(
                "keys", f"has {name!r:.40}, which is no character and no name such as Ctrl or Enter"
            )
    return [symbol for symbol in found if symbol is not None]
