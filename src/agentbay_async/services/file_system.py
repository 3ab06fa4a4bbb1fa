"""Files of a session."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Literal, overload

from agentbay_async import _check
from agentbay_async._reporting import reports
from agentbay_async._tools import call_tool
from agentbay_async._wire.codec import compact_json
from agentbay_async.errors import (
    ArgumentTypeError,
    BadAnswerError,
    FileError,
    InvalidArgumentError,
    ToolError,
)
from agentbay_async.tool_records import DirectoryEntry, FileInfo
from agentbay_async.tool_results import (
    BoolResult,
    DirectoryListResult,
    FileContentResult,
    FileInfoResult,
    McpToolResult,
)

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator, Mapping

    from agentbay_async._api import Api

# The service refuses arguments above 63 KiB; what a path and the JSON around it need is left free.
_ARGUMENT_LIMIT = 48 * 1024
_READ_CHUNK = 50 * 1024
_WRITE_CHUNK = 36 * 1024

# Path and data come in variables, so that no byte of either is read as shell.
_WRITE_BYTES = 'mkdir -p -- "$(dirname -- "$F")" && printf %s "$D" | base64 -d {} "$F"'


class AsyncFileSystem:
    """Reads and writes the files of one session.

    Paths are those of the session; a relative path is relative to the home directory.
    """

    __slots__ = ("__weakref__", "_api", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    @overload
    async def read_file(
        self, path: str, *, format: Literal["text"] = "text"
    ) -> FileContentResult[str]: ...

    @overload
    async def read_file(
        self, path: str, *, format: Literal["bytes"]
    ) -> FileContentResult[bytes]: ...

    @reports(FileContentResult)
    async def read_file(
        self, path: str, *, format: Literal["text", "bytes"] = "text"
    ) -> FileContentResult[Any]:
        """Read a whole file, of any size.

        Args:
            path: The file.
            format: ``"text"`` reads UTF-8, ``"bytes"`` what is there.

        Raises:
            InvalidArgumentError: `format` is neither of the two.
        """
        if format not in ("text", "bytes"):
            raise InvalidArgumentError(f"format must be 'text' or 'bytes', not {format!r}")
        path = _check.text(path, "path")
        content, request_id = await self._read(path)
        if format == "bytes":
            return FileContentResult.ok(content, request_id)
        try:
            return FileContentResult.ok(content.decode("utf-8"), request_id)
        except UnicodeDecodeError as error:
            raise _file_error(
                f"{path} is not UTF-8 text (byte {error.start})", path, request_id, self._session_id
            ) from None

    async def _read(self, path: str) -> tuple[bytes, str]:
        # Read as bytes and decoded whole: pieces of text would cut characters at their ends.
        content = bytearray()
        while True:
            args = {"path": path, "offset": len(content), "length": _READ_CHUNK, "format": "binary"}
            answer = await self._call("read_file", path, args)
            try:
                piece = base64.b64decode(answer.data, validate=True)
            except (binascii.Error, ValueError):
                raise BadAnswerError(
                    f"read_file: {path} did not arrive as base64", request_id=answer.request_id
                ) from None
            content += piece
            if len(piece) < _READ_CHUNK:
                return bytes(content), answer.request_id

    @reports(BoolResult)
    async def write_file(
        self, path: str, content: str | bytes, mode: Literal["overwrite", "append"] = "overwrite"
    ) -> BoolResult:
        """Write a file, of any size; missing directories are made.

        Args:
            path: The file.
            content: Text (written as UTF-8) or bytes.
            mode: ``"overwrite"`` or ``"append"``.

        Raises:
            InvalidArgumentError: `mode` is neither of the two.
            ArgumentTypeError: `content` is neither text nor bytes.
        """
        if mode not in ("overwrite", "append"):
            raise InvalidArgumentError(f"mode must be 'overwrite' or 'append', not {mode!r}")
        path = _check.text(path, "path")
        request_id = ""
        for args in self._pieces(path, content):
            tool = "write_file" if "content" in args else "shell"
            request_id = (await self._call(tool, path, _write_args(args, path, mode))).request_id
            mode = "append"
        return BoolResult.ok(True, request_id)

    def _pieces(self, path: str, content: str | bytes) -> Iterator[dict[str, str]]:
        if isinstance(content, str):
            whole = _check.encodable(content, "content")
            return ({"content": piece} for piece in _text_pieces(whole))
        if isinstance(content, (bytes, bytearray, memoryview)):
            return ({"data": piece} for piece in _byte_pieces(bytes(content)))
        raise ArgumentTypeError(f"content must be str or bytes, not {type(content).__name__}")

    @reports(DirectoryListResult)
    async def list_directory(self, path: str) -> DirectoryListResult:
        """List the names in a directory, not those below it."""
        answer = await self._call("list_directory", path, {"path": _check.text(path, "path")})
        entries = [entry for line in answer.data.split("\n") if (entry := _entry(line)) is not None]
        return DirectoryListResult.ok(entries, answer.request_id)

    @reports(FileInfoResult)
    async def get_file_info(self, path: str) -> FileInfoResult:
        """Ask for size, kind, times and permissions of a file or directory."""
        answer = await self._call("get_file_info", path, {"path": _check.text(path, "path")})
        return FileInfoResult.ok(_file_info(path, answer.data), answer.request_id)

    @reports(BoolResult)
    async def create_directory(self, path: str) -> BoolResult:
        """Make a directory, and those above it. One that is there already is a success."""
        answer = await self._call("create_directory", path, {"path": _check.text(path, "path")})
        return BoolResult.ok(True, answer.request_id)

    @reports(BoolResult)
    async def delete_file(self, path: str) -> BoolResult:
        """Delete a file."""
        answer = await self._call("delete_file", path, {"path": _check.text(path, "path")})
        return BoolResult.ok(True, answer.request_id)

    @reports(BoolResult)
    async def move_file(self, source: str, destination: str) -> BoolResult:
        """Move or rename a file or directory."""
        args = {
            "source": _check.text(source, "source"),
            "destination": _check.text(destination, "destination"),
        }
        answer = await self._call("move_file", source, args)
        return BoolResult.ok(True, answer.request_id)

    read = read_file
    write = write_file
    list = ls = list_directory
    info = get_file_info
    mkdir = create_directory
    delete = remove = rm = delete_file
    move = move_file

    async def _call(self, tool: str, path: str, args: Mapping[str, Any]) -> McpToolResult:
        try:
            result = await call_tool(self._api, self._session_id, tool, args)
        except ToolError as error:
            raise _file_error(error.message, path, error.request_id, self._session_id) from None
        return result


def _file_error(message: str, path: str, request_id: str, session_id: str) -> FileError:
    error = FileError(message, request_id=request_id, session_id=session_id)
    error.path = path
    return error


def _text_pieces(text: str) -> Iterator[str]:
    """Cut text so that each piece, written as JSON, is within what the service accepts."""
    if len(compact_json(text)) <= _ARGUMENT_LIMIT or len(text) <= 1:
        yield text
        return
    middle = len(text) // 2
    yield from _text_pieces(text[:middle])
    yield from _text_pieces(text[middle:])


def _byte_pieces(content: bytes) -> Iterator[str]:
    for start in range(0, max(len(content), 1), _WRITE_CHUNK):
        yield base64.b64encode(content[start : start + _WRITE_CHUNK]).decode("ascii")


def _write_args(piece: Mapping[str, str], path: str, mode: str) -> dict[str, Any]:
    """Return the arguments of write_file for text, or of the shell for bytes.

    The service's write_file takes text alone, so bytes go through ``base64 -d``.
    """
    if "content" in piece:
        return {"path": path, "content": piece["content"], "mode": mode}
    return {
        "command": _WRITE_BYTES.format(">>" if mode == "append" else ">"),
        "timeout_ms": 50_000,
        "envs": {"F": path, "D": piece["data"]},
    }


def _entry(line: str) -> DirectoryEntry | None:
    kind, _, name = line.partition(" ")
    if kind not in ("[DIR]", "[FILE]") or not name:
        return None
    return DirectoryEntry(name, is_directory=kind == "[DIR]")


def _file_info(path: str, text: str) -> FileInfo:
    facts = {key.strip(): value.strip() for key, _, value in _key_values(text)}
    return FileInfo(
        path=facts.get("path", path),
        name=facts.get("name", path.rstrip("/").rpartition("/")[2]),
        size=_size(facts.get("size", "")),
        is_directory=facts.get("isDirectory", "").lower() == "true",
        is_file=facts.get("isFile", "").lower() == "true",
        **{name: facts.get(name, "") for name in _PLAIN_FACTS},
    )


def _size(text: str) -> int:
    # No file is longer than 2**63 bytes, which has 19 digits.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


_PLAIN_FACTS = ("permissions", "owner", "group", "created", "modified", "accessed")


def _key_values(text: str) -> builtins.list[tuple[str, str, str]]:
    return [line.partition(":") for line in text.splitlines() if ":" in line]
