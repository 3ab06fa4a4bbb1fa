"""Text and keys arrive as they were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.tools.desktop import keyboard
from agentbay_local.tools.desktop.keys import key_symbol

if TYPE_CHECKING:
    from tests.desktop.conftest import Terminal

    from agentbay_async import AsyncSession


@pytest.mark.parametrize(
    "text",
    [
        "plain Text with 123 and ~!@#$%^&*()_+{}|:\"<>?`-=[]\\;',./",
        "Größe, naïve, ÀÉÎÕÜ, ¿qué?, 5 €",
        "ПРИВЕТ жук, Ωμέγα, שלום, سلام, 你好世界, こんにちは, 안녕",
        "😀🚀👩‍👩‍👧 e\u0301 ǅ ﬁ",
        "aAaA ЖжЖж ÄäÄä",
        "tab\tand spaces  ",
    ],
    ids=["ascii", "latin", "scripts", "emoji", "case", "blanks"],
)
async def test_text_arrives_byte_for_byte(terminal: Terminal, text: str) -> None:
    """Characters that no key has get a key."""
    (await terminal.session.computer.input_text(text)).unwrap()
    await terminal.records(text)


async def test_more_characters_than_there_are_keys_arrive(terminal: Terminal) -> None:
    """Keys are given other characters when all are in use."""
    computer, typed = terminal.session.computer, ""
    for start in (0x4E00, 0x5E00, 0x4E20, 0x0400):
        # Each text is read before its keys are given away.
        text = "".join(map(chr, range(start, start + 100)))
        (await computer.input_text(text)).unwrap()
        typed += text
        await terminal.records(typed)
    (await computer.input_text(typed[:150])).unwrap()
    await terminal.records(typed + typed[:150])


async def test_keys_are_pressed_together(terminal: Terminal) -> None:
    """Modifiers, named keys in several spellings, and a character without a key."""
    computer = terminal.session.computer
    for keys in (
        ["Ctrl", "a"],
        ["Enter"],
        ["Alt", "x"],
        ["Shift", "b"],
        ["ArrowUp"],
        ["F5"],
        ["ж"],
    ):
        (await computer.press_keys(keys)).unwrap()
    await terminal.records("\x01\røB\x1b[A\x1b[15~ж")


async def test_keys_are_held_until_they_are_released(terminal: Terminal) -> None:
    """The shift key makes capital letters meanwhile."""
    computer = terminal.session.computer
    (await computer.press_keys(["Shift"], hold=True)).unwrap()
    (await computer.press_keys(["a"])).unwrap()
    (await computer.release_keys(["Shift"])).unwrap()
    (await computer.press_keys(["a"])).unwrap()
    await terminal.records("Aa")


async def test_the_caps_lock_key_does_not_change_a_text(terminal: Terminal) -> None:
    """But it does change keys, as on a keyboard."""
    computer = terminal.session.computer
    (await computer.press_keys(["CapsLock"])).unwrap()
    (await computer.input_text("aBж")).unwrap()
    (await computer.press_keys(["c"])).unwrap()
    await terminal.records("aBжC")


async def test_a_key_that_does_not_exist_is_refused(session: AsyncSession) -> None:
    """The error names it; nothing is started."""
    result = await session.computer.press_keys(["Ctrl", "Hyper7"])
    assert not result.success
    assert "keys has 'Hyper7', which is no character and no name" in result.error_message


@pytest.mark.parametrize(
    ("text", "why"),
    [("a\x00b", "has '\\x00'"), ("\ud800", "has '\\ud800'"), ("x" * 20_001, "at most 20000")],
)
async def test_text_that_no_keyboard_has_is_refused(text: str, why: str) -> None:
    """Before anything is started."""
    with pytest.raises(ToolError) as raised:
        # Refused before the context is used.
        await keyboard.input_text(None, Arguments("input_text", {"text": text}))  # type: ignore[arg-type]
    assert why in str(raised.value)


@pytest.mark.parametrize("keys", [[], ["a"] * 17])
async def test_there_must_be_some_keys_and_not_too_many(keys: list[str]) -> None:
    """A keyboard has no more fingers on it."""
    with pytest.raises(ToolError, match="keys must have 1 to 16 names"):
        # As above.
        await keyboard.press_keys(None, Arguments("press_keys", {"keys": keys}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "symbol"),
    [
        (["Ctrl", "control", "Control_L"], 0xFFE3),
        (["Control_R", "CtrlRight"], 0xFFE4),
        (["PageUp", "page_up", "PgUp", "Prior"], 0xFF55),
        (["Return", "enter"], 0xFF0D),
        (["Win", "Windows", "Super_L"], 0xFFEB),
        (["F24"], 0xFFD5),
        (["é"], 0xE9),
        (["€"], 0x010020AC),
        (["A"], 0x41),
    ],
)
def test_keys_have_several_names(names: list[str], symbol: int) -> None:
    """Those of the tools, of X, and of other remote controls."""
    assert [key_symbol(name) for name in names] == [symbol] * len(names)


@pytest.mark.parametrize("name", ["", "F25", "\x01", "Hyper"])
def test_other_names_are_no_keys(name: str) -> None:
    """A control character is none either."""
    assert key_symbol(name) is None
