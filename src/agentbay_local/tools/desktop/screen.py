"""The tools of the screen: its size, and screenshots."""

from __future__ import annotations

import base64
import secrets
import struct
from typing import TYPE_CHECKING

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.protocol.json import dump_json
from agentbay_local.tools.content import read_bytes
from agentbay_local.tools.desktop.display import display_of

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.desktop.display import Display
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["get_screen_size", "picture_size", "screenshot", "system_screenshot", "take_picture"]

_USUAL_DPI = 96
_MILLIMETRES = 25.4
_SHOT_WITHIN = 15.0
_MOST_BYTES = 64 * 1024 * 1024
_MOST_STORED = 100
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


async def get_screen_size(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the size in pixels, and the density relative to 96 dots per inch."""
    del arguments
    found = await display_of(context).perform("describe_screen")
    try:
        width, height = int(found["width"]), int(found["height"])
        density = width * _MILLIMETRES / int(found["millimetres"]) / _USUAL_DPI
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ToolError("The desktop of this session sent an invalid size") from error
    return compact_json({"width": width, "height": height, "dpiScalingFactor": round(density, 2)})


async def screenshot(context: ToolContext, arguments: Arguments) -> str:
    """Answer with a picture of the screen, in base64."""
    kind = arguments.choice("format", ("png", "jpeg", "jpg"), "png")
    kind = "jpeg" if kind == "jpg" else kind
    picture = await take_picture(display_of(context), kind)
    width, height = picture_size(picture)
    text = base64.b64encode(picture).decode("ascii")
    fields = {"type": "image", "mime_type": f"image/{kind}", "width": width, "height": height}
    return await dump_json({**fields, "data": text}, len(text))


async def system_screenshot(context: ToolContext, arguments: Arguments) -> str:
    """Store a picture of the screen, and answer with its URL.

    The oldest pictures are deleted, because the limit of the session's disk does not hold here.
    """
    del arguments
    picture, stored = (
        await take_picture(display_of(context), "png"),
        display_of(context).screenshots,
    )
    stored.append(f"screenshots/{secrets.token_hex(8)}.png")
    old, stored[:] = stored[:-_MOST_STORED], stored[-_MOST_STORED:]
    return await context.publish(stored[-1], picture, old)


async def take_picture(display: Display, kind: str) -> bytes:
    """Return a picture of the screen.

    scrot cannot write to a pipe that belongs to another user, so it writes a file of the session.

    Args:
        display: The display, which is started if necessary.
        kind: ``"png"`` or ``"jpeg"``.

    Raises:
        ToolError: The display does not start, or gives no picture.
    """
    sandbox = display.sandbox
    path = f"/tmp/screenshot-{secrets.token_hex(8)}.{kind}"  # noqa: S108 - inside
    command = ["/usr/bin/scrot", "--silent", "--pointer", "--overwrite", path]
    env = await display.variables()
    done = await sandbox.run(command, timeout=_SHOT_WITHIN, env=env, output_limit=4096)
    if done.exit_code or done.timed_out:
        reason = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise ToolError(f"The screenshot failed: {reason or 'scrot was ended'}")
    picture = await read_bytes(sandbox, path, 0, 0, _MOST_BYTES)
    await sandbox.remove(path)
    return picture


def picture_size(picture: bytes) -> tuple[int, int]:
    """Return width and height of a PNG or JPEG.

    Raises:
        ToolError: It is neither.
    """
    try:
        if picture.startswith(_PNG):
            return struct.unpack_from(">II", picture, 16)
        if picture.startswith(_JPEG):
            return _jpeg_size(picture)
    except (struct.error, IndexError):
        pass
    raise ToolError("The screenshot of this session is no picture")


def _jpeg_size(picture: bytes) -> tuple[int, int]:
    start = 2
    while picture[start + 1] not in _FRAMES:
        start += 2 + struct.unpack_from(">H", picture, start + 2)[0]
    height, width = struct.unpack_from(">HH", picture, start + 5)
    return width, height
