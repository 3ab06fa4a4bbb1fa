"""What screens, windows and apps of a session tell: values without any I/O."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class CursorPosition:
    """Where the mouse is, in pixels from the upper left corner."""

    x: int
    y: int


@attrs.frozen
class ScreenSize:
    """The screen, in pixels."""

    width: int
    height: int
    dpi_scaling_factor: float = 1.0


@attrs.frozen
class Screenshot:
    """A picture of the screen.

    Attributes:
        data: The file, as bytes.
        mime_type: ``"image/png"`` or ``"image/jpeg"``.
        width: Pixels, or ``None`` where the image does not tell.
        height: Pixels, or ``None`` where the image does not tell.
    """

    data: bytes = attrs.field(repr=False)
    mime_type: str = ""
    width: int | None = None
    height: int | None = None


@attrs.frozen
class Window:
    """A window of the desktop, and those inside it. Lengths are pixels."""

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
    """A process of an app that was started."""

    pname: str
    pid: int = 0
    cmdline: str = ""


@attrs.frozen
class UIElements:
    """The elements on a mobile screen.

    Attributes:
        elements: As the image describes them; none where it was asked for XML.
        raw: What it wrote.
    """

    # Each app describes its elements in its own words.
    elements: list[dict[str, Any]] = attrs.field(factory=list)
    raw: str = ""
