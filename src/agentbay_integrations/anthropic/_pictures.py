"""Pictures as the model gets them: within the limits of the API, and regions made larger."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from anthropic.tools import ToolError
from anthropic.tools.browser import BetaScreenshotResult

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_result", "fit", "zoom"]

# The API takes images of up to 5 MB of base64.
_MAX_BYTES = 3_700_000
_JPEG_QUALITY = 85


def as_result(png: bytes) -> BetaScreenshotResult:
    """Return a picture as the result of a member; a large one as JPEG."""
    if len(png) <= _MAX_BYTES:
        return BetaScreenshotResult(data=base64.b64encode(png).decode())
    from PIL import Image

    smaller = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(smaller, "JPEG", quality=_JPEG_QUALITY)
    data = base64.b64encode(smaller.getvalue()).decode()
    return BetaScreenshotResult(data=data, media_type="image/jpeg")


def fit(region: Sequence[int], width: int, height: int) -> float:
    """Return by how much a region can be enlarged to fill a picture of a size.

    Raises:
        ToolError: The region is not within the picture.
    """
    if len(region) == 4:
        left, top, right, bottom = region
        if 0 <= left < right <= width and 0 <= top < bottom <= height:
            return min(width / (right - left), height / (bottom - top))
    raise ToolError(
        f"region must be [x0, y0, x1, y1] within the screen of {width} by {height},"
        f" with x0 < x1 and y0 < y1; it is {list(region)}"
    )


def zoom(png: bytes, region: Sequence[int]) -> bytes:
    """Return a region of a picture, enlarged to the size of the picture.

    Raises:
        ToolError: The region is not within the picture.
    """
    from PIL import Image

    larger = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        scale = fit(region, *picture.size)
        part = picture.crop(tuple(region))
        size = (round(part.width * scale), round(part.height * scale))
        part.resize(size, Image.Resampling.LANCZOS).save(larger, "PNG")
    return larger.getvalue()
