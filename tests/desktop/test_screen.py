"""Screenshots show what is on the screen."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.desktop.conftest import open_terminal, until

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.tools.desktop.screen import picture_size

if TYPE_CHECKING:
    from agentbay_async import AsyncSession

_COLOR = (0x12, 0xAB, 0x34)


def rows_of(png: bytes) -> list[bytes]:
    """Decode a PNG of eight bits for each of red, green and blue (RFC 2083)."""
    width, height, depth, kind = struct.unpack_from(">IIBB", png, 16)
    assert (depth, kind) == (8, 2)
    packed, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        if png[place + 4 : place + 8] == b"IDAT":
            packed += png[place + 8 : place + 8 + length]
        place += length + 12
    data, size = zlib.decompress(packed), 3 * width
    rows = [bytes(size)]
    for start in range(0, height * (size + 1), size + 1):
        rows.append(_unfiltered(data[start], data[start + 1 : start + 1 + size], rows[-1]))
    return rows[1:]


def _unfiltered(method: int, row: bytes, above: bytes) -> bytes:
    result = bytearray(row)
    for index in range(len(row)) if method else ():
        left = result[index - 3] if index >= 3 else 0
        corner = above[index - 3] if index >= 3 else 0
        up = above[index]
        guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[method]
        result[index] = (result[index] + guess) & 0xFF
    return bytes(result)


def _paeth(left: int, up: int, corner: int) -> int:
    return min((left, up, corner), key=lambda one: abs(left + up - corner - one))


async def test_pixels_are_those_of_the_window(session: AsyncSession) -> None:
    """A terminal whose ground has one colour, and the ground of the screen beside it."""
    terminal = await open_terminal(session, options="-bg rgb:12/ab/34")
    (await session.computer.move_mouse(0, 0)).unwrap()
    x, y = terminal.at(40, 12)

    async def is_painted() -> bool:
        rows = rows_of((await session.computer.beta_take_screenshot()).unwrap().data)
        assert (len(rows), len(rows[0])) == (800, 3 * 1280)
        return tuple(rows[y][3 * x : 3 * x + 3]) == _COLOR

    await until(is_painted)
    rows = rows_of((await session.computer.beta_take_screenshot()).unwrap().data)
    assert tuple(rows[790][3 * 1270 : 3 * 1270 + 3]) != _COLOR


async def test_a_screenshot_has_its_format_and_size(session: AsyncSession) -> None:
    """PNG, and JPEG by both of its names."""
    for name, mime_type in (("png", "image/png"), ("jpeg", "image/jpeg"), ("jpg", "image/jpeg")):
        taken = (await session.computer.beta_take_screenshot(name)).unwrap()
        assert (taken.mime_type, taken.width, taken.height) == (mime_type, 1280, 800)


async def test_a_stored_screenshot_has_a_url(session: AsyncSession) -> None:
    """Without a key, and it stays what it was."""
    before = (await session.computer.screenshot()).unwrap()
    (await session.computer.start_app("xterm")).unwrap()
    after = (await session.computer.screenshot()).unwrap()
    assert before != after
    async with aiohttp.ClientSession() as http, http.get(before) as answer:
        assert answer.status == 200
        assert picture_size(await answer.read()) == (1280, 800)


async def test_the_screen_has_a_size_and_a_density(session: AsyncSession) -> None:
    """96 dots per inch are 1."""
    size = (await session.computer.get_screen_size()).unwrap()
    assert (size.width, size.height, size.dpi_scaling_factor) == (1280, 800, 1.0)


async def test_the_screenshot_leaves_no_file_in_the_session(session: AsyncSession) -> None:
    """Thousands of screenshots do not fill the disk."""
    (await session.computer.beta_take_screenshot()).unwrap()
    listed = (await session.command.run("ls /tmp")).stdout
    assert "screenshot" not in listed


@pytest.mark.parametrize(
    "picture", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\0" * 9]
)
def test_what_is_no_picture_is_an_error(picture: bytes) -> None:
    """A session may send anything."""
    with pytest.raises(ToolError, match="is no picture"):
        picture_size(picture)


def test_the_size_of_a_jpeg_is_in_its_frame() -> None:
    """After other segments."""
    other = b"\xff\xe0" + struct.pack(">H", 6) + b"JFIF"
    frame = b"\xff\xc2" + struct.pack(">HBHH", 9, 8, 600, 900) + bytes(2)
    assert picture_size(b"\xff\xd8" + other + frame) == (900, 600)
