"""Saving and showing the outputs of code."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from agentbay_async import (
    BadAnswerError,
    CodeOutcome,
    CodeOutput,
    CodeResult,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from pathlib import Path

_PIXEL = b"\x89PNG\r\n\x1a\n pixel"
_PNG = CodeOutput(png=b64encode(_PIXEL).decode(), formats=("png",))


@pytest.mark.parametrize(
    ("output", "name", "content"),
    [
        (_PNG, "a.png", _PIXEL),
        (CodeOutput(jpeg="AAEC\nAwQF\n", formats=("jpeg",)), "a.JPG", b"\0\1\2\3\4\5"),
        (CodeOutput(text="grün", formats=("text",)), "a.txt", "grün".encode()),
        (CodeOutput(json={"a": "ü"}, formats=("json",)), "a.json", '{\n  "a": "ü"\n}'.encode()),
        (CodeOutput(json=None, formats=("json",)), "a.json", b"null"),
    ],
)
def test_an_output_is_saved_in_the_format_of_the_name(
    tmp_path: Path, output: CodeOutput, name: str, content: bytes
) -> None:
    """Pictures are decoded; text is UTF-8; upper case in the suffix does not matter."""
    assert output.save(tmp_path / name) == tmp_path / name
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.gif", r"path must end in one of .*\.png .*, not 'a\.gif'"),
        ("a", "path must end in"),
        ("a.svg", "path: this output has no svg, only png"),
    ],
)
def test_a_format_that_is_not_there_writes_nothing(tmp_path: Path, name: str, message: str) -> None:
    """The error says what there is."""
    with pytest.raises(InvalidArgumentError, match=message):
        _PNG.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_broken_picture_writes_nothing(tmp_path: Path) -> None:
    """A file with a part of a picture would look like a success."""
    with pytest.raises(BadAnswerError, match="png"):
        CodeOutput(png="not base64!", formats=("png",)).save(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_json_value_nested_too_deeply_writes_nothing(tmp_path: Path) -> None:
    """json.loads() reads deeper values than json.dumps() writes."""
    value: object = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(BadAnswerError, match="json"):
        CodeOutput(json=value, formats=("json",)).save(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_a_result_saves_its_main_output_first(tmp_path: Path) -> None:
    """The value of the last line is what a reader of the code expects."""
    shown = CodeOutput(text="shown", formats=("text",))
    value = CodeOutput(text="value", formats=("text",), is_main_result=True)
    result = CodeResult.ok(CodeOutcome([shown, value, _PNG]))
    assert result.save(tmp_path / "a.txt").read_text() == "value"
    assert result.save(tmp_path / "a.png").read_bytes() == _PIXEL
    with pytest.raises(InvalidArgumentError, match="no output has a html; there is png, text"):
        result.save(tmp_path / "a.html")


def test_a_notebook_gets_every_format(tmp_path: Path) -> None:
    """It chooses the best. Charts are left out: their media type tells a grammar not known here."""
    output = CodeOutput(text="<Figure>", png="AAEC", chart={}, formats=("text", "png", "chart"))
    assert output._repr_mimebundle_() == {"text/plain": "<Figure>", "image/png": "AAEC"}
