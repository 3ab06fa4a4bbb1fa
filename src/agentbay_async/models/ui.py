"""Screens, windows and apps of a session."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class CursorPosition:
    """The position of the mouse, in pixels from the upper left corner."""

    x: int
    y: int


@attrs.frozen
class ScreenSize:
    """The size of the screen, in pixels."""

    width: int
    height: int
    dpi_scaling_factor: float = 1.0


@attrs.frozen
class Screenshot:
    """A picture of the screen.

    Attributes:
        data: The bytes of the image file.
        mime_type: ``"image/png"`` or ``"image/jpeg"``.
        width: Width in pixels, or ``None`` if unknown.
        height: Height in pixels, or ``None`` if unknown.
    """

    data: bytes = attrs.field(repr=False)
    mime_type: str = ""
    width: int | None = None
    height: int | None = None


@attrs.frozen
class Window:
    """A window of the desktop, with its child windows. Lengths are in pixels."""

    window_id: int
    window_title: str = ""
    absolute_upper_left_x: int = 0
    absolute_upper_left_y: int = 0
    width: int = 0
    height: int = 0
    pid: int = 0
    pname: str = ""
    child_windows: tuple[Window, ...] = ()


@attrs.frozen
class InstalledApp:
    """An app, and the commands that start and stop it."""

    name: str
    start_cmd: str = ""
    stop_cmd: str = ""
    work_directory: str = ""


@attrs.frozen
class AppProcess:
    """A process of a running app."""

    pname: str
    pid: int = 0
    cmdline: str = ""


@attrs.frozen
class UIElements:
    """The elements on a mobile screen.

    Attributes:
        elements: The elements as the image describes them; empty if XML was requested.
        raw: The text of the image's answer.
    """

    # The keys differ from image to image.
    elements: list[dict[str, Any]] = attrs.field(factory=list)
    raw: str = ""
