"""Names of keys, and pictures within the limits of the API."""

from __future__ import annotations

import base64
import io
import os

import pytest
from anthropic.tools import ToolError
from PIL import Image

from agentbay_integrations.anthropic._keys import chords
from agentbay_integrations.anthropic._pictures import as_result, fit, zoom


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return", [["Enter"]]),
        ("ctrl+a BackSpace", [["Control", "a"], ["Backspace"]]),
        ("cmd+shift+P", [["Control", "Shift", "P"]]),
        ("Page_Down Prior", [["PageDown"], ["PageUp"]]),
        ("Super_L KP_Enter", [["Meta"], ["Enter"]]),
        ("f5 F12", [["F5"], ["F12"]]),
        ("ArrowUp Left", [["ArrowUp"], ["ArrowLeft"]]),
        ("+ ctrl++ ctrl+plus", [["+"], ["Control", "+"], ["Control", "+"]]),
        (" ", [["Space"]]),
        ("é", [["é"]]),
    ],
)
def test_keys_have_the_names_of_models(text: str, expected: list[list[str]]) -> None:
    """Those of X, of browsers and of people."""
    assert chords(text) == expected


def test_a_large_picture_becomes_a_jpeg() -> None:
    """The API refuses more than 5 MB of base64."""
    png = io.BytesIO()
    Image.frombytes("RGB", (1280, 1280), os.urandom(1280 * 1280 * 3)).save(png, "PNG")
    result = as_result(png.getvalue())
    assert len(png.getvalue()) > 3_700_000
    assert result.media_type == "image/jpeg"
    assert len(result.data) < 5_000_000
    with Image.open(io.BytesIO(base64.b64decode(result.data))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (1280, 1280))


def test_a_region_is_enlarged_until_it_fills_the_picture() -> None:
    """Its shape stays."""
    png = io.BytesIO()
    Image.new("RGB", (400, 300), "white").save(png, "PNG")
    with Image.open(io.BytesIO(zoom(png.getvalue(), [10, 20, 20, 60]))) as picture:
        assert picture.size == (75, 300)


@pytest.mark.parametrize(
    "region", [[], [0, 0, 10], [10, 0, 10, 10], [20, 0, 10, 10], [-1, 0, 10, 10], [0, 0, 10, 301]]
)
def test_a_region_must_be_within_the_picture(region: list[int]) -> None:
    """The model learns the size."""
    with pytest.raises(ToolError, match="400 by 300"):
        fit(region, 400, 300)
