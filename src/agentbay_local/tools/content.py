"""File tools that look into files: read, write, edit.

The sandbox opens the file as the session sees it and hands over a descriptor; reading and writing
then need no further conversation with it.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.text_diff import difference
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.tools.filesystem import translate_file_errors
from agentbay_local.tools.utf8 import MARGIN, decode_whole_characters

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import OpenMode, Sandbox

__all__ = ["edit_file", "read_file", "read_multiple_files", "write_file"]

_LARGEST = 32 * 1024 * 1024
# Below this the disk cache answers faster than another thread would.
_IN_PLACE = 64 * 1024


async def read_file(sandbox: Sandbox, arguments: Arguments) -> str:
    """Answer with a piece of a file: text, or base64 of its bytes.

    Pieces of text are cut between characters, so that those who read byte ranges one after the
    other and join them get the text whole.
    """
    offset, length = arguments.count("offset", 0), arguments.count("length", 0)
    if arguments.text("format", "text") == "binary":
        data = await _read(sandbox, arguments.path("path"), offset, length)
        return base64.b64encode(data).decode("ascii")
    before = min(offset, MARGIN)
    wanted = length and before + length + MARGIN
    data = await _read(sandbox, arguments.path("path"), offset - before, wanted)
    end = before + length if length else len(data)
    return decode_whole_characters(data, before, end)


async def read_multiple_files(sandbox: Sandbox, arguments: Arguments) -> str:
    """Answer with several files; one that cannot be read says so in its place."""
    return "\n---\n".join([await _block(sandbox, path) for path in arguments.texts("paths")])


async def _block(sandbox: Sandbox, path: str) -> str:
    try:
        data = await _read(sandbox, path, 0, 0)
    except ToolError as failure:
        return f"{path}: Error - {failure}"
    return f"{path}: {data.decode('utf-8', 'replace')}\n"


async def write_file(sandbox: Sandbox, arguments: Arguments) -> str:
    """Write text to a file, over what is there or after it."""
    mode = arguments.text("mode", "overwrite")
    if mode not in ("overwrite", "append"):
        raise arguments.wrong("mode", f"must be 'overwrite' or 'append', not {mode!r}")
    data = _encoded(arguments, "content", arguments.text("content"))
    await _write(sandbox, arguments.path("path"), "w" if mode == "overwrite" else "a", data)
    return "True"


async def edit_file(sandbox: Sandbox, arguments: Arguments) -> str:
    """Replace texts, each at its first occurrence; answer with the difference."""
    path, edits = arguments.path("path"), _edits(arguments)
    try:
        old = (await _read(sandbox, path, 0, 0)).decode()
    except UnicodeDecodeError as error:
        raise arguments.wrong("path", "must name a file of UTF-8 text") from error
    new = old
    for index, (before, after) in enumerate(edits):
        if before not in new:
            raise arguments.wrong(f"edits[{index}].oldText", "is not in the file")
        new = new.replace(before, after, 1)
    if new != old and not arguments.flag("dryRun"):
        await _write(sandbox, path, "w", _encoded(arguments, "edits", new))
    return difference(path, old, new)


def _encoded(arguments: Arguments, name: str, text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise arguments.wrong(name, "must be text, but has half a surrogate pair") from error


def _edits(arguments: Arguments) -> list[tuple[str, str]]:
    edits: Any = arguments.values.get("edits")
    if not isinstance(edits, list) or not edits:
        raise arguments.wrong("edits", "is required and must be a list of objects")
    for index, edit in enumerate(edits):
        texts = [edit.get(key) for key in ("oldText", "newText")] if isinstance(edit, dict) else []
        if len(texts) != 2 or not all(isinstance(text, str) for text in texts) or not texts[0]:
            raise arguments.wrong(f"edits[{index}]", "must have texts oldText and newText")
    return [(edit["oldText"], edit["newText"]) for edit in edits]


async def _read(sandbox: Sandbox, path: str, offset: int, length: int) -> bytes:
    with translate_file_errors("get file status"):
        file = await sandbox.open(path, "r")
    try:
        size = max(os.fstat(file).st_size - offset, 0)
        size = min(length, size) if length else size
        if size > _LARGEST:
            raise ToolError(
                f"{path} has too much to read at once: at most {_LARGEST} bytes; "
                f"read it in pieces with offset and length"
            )
        if size <= _IN_PLACE:
            return os.pread(file, size, offset)
        return await asyncio.to_thread(_pread, file, size, offset)
    finally:
        os.close(file)


def _pread(file: int, size: int, offset: int) -> bytes:
    pieces: list[bytes] = []
    while size and (piece := os.pread(file, size, offset)):
        pieces.append(piece)
        size, offset = size - len(piece), offset + len(piece)
    return b"".join(pieces)


async def _write(sandbox: Sandbox, path: str, mode: OpenMode, data: bytes) -> None:
    with translate_file_errors("write file"):
        file = await sandbox.open(path, mode)
    try:
        if len(data) <= _IN_PLACE:
            _write_all(file, data)
        else:
            await asyncio.to_thread(_write_all, file, data)
    except OSError as error:
        raise ToolError(
            f"Execution failed. Error code:-32602 Error message: "
            f"Failed to write file: {path}, error: {error.strerror}"
        ) from error
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
