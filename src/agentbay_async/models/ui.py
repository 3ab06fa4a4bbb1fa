"""Screens, windows and apps of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from agentbay_async.models.keyed import KeyedValue
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class CursorPosition(KeyedValue):
    """The position of the mouse, in pixels from the upper left corner.

    It can also be read like the dictionary of the official client.

    Example:
        >>> position = CursorPosition(512, 384)
        >>> position.x, position["y"]
        (512, 384)
    """

    keys_of_attributes: ClassVar[Mapping[str, str]] = {"x": "x", "y": "y"}

    x: int
    y: int


@attrs.frozen
class ScreenSize(KeyedValue):
    """The size of the screen, in pixels.

    It can also be read like the dictionary of the official client, which has ``dpiScalingFactor``.
    """

    keys_of_attributes: ClassVar[Mapping[str, str]] = {
        "width": "width",
        "height": "height",
        "dpiScalingFactor": "dpi_scaling_factor",
    }

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

    def _repr_png_(self) -> bytes | None:
        """Return the picture for notebooks, if it is of this format; so does the next method."""
        return self.data if self.mime_type == "image/png" else None

    def _repr_jpeg_(self) -> bytes | None:
        return self.data if self.mime_type == "image/jpeg" else None


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

    # Names of the official client, from scripts/official_names.toml.

    @property
    def title(self) -> str:
        """Return :attr:`window_title`, under the name of the official client."""
        return self.window_title


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
        format: The format of `raw`, ``"json"`` or ``"xml"``.
    """

    # The keys differ from image to image.
    elements: list[dict[str, Any]] = attrs.field(factory=list)
    raw: str = ""
    format: str = "json"


class WindowListResult(Result["list[Window]"]):
    """The windows of a desktop."""

    __slots__ = ()

    @property
    def data(self) -> list[Window]:
        """The windows; raises the error of a failed result."""
        return self.unwrap()

    @property
    def windows(self) -> list[Window]:
        """The windows; raises the error of a failed result."""
        return self.unwrap()


class WindowInfoResult(Result["Window"]):
    """One window."""

    __slots__ = ()

    @property
    def data(self) -> Window:
        """The window; raises the error of a failed result."""
        return self.unwrap()

    @property
    def window(self) -> Window:
        """The window; raises the error of a failed result."""
        return self.unwrap()


class UIElementListResult(Result["UIElements"]):
    """The elements on a mobile screen."""

    __slots__ = ()

    @property
    def data(self) -> UIElements:
        """The elements and the text they were read from; raises the error of a failed result."""
        return self.unwrap()

    @property
    def elements(self) -> list[dict[str, Any]]:
        """The elements, each with ``bounds_rect``: its left, top, right and bottom, or ``None``."""
        return self.unwrap().elements

    @property
    def raw(self) -> str:
        """The text of the image's answer."""
        return self.unwrap().raw

    @property
    def format(self) -> str:
        """The format of :attr:`raw`, ``"json"`` or ``"xml"``."""
        return self.unwrap().format


class ScreenshotResult(Result["Screenshot"]):
    """A picture of the screen, with its bytes in ``data``."""

    __slots__ = ()

    @property
    def data(self) -> bytes:
        """The bytes of the image file; raises the error of a failed result."""
        return self.unwrap().data

    @property
    def mime_type(self) -> str:
        """``"image/png"`` or ``"image/jpeg"``."""
        return self.unwrap().mime_type

    @property
    def type(self) -> str:
        """``"image"``."""
        return self.mime_type.partition("/")[0]

    @property
    def format(self) -> str:
        """``"png"`` or ``"jpeg"``."""
        return self.mime_type.partition("/")[2]

    @property
    def width(self) -> int | None:
        """Width in pixels, or ``None`` if unknown."""
        return self.unwrap().width

    def _repr_png_(self) -> bytes | None:
        return None if self._value is None else self._value._repr_png_()

    def _repr_jpeg_(self) -> bytes | None:
        return None if self._value is None else self._value._repr_jpeg_()

    @property
    def height(self) -> int | None:
        """Height in pixels, or ``None`` if unknown."""
        return self.unwrap().height
