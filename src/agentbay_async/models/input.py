"""Words for the mouse and the screen, under the names of the official client."""

from __future__ import annotations

from enum import Enum


class MouseButton(str, Enum):
    """A button of the mouse, or a double click of the left one.

    Example:
        >>> MouseButton.LEFT == "left"
        True
    """

    LEFT = "left"
    RIGHT = "right"
    MIDDLE = "middle"
    DOUBLE_LEFT = "double_left"


class ScrollDirection(str, Enum):
    """Where the mouse wheel scrolls to."""

    UP = "up"
    DOWN = "down"
    LEFT = "left"
    RIGHT = "right"


class ScreenshotMode(str, Enum):
    """What a screenshot shows; the service has one mode."""

    NORMAL = "normal"
