"""File tools that work on contents: read, write and edit.

The sandbox opens the file, as the session sees it, and passes its descriptor to the service, which
then reads or writes without another round trip, and with the rights of the session's user.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import posixpath
import stat
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.text_diff import unified_diff
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.errors import SandboxError, SandboxOSError
from agentbay_local.sandbox.host.credentials import acting_as
from agentbay_local.sandbox.host.off_loop import finish, run_off_loop
from agentbay_local.tools.file_errors import format_file_error, translate_file_errors
from agentbay_local.tools.utf8 import MARGIN, decode_whole_characters

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Entry, OpenMode, Sandbox
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["edit_file", "read_file", "read_multiple_files", "write_file"]

_MAX_READ = 32 * 1024 * 1024
_MAX_EDIT = 2 * 1024 * 1024
# Up to this size the page cache answers faster than a thread starts.
_MAX_INLINE = 64 * 1024
# A directory with these errors takes no new file; one of its files may be writable all the same.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


async def read_file(context: ToolContext, arguments: Arguments) -> str | bytes:
    """Answer with a byte range of a file, as text or as bytes.

    Text is cut between characters, so that consecutive ranges join to the whole text.
    """
    path = arguments.path("path")
    offset, length = arguments.count("offset", 0), arguments.count("length", 0)
    if arguments.text("format", "text") == "binary":
        return await read_bytes(context.sandbox, path, offset, length)
    before = min(offset, MARGIN)
    size = length and before + length + MARGIN
    data = await read_bytes(context.sandbox, path, offset - before, size)
    end = before + length if length else len(data)
    return decode_whole_characters(data, before, end)


async def read_multiple_files(context: ToolContext, arguments: Arguments) -> str:
    """Answer with several files; one that cannot be read is replaced by its error."""
    blocks, left = [], _MAX_READ
    for path in arguments.texts("paths"):
        block, size = await _read_block(context.sandbox, path, left)
        blocks.append(block)
        left -= size
    return "\n---\n".join(blocks)


async def _read_block(sandbox: Sandbox, path: str, most: int) -> tuple[str, int]:
    """Return a file or its error, with a heading, and the number of bytes read."""
    try:
        data = await read_bytes(sandbox, path, 0, 0, most)
    except ToolError as error:
        return f"{path}: Error - {error}", 0
    # The heading has a line of its own: clients in Go read no other form.
    return f"{path}:\n{data.decode('utf-8', 'replace')}\n", len(data)


async def write_file(context: ToolContext, arguments: Arguments) -> str:
    """Overwrite a file with text or bytes, or append them to it."""
    mode = arguments.text("mode", "overwrite")
    if mode not in ("overwrite", "append"):
        raise arguments.wrong("mode", f"must be 'overwrite' or 'append', not {mode!r}")
    path, sandbox = arguments.path("path"), context.sandbox
    if arguments.text("format", "text") == "binary":
        content = arguments.content("content")
        if mode == "append" or len(content) <= _MAX_INLINE:
            await write_bytes(sandbox, path, "a" if mode == "append" else "w", content)
        else:
            await _replace(sandbox, path, content)
        return "True"
    data = _encode(arguments, "content", arguments.text("content"))
    await write_bytes(sandbox, path, "w" if mode == "overwrite" else "a", data)
    return "True"


async def edit_file(context: ToolContext, arguments: Arguments) -> str:
    """Replace the first occurrence of each text; answer with the difference."""
    path, edits = arguments.path("path"), _read_edits(arguments)
    try:
        old = (await read_bytes(context.sandbox, path, 0, 0, _MAX_EDIT)).decode()
    except UnicodeDecodeError as error:
        raise arguments.wrong("path", "must name a file of UTF-8 text") from error
    new = old
    for index, (before, after) in enumerate(edits):
        if before not in new:
            raise arguments.wrong(f"edits[{index}].oldText", "is not in the file")
        new = new.replace(before, after, 1)
    if new != old and not arguments.flag("dryRun"):
        await write_bytes(context.sandbox, path, "w", _encode(arguments, "edits", new))
    return await asyncio.to_thread(unified_diff, path, old, new)


def _encode(arguments: Arguments, name: str, text: str) -> bytes:
    try:
        # U+DC80 to U+DCFF stand for bytes that are not UTF-8, and are written as those bytes.
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise arguments.wrong(name, "must be text, but has half a surrogate pair") from error


def _read_edits(arguments: Arguments) -> list[tuple[str, str]]:
    edits: Any = arguments.values.get("edits")
    if not isinstance(edits, list) or not edits:
        raise arguments.wrong("edits", "is required and must be a list of objects")
    for index, edit in enumerate(edits):
        texts = [edit.get(key) for key in ("oldText", "newText")] if isinstance(edit, dict) else []
        if len(texts) != 2 or not all(isinstance(text, str) for text in texts) or not texts[0]:
            raise arguments.wrong(f"edits[{index}]", "must have strings oldText and newText")
    return [(edit["oldText"], edit["newText"]) for edit in edits]


async def read_bytes(
    sandbox: Sandbox, path: str, offset: int, length: int, most: int = _MAX_READ
) -> bytes:
    with translate_file_errors("get file status"):
        file = await sandbox.open(path, "r")
    try:
        size = max(os.fstat(file).st_size - offset, 0)
        size = min(length, size) if length else size
        if size > most:
            raise ToolError(
                f"{path} is too large to read at once (more than {most} bytes); read it in "
                "pieces with offset and length, or edit it with a command"
            )
        if size <= _MAX_INLINE:
            return os.pread(file, size, offset)
        return await run_off_loop(lambda: _pread_all(file, size, offset))
    except OSError as error:
        raise ToolError(format_file_error("read file", path, error.strerror)) from error
    finally:
        os.close(file)


def _pread_all(file: int, size: int, offset: int) -> bytes:
    chunks: list[bytes] = []
    while size and (chunk := os.pread(file, size, offset)):
        chunks.append(chunk)
        size, offset = size - len(chunk), offset + len(chunk)
    return b"".join(chunks)


async def write_bytes(
    sandbox: Sandbox, path: str, mode: OpenMode, data: bytes | memoryview
) -> None:
    with translate_file_errors("write file"):
        file = await sandbox.open(path, mode)
    try:
        if len(data) <= _MAX_INLINE and sandbox.uid is None:
            _write_all(file, data, None)
        else:
            await run_off_loop(lambda: _write_all(file, data, sandbox.uid))
    except OSError as error:
        raise ToolError(format_file_error("write file", path, error.strerror)) from error
    finally:
        os.close(file)


async def _replace(sandbox: Sandbox, path: str, data: bytes | memoryview) -> None:
    """Write a part file beside a file, and rename it over it: readers never see half of it.

    A link is written in place, and so is a file whose directory may not be written to.
    """
    entry = await _existing(sandbox, path)
    file = None
    part = posixpath.join(posixpath.dirname(path), f".agentbay-{os.urandom(8).hex()}.part")
    if entry is None or (entry.is_file and not entry.is_symlink):
        try:
            file = await sandbox.open(part, "w")
        except SandboxOSError as error:
            if error.errno not in _READ_ONLY:
                raise ToolError(format_file_error("write file", path, error.strerror)) from error
    if file is None:
        await write_bytes(sandbox, path, "w", data)
        return
    try:
        await _fill(file, data, sandbox.uid, entry)
        await sandbox.move(part, path)
    except BaseException as error:
        await finish(_remove_quietly(sandbox, part))
        if isinstance(error, (OSError, SandboxOSError)):
            raise ToolError(format_file_error("write file", path, error.strerror)) from error
        raise


async def _existing(sandbox: Sandbox, path: str) -> Entry | None:
    try:
        return await sandbox.stat(path)
    except SandboxOSError:
        return None


async def _fill(file: int, data: bytes | memoryview, uid: int | None, entry: Entry | None) -> None:
    def fill() -> None:
        _write_all(file, data, uid)
        if entry is not None:
            with acting_as(uid):
                os.fchmod(file, stat.S_IMODE(entry.mode))

    try:
        await run_off_loop(fill)
    finally:
        os.close(file)


async def _remove_quietly(sandbox: Sandbox, path: str) -> None:
    with contextlib.suppress(SandboxError):
        await sandbox.remove(path)


def _write_all(file: int, data: bytes | memoryview, uid: int | None) -> None:
    rest = memoryview(data)
    with acting_as(uid):
        while rest:
            rest = rest[os.write(file, rest) :]
