"""The tools of the mouse: click, move, drag, scroll, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol.codec import compact_json
from agentbay_local.tools.desktop.display import DONE, display_of

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

    Step = list[str | int | float]

__all__ = ["click_mouse", "drag_mouse", "get_cursor_position", "move_mouse", "scroll"]

_BUTTONS = {"left": 1, "middle": 2, "right": 3}
_CLICKS = {**{name: (number, 1) for name, number in _BUTTONS.items()}, "double_left": (1, 2)}
_WHEEL = {"up": 4, "down": 5, "left": 6, "right": 7}
_MOST_NOTCHES = 100
# of the X protocol
_LARGEST = 32767
# Programs tell a click from noise, and a drag from a click, by these times and distances.
_PRESS_SECONDS = 0.012
_DRAG_SECONDS = 0.03
_DRAG_STEPS = 8


async def click_mouse(context: ToolContext, arguments: Arguments) -> str:
    """Click a button at a point."""
    kind = arguments.choice("button", tuple(_CLICKS), "left")
    button, times = _CLICKS[kind]
    return await _perform(context, [_move(arguments), *_click(button, _PRESS_SECONDS) * times])


async def move_mouse(context: ToolContext, arguments: Arguments) -> str:
    """Move the mouse to a point."""
    return await _perform(context, [_move(arguments)])


async def drag_mouse(context: ToolContext, arguments: Arguments) -> str:
    """Drag the mouse from a point to another, with a button held down."""
    button = _BUTTONS[arguments.choice("button", tuple(_BUTTONS), "left")]
    x, y = _point(arguments, "from_x", "from_y")
    to_x, to_y = _point(arguments, "to_x", "to_y")
    steps: list[Step] = [["move", x, y, 0], ["down", button, _PRESS_SECONDS]]
    for part in range(1, _DRAG_STEPS + 1):
        across, down = (to_x - x) * part // _DRAG_STEPS, (to_y - y) * part // _DRAG_STEPS
        steps.append(["move", x + across, y + down, _PRESS_SECONDS])
    return await _perform(context, [*steps, ["up", button, _DRAG_SECONDS]])


async def scroll(context: ToolContext, arguments: Arguments) -> str:
    """Turn the wheel at a point."""
    wheel = _WHEEL[arguments.choice("direction", tuple(_WHEEL), "up")]
    notches = arguments.integer("amount", 1, _MOST_NOTCHES, default=1)
    turns = [step for _ in range(notches) for step in _click(wheel, 0)]
    return await _perform(context, [_move(arguments), *turns])


async def get_cursor_position(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the position of the mouse."""
    del arguments
    found = await display_of(context).perform("describe_pointer")
    return compact_json({"x": found.get("x"), "y": found.get("y")})


async def _perform(context: ToolContext, steps: list[Step]) -> str:
    await display_of(context).perform("use_pointer", steps=steps)
    return DONE


def _move(arguments: Arguments) -> Step:
    return ["move", *_point(arguments, "x", "y"), 0]


def _point(arguments: Arguments, *names: str) -> tuple[int, int]:
    x, y = (arguments.integer(name, 0, _LARGEST) for name in names)
    return x, y


def _click(button: int, seconds: float) -> list[Step]:
    return [["down", button, seconds], ["up", button, seconds]]
