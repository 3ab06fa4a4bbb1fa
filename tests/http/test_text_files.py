"""Text files are read as text, exactly, whatever a service does where a chunk cuts a character."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentbay_async import FileError

from .scripted import tool_answer

if TYPE_CHECKING:
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

_CHUNK = 50 * 1024


@attrs.define
class _Disk:
    """The file tools of a session with one file.

    Attributes:
        content: Its bytes.
        errors: How a character that a chunk cuts is sent: ``"replace"`` or ``"ignore"``.
        whole: Whether such a character is sent whole with the first of the two chunks instead.
        knows_binary: Whether the tool knows the argument ``format``.
        size: The size that the tool tells; ``None`` for the real one.
        reads: The arguments of all reads.
    """

    content: bytes
    errors: str = "replace"
    whole: bool = False
    knows_binary: bool = True
    size: int | None = None
    reads: list[dict[str, Any]] = attrs.field(factory=list)

    def answer(self, form: dict[str, str]) -> object:
        args = json.loads(form["Args"])
        if form["Name"] == "get_file_info":
            size = len(self.content) if self.size is None else self.size
            return tool_answer(f"size: {size}\nisFile: true")
        assert form["Name"] == "read_file"
        self.reads.append(args)
        start, end = args["offset"], args["offset"] + args["length"]
        if self.knows_binary and args.get("format") == "binary":
            return tool_answer(base64.b64encode(self.content[start:end]).decode())
        if self.whole:
            start, end = self._boundary(start), self._boundary(end)
        return tool_answer(self.content[start:end].decode("utf-8", self.errors))

    def _boundary(self, position: int) -> int:
        while position < len(self.content) and self.content[position] & 0xC0 == 0x80:
            position += 1
        return position


_BEHAVIOURS = {
    "marks what it cuts": {"errors": "replace"},
    "leaves out what it cuts": {"errors": "ignore"},
    "sends whole characters": {"whole": True},
    "knows no formats": {"knows_binary": False},
}
_TEXTS = {
    "empty": "",
    "short": "grüße\r\n\n",
    "one chunk": "x" * _CHUNK,
    "one byte more": "x" * (_CHUNK + 1),
    "one byte less": "x" * (_CHUNK - 1),
    "two chunks": "x" * (2 * _CHUNK),
    **{f"cut after {cut} bytes": "x" * (_CHUNK - cut) + "🎉" * 30_000 for cut in (1, 2, 3)},
    "cut at the end": "x" * (_CHUNK - 1) + "é",
    "three bytes each": "汉" * 60_000,
}


@pytest.mark.parametrize("text", _TEXTS.values(), ids=_TEXTS)
@pytest.mark.parametrize("behaviour", _BEHAVIOURS.values(), ids=_BEHAVIOURS)
async def test_text_is_exact_and_asked_for_as_text(
    session: AsyncSession, scripted: Script, behaviour: dict[str, Any], text: str
) -> None:
    """No read begins at the end of the file.

    Only a service that leaves out what it cuts is asked for bytes, because it may leave out more.
    """
    disk = _Disk(text.encode(), **behaviour)
    scripted.ok_from("CallMcpTool", disk.answer)
    assert (await session.fs.read_file("f")).content == text
    if disk.errors == "replace":
        assert not [args for args in disk.reads if "format" in args]
    assert not [
        args for args in disk.reads if args["offset"] and args["offset"] >= len(disk.content)
    ]


@pytest.mark.parametrize(
    "text",
    ["a\ufffdb", "\ufffd", "x" * (_CHUNK - 3) + "\ufffd" + "y", "x" * _CHUNK + "\ufffdy"],
)
async def test_the_replacement_character_itself_can_be_read(
    session: AsyncSession, scripted: Script, text: str
) -> None:
    """It may be in the file or stand for bytes that are no text; only the bytes tell."""
    disk = _Disk(text.encode())
    scripted.ok_from("CallMcpTool", disk.answer)
    assert (await session.fs.read_file("f")).content == text


@pytest.mark.parametrize("errors", ["replace", "ignore"])
async def test_bytes_that_are_no_text_are_an_error(
    session: AsyncSession, scripted: Script, errors: str
) -> None:
    """They are not replaced or left out in silence."""
    disk = _Disk(b"x" * _CHUNK + b"ok\xff\xfe" + b"y" * _CHUNK, errors=errors)
    scripted.ok_from("CallMcpTool", disk.answer)
    result = await session.fs.read_file("f")
    assert isinstance(result.error, FileError)
    assert f"not UTF-8 text at byte {_CHUNK + 2}" in result.error_message


async def test_a_file_of_unknown_size_is_read_until_it_ends(
    session: AsyncSession, scripted: Script
) -> None:
    """Files of the kernel tell the size 0."""
    disk = _Disk(b"x" * (2 * _CHUNK + 5), size=0)
    scripted.ok_from("CallMcpTool", disk.answer)
    assert (await session.fs.read_file("f")).content == "x" * (2 * _CHUNK + 5)


async def test_a_large_file_is_refused_before_it_is_read_to_the_end(
    session: AsyncSession, scripted: Script
) -> None:
    """After the first chunk its size is known."""
    disk = _Disk(b"x" * (100 * _CHUNK))
    scripted.ok_from("CallMcpTool", disk.answer)
    result = await session.fs.read_file("f", max_size=2 * _CHUNK)
    assert isinstance(result.error, FileError)
    assert len(disk.reads) == 1


async def test_bytes_are_not_asked_for_past_the_end(
    session: AsyncSession, scripted: Script
) -> None:
    """Some images answer with an error there."""
    disk = _Disk(bytes(range(256)) * 400)
    scripted.ok_from("CallMcpTool", disk.answer)
    assert (await session.fs.read_file("f", format="bytes")).content == disk.content
    assert [(args["offset"], args["length"]) for args in disk.reads] == [
        (0, _CHUNK),
        (_CHUNK, _CHUNK),
    ]
