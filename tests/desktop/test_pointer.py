"""Clicks, drags and scrolls reach the point and the button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.tools.desktop import pointer

if TYPE_CHECKING:
    from tests.desktop.conftest import Terminal

    from agentbay_async import AsyncSession


def press(code: int, column: int, row: int) -> str:
    """Return what a terminal reports for a button that goes down and up."""
    return f"\x1b[<{code};{column};{row}M\x1b[<{code};{column};{row}m"


async def test_clicks_hit_the_character_below(terminal: Terminal) -> None:
    """Each button, twice for a double click."""
    computer = terminal.session.computer
    expected = ""
    for button, code in (("left", 0), ("middle", 1), ("right", 2)):
        (await computer.click_mouse(*terminal.at(10, 5), button)).unwrap()
        expected += press(code, 10, 5)
    (await computer.click_mouse(*terminal.at(80, 24), "double_left")).unwrap()
    await terminal.records(expected + press(0, 80, 24) * 2)


async def test_a_drag_passes_points_with_the_button_down(terminal: Terminal) -> None:
    """From one character to another."""
    start, end = terminal.at(10, 5), terminal.at(30, 12)
    (await terminal.session.computer.drag_mouse(*start, *end)).unwrap()

    reports: list[str] = []
    while not (reports and reports[-1].endswith("m")):
        reports = (await terminal.recorded()).split("\x1b[<")[1:]
    assert (reports[0], reports[-1]) == ("0;10;5M", "0;30;12m")
    moves = reports[1:-1]
    assert len(moves) > 3
    assert all(move.startswith("32;") for move in moves)


async def test_the_wheel_turns_by_notches(terminal: Terminal) -> None:
    """In four directions."""
    computer = terminal.session.computer
    for direction in ("up", "down", "left", "right"):
        (await computer.scroll(*terminal.at(3, 3), direction, 2)).unwrap()
    turned = [f"\x1b[<{code};3;3M" for code in (64, 65, 66, 67)]

    def presses(text: str) -> list[str]:
        return [f"\x1b[<{one}" for one in text.split("\x1b[<") if one.endswith("M")]

    while len(presses(await terminal.recorded())) < 8:
        continue
    assert presses(await terminal.recorded()) == [one for one in turned for _ in range(2)]


async def test_the_mouse_is_where_it_was_moved(session: AsyncSession) -> None:
    """Up to the last pixel."""
    for point in ((0, 0), (640, 400), (1279, 799)):
        (await session.computer.move_mouse(*point)).unwrap()
        assert await _position(session) == point


async def test_a_point_that_is_not_on_the_screen_is_refused(session: AsyncSession) -> None:
    """The mouse stays where it is."""
    (await session.computer.move_mouse(5, 6)).unwrap()
    result = await session.computer.click_mouse(1280, 10)
    assert "the point is not on the screen, which has 1280 x 800 pixels" in result.error_message
    assert await _position(session) == (5, 6)


async def _position(session: AsyncSession) -> tuple[int, int]:
    found = (await session.computer.get_cursor_position()).unwrap()
    return found.x, found.y


@pytest.mark.parametrize(
    ("tool", "values", "why"),
    [
        ("click_mouse", {"x": 1}, "y is required"),
        ("click_mouse", {"x": -1, "y": 0}, "x must be a whole number from 0"),
        ("click_mouse", {"x": True, "y": 0}, "x must be a whole number, not bool"),
        ("click_mouse", {"x": 1, "y": 1, "button": "fourth"}, "button must be one of left, middle"),
        ("drag_mouse", {"button": "double_left"}, "button must be one of left, middle, right"),
        ("scroll", {"x": 1, "y": 1, "direction": "in"}, "direction must be one of up, down"),
        ("scroll", {"x": 1, "y": 1, "amount": 0}, "amount must be a whole number from 1 to 100"),
    ],
)
async def test_wrong_arguments_are_named(tool: str, values: dict[str, Any], why: str) -> None:
    """Before anything is started."""
    with pytest.raises(ToolError) as raised:
        await getattr(pointer, tool)(None, Arguments(tool, values))
    assert why in str(raised.value)
