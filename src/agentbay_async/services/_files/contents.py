"""What stands in files: read, written, edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import anyio

from agentbay_async import _check
from agentbay_async._protocol.text_diff import difference
from agentbay_async.errors import AgentBayError, ArgumentTypeError, InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.files import (
    EditResult,
    FileContentResult,
    FileTexts,
    MultipleFileContentResult,
)
from agentbay_async.models.tools import BoolResult
from agentbay_async.services._files import parsing
from agentbay_async.services._files.base import FileBase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# How many files are read at once.
_AT_ONCE = 8


class Contents(FileBase):
    """Reads, writes and edits files."""

    __slots__ = ()

    @overload
    async def read_file(
        self, path: str, *, format: Literal["text"] = "text"
    ) -> FileContentResult[str]: ...

    @overload
    async def read_file(
        self, path: str, *, format: Literal["bytes"]
    ) -> FileContentResult[bytes]: ...

    @returns_result(FileContentResult)
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
        if format == "bytes":
            return FileContentResult.ok(*await self._files.read(path))
        return FileContentResult.ok(*await self._text(path))

    async def _text(self, path: str) -> tuple[str, str]:
        content, request_id = await self._files.read(path)
        try:
            return content.decode("utf-8"), request_id
        except UnicodeDecodeError as error:
            raise self._files.error(
                f"{path} is not UTF-8 text (byte {error.start})", path, request_id
            ) from None

    @returns_result(MultipleFileContentResult)
    async def read_many(self, paths: Sequence[str]) -> MultipleFileContentResult:
        """Read several files of UTF-8 text at once.

        Args:
            paths: The files.

        Returns:
            A result whose ``contents`` has the text of each path. If some cannot be read, it is a
            failed result that has the others all the same, and the reasons in ``errors``.
        """
        wanted = [
            _check.text(path, "each of paths") for path in _check.sequence(paths, "paths", str)
        ]
        read: dict[str, str] = {}
        errors: dict[str, AgentBayError] = {}
        turn = anyio.Semaphore(_AT_ONCE)

        async def fetch(path: str) -> None:
            async with turn:
                try:
                    read[path], _ = await self._text(path)
                except AgentBayError as error:
                    errors[path] = error

        async with anyio.create_task_group() as group:
            for path in dict.fromkeys(wanted):
                group.start_soon(fetch, path)
        texts = FileTexts({path: read[path] for path in wanted if path in read}, errors)
        first = next((errors[path] for path in wanted if path in errors), None)
        return MultipleFileContentResult(texts, first)

    @returns_result(BoolResult)
    async def write_file(
        self, path: str, content: str | bytes, mode: Literal["overwrite", "append"] = "overwrite"
    ) -> BoolResult:
        """Write a file, of any size; missing directories are made.

        What does not fit into one call is written beside the file and takes its place when it is
        complete, so a failure on the way leaves the file as it was.

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
        if isinstance(content, str):
            whole = _check.encodable(content, "content")
            return BoolResult.ok(True, await self._files.write_text(path, whole, mode))
        if isinstance(content, (bytes, bytearray, memoryview)):
            return BoolResult.ok(True, await self._files.write_bytes(path, bytes(content), mode))
        raise ArgumentTypeError(f"content must be str or bytes, not {type(content).__name__}")

    @returns_result(EditResult)
    async def edit_file(
        self, path: str, edits: Sequence[Mapping[str, str]], dry_run: bool = False
    ) -> EditResult:
        """Replace texts in a file of UTF-8 text.

        Args:
            path: The file.
            edits: What to replace by what, one after the other, each at its first match:
                ``{"oldText": "...", "newText": "..."}``.
            dry_run: Only say what would change.

        Returns:
            A result whose ``diff`` says what changed.

        Raises:
            ArgumentTypeError: `edits` is not a list of such mappings.
            InvalidArgumentError: There is no edit, or one has nothing to look for.

        Example:
            ::

                edits = [{"oldText": "debug = true", "newText": "debug = false"}]
                print((await session.file_system.edit_file("app.ini", edits)).diff)
        """
        path = _check.text(path, "path")
        checked = parsing.checked_edits(edits)
        dry_run = _check.boolean(dry_run, "dry_run")
        # Not every image's tool tells the difference; where it did once, nothing is read for it.
        old = "" if self._tells_diffs else (await self._text(path))[0]
        args = {"path": path, "edits": checked, "dryRun": dry_run}
        answer = await self._files.call("edit_file", path, args)
        diff = parsing.told_diff(answer.data)
        self._tells_diffs = self._tells_diffs or diff is not None
        if diff is None and not self._tells_diffs:
            new = parsing.edited(old, checked) if dry_run else (await self._text(path))[0]
            diff = difference(path, old, new)
        return EditResult.ok(diff or "", answer.request_id)

    read = read_file
    write = write_file
    edit = edit_file
    read_multiple_files = read_many
