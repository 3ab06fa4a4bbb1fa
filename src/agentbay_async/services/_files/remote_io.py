"""Read and write files of a session by its file tools and its shell, in chunks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from contextlib import aclosing, asynccontextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from agentbay_async.errors import (
    AgentBayError,
    APIError,
    CommandError,
    FileError,
    ToolError,
    TransportError,
)
from agentbay_async.services._files import chunking
from agentbay_async.services._files.parsing import describe_failure, parse_file_info
from agentbay_async.services._shell import ONE_REQUEST, run_shell
from agentbay_async.services._tool_calls import call_tool, read_bytes

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Mapping,
    )

    from agentbay_async._api import Api
    from agentbay_async.models.files import FileInfo
    from agentbay_async.models.tools import McpToolResult

    # What one call writes: text, or bytes where they can be carried.
    Chunk = str | bytes | memoryview

T = TypeVar("T")

logger = logging.getLogger("agentbay")

# The service returns at least this many bytes in one call unless the file ends, so a shorter chunk
# is the last.
_READ_CHUNK = 50 * 1024
# Seconds for work on a whole file inside the session: checksums, moves, archives. Only the own
# address of a session waits so long for an answer.
_WHOLE_FILE_TIMEOUT = 600.0
# What a session with a shell answers to the question whether it has one.
_GREETING = "agentbay-has-sh"
# Seconds for removing the part file of a failed write.
_CLEANUP_TIMEOUT = 10.0


class RemoteFiles:
    """The file tools of one session, and its shell for the rest. All methods raise.

    Args:
        api: The client's API.
        session_id: The session.
    """

    __slots__ = ("_has_shell", "api", "session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self.api = api
        self.session_id = session_id
        self._has_shell: bool | None = None

    async def call(self, tool: str, path: str, args: Mapping[str, Any]) -> McpToolResult:
        """Call a file tool.

        Raises:
            FileError: The tool failed; the error names `path`.
        """
        try:
            return await call_tool(self.api, self.session_id, tool, args)
        except ToolError as error:
            raise self.file_error(error.message, path, error.request_id, error.detail) from None

    async def read_bytes(self, path: str, args: Mapping[str, Any]) -> tuple[bytes, str]:
        """Call the tool that reads bytes of a file; return them, and the id of the request.

        Raises:
            FileError: As :meth:`call`.
        """
        try:
            return await read_bytes(self.api, self.session_id, "read_file", args)
        except ToolError as error:
            raise self.file_error(error.message, path, error.request_id, error.detail) from None

    def takes_bytes(self, tool: str) -> bool:
        """Return whether a call of a tool can carry bytes, instead of text or base64."""
        access = self.api.access.get(self.session_id)
        return access is not None and access.takes_bytes(tool, self.api.clock.monotonic())

    async def run_script(
        self, script: str, variables: Mapping[str, str], timeout: float | None = None
    ) -> tuple[str, str]:
        """Run a shell script on `variables`; return its output and the id of the request.

        Without a `timeout` it has as many seconds as a request may last.

        Raises:
            CommandError: It failed.
        """
        if timeout is None:
            direct = self.size_factor("shell") > 1
            timeout = _WHOLE_FILE_TIMEOUT if direct else ONE_REQUEST
        output, request_id = await run_shell(
            self.api, self.session_id, script, timeout, envs=variables
        )
        return output.stdout, request_id

    async def run_on(self, path: str, script: str, variables: Mapping[str, str]) -> tuple[str, str]:
        """Run a shell script that works on `path`; see :meth:`run_script`.

        Raises:
            FileError: It failed; the error names `path`.
        """
        try:
            return await self.run_script(script, variables)
        except CommandError as error:
            raise self.file_error(error.message, path, error.request_id) from None

    def file_error(self, text: str, path: str, request_id: str = "", detail: str = "") -> FileError:
        """Return the error for a file.

        Args:
            text: The text of a tool or of a program.
            path: The file.
            request_id: The id of the request.
            detail: The text as it was sent, if that is longer.
        """
        kind, message = describe_failure(text, path)
        error = kind(message, request_id=request_id, session_id=self.session_id)
        error.path = path
        error.detail = detail or (text if text != message else "")
        return error

    async def read_text(self, path: str, limit: int) -> tuple[str, str] | None:
        """Return a whole file as text, asked for as text, and the id of the last request.

        Returns:
            ``None`` if the answers do not tell exactly what the file holds, or if bytes come as
            fast: its bytes must be read then.

        Raises:
            FileError: The file has more than `limit` bytes, or cannot be read.
        """
        if self.takes_bytes("read_file"):
            return None
        parts: list[str] = []
        offset = 0
        size: int | None = None
        looked_up = False
        while True:
            length, answer = await self._read_chunk(
                path, offset, size, lambda args: self.call("read_file", path, args)
            )
            is_last = None if size is None else offset + length >= size
            chunk = chunking.exact_text(answer.data, length, is_last=is_last)
            if chunk is None:
                return None
            parts.append(chunk.text)
            offset += chunk.size
            if not (chunk.is_last or looked_up):
                looked_up, size = True, await self._known_size(path)
            if max(offset, size or 0) > limit:
                raise self._too_large(path, limit, answer.request_id)
            if size is not None and (offset > size or (chunk.must_end and offset != size)):
                return None
            if chunk.is_last or offset == size:
                return "".join(parts), answer.request_id

    async def read(self, path: str, limit: int) -> tuple[bytes, str]:
        """Return a whole file, and the id of the last request.

        Raises:
            FileError: The file has more than `limit` bytes, or cannot be read.
        """
        content: list[bytes] = []
        size, last_request = 0, ""
        async with aclosing(self.read_chunks(path)) as chunks:
            async for chunk, last_request in chunks:
                content.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise self._too_large(path, limit, last_request)
        return b"".join(content), last_request

    def _too_large(self, path: str, limit: int, request_id: str) -> FileError:
        # Checked while reading: a device has no size, and a file may grow.
        error = self.file_error(f"larger than {limit} bytes: {path}", path, request_id)
        error.hint = "Use download_file, which streams it to disk, or a larger max_size"
        return error

    async def read_chunks(
        self, path: str, size: int | None = None
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """Yield the bytes of a file in chunks, each with the id of its request.

        Args:
            path: The file.
            size: Its size if it is known; otherwise it is looked up after a full chunk.
        """
        offset = 0
        looked_up = size is not None
        while True:
            all_come = self.takes_bytes("read_file")
            length, (chunk, request_id) = await self._read_chunk(
                path, offset, size, lambda args: self.read_bytes(path, {**args, "format": "binary"})
            )
            yield chunk, request_id
            offset += len(chunk)
            if len(chunk) < (length if all_come else min(length, _READ_CHUNK)):
                return
            if not looked_up:
                looked_up, size = True, await self._known_size(path)
            if offset == size:
                return

    async def _read_chunk(
        self,
        path: str,
        offset: int,
        size: int | None,
        read: Callable[[dict[str, Any]], Awaitable[T]],
    ) -> tuple[int, T]:
        """Return how many bytes were asked for, and the answer.

        Not every image reads at or past the end of a file without an error, so at most `size` bytes
        are asked for if that is known.
        """
        while True:
            length = _READ_CHUNK * self.size_factor("read_file")
            if self.takes_bytes("read_file"):
                length = chunking.PLAIN_LIMIT
            if size is not None and size > offset:
                length = min(length, size - offset)
            try:
                return length, await read({"path": path, "offset": offset, "length": length})
            except (APIError, TransportError):
                if length <= _READ_CHUNK or self.size_factor("read_file") > 1:
                    raise
                # The direct address was lost during the call, and the API returns less at a time.

    async def info(self, path: str) -> tuple[FileInfo, str]:
        """Return what is known of a file, and the id of the request."""
        answer = await self.call("get_file_info", path, {"path": path})
        return parse_file_info(path, answer.data), answer.request_id

    async def _known_size(self, path: str) -> int | None:
        """Return the size of a file; devices and files of the kernel have none."""
        try:
            return (await self.info(path))[0].size or None
        except FileError:
            # The chunks that were read are there all the same.
            return None

    async def has_shell(self) -> bool:
        """Return whether the session has ``sh``; those of Windows images have not."""
        if self._has_shell is None:
            try:
                output, _ = await self.run_script(f"printf %s {_GREETING}", {}, _CLEANUP_TIMEOUT)
            except CommandError as error:
                logger.debug("%s: no sh: %s", self.session_id, error)
                output = ""
            self._has_shell = output == _GREETING
        return self._has_shell

    async def move(self, source: str, path: str) -> str:
        """Replace the file `path` with `source` by the tools; return the id of the request.

        Not in one step, as :meth:`replace` does it with a shell.
        """
        if (parent := chunking.parent_directory(path)) != ".":
            await self.call("create_directory", parent, {"path": parent})
        args = {"source": source, "destination": path}
        try:
            return (await self.call("move_file", path, args)).request_id
        except FileError:
            # Windows moves nothing over a file that exists.
            await self.call("delete_file", path, {"path": path})
            return (await self.call("move_file", path, args)).request_id

    def size_factor(self, tool: str) -> int:
        """Return how many times more than the API one call of a tool accepts."""
        access = self.api.access.get(self.session_id)
        direct = access is not None and access.server_for(tool, self.api.clock.monotonic())
        return chunking.DIRECT_FACTOR if direct else 1

    async def write_text(self, path: str, content: str, mode: str) -> str:
        """Write a text, all of it or nothing; return the id of the last request."""
        if self.takes_bytes("write_file"):
            return await self.write_bytes(path, content.encode(), mode)
        rest = chunking.split_text(content, self.size_factor("write_file"))
        first = list(islice(rest, 2))
        if len(first) == 1:
            return await self.write_chunk(path, first[0], mode)
        md5 = _md5(content.encode())
        async with self.part_file(path) as part:
            await self._write_chunks(part, chain(first, rest))
            _, request_id = await self.replace(part, path, md5, part=part, append=mode)
            return request_id

    async def write_bytes(self, path: str, content: bytes, mode: str) -> str:
        """Write bytes, all of them or nothing; return the id of the last request."""
        plain = self.takes_bytes("write_file")
        if plain and len(content) <= chunking.PLAIN_LIMIT:
            return await self.write_chunk(path, content, mode)
        if len(content) <= chunking.BYTES_LIMIT:
            text = base64.b64encode(content).decode("ascii")
            script = chunking.WRITE_BYTES.format(">>" if mode == "append" else ">")
            variables = {"F": path, "D": chunking.parent_directory(path), "B": text}
            return (await self.run_on(path, script, variables))[1]
        # On a thread while the content is sent.
        hashing = asyncio.get_running_loop().run_in_executor(None, _md5, content)
        async with self.part_file(path) as part:
            source = part if plain else f"{part}64"
            chunks: Iterable[Chunk] = (
                chunking.split_plain(content)
                if plain
                else chunking.split_bytes(content, self.size_factor("write_file"))
            )
            await self._write_chunks(source, chunks)
            md5 = await hashing
            _, request_id = await self.replace(
                source, path, md5, part=part, append=mode, coded=not plain
            )
            return request_id

    async def _write_chunks(self, path: str, chunks: Iterable[Chunk]) -> None:
        mode = "overwrite"
        for chunk in chunks:
            await self.write_chunk(path, chunk, mode)
            mode = "append"

    async def write_chunk(self, path: str, chunk: Chunk, mode: str) -> str:
        """Write or append what fits into one call; return the id of the request.

        Only tools that take them may get bytes, see :meth:`takes_bytes`.
        """
        args: dict[str, Any] = {"path": path, "content": chunk, "mode": mode}
        if not isinstance(chunk, str):
            args["format"] = "binary"
        return (await self.call("write_file", path, args)).request_id

    async def replace(
        self,
        source: str,
        path: str,
        md5: str,
        *,
        part: str,
        append: str = "overwrite",
        coded: bool = False,
    ) -> tuple[bool, str]:
        """Verify the file `source`, and replace `path` with it.

        Args:
            source: A complete file of the session.
            path: The target.
            md5: The expected checksum, in hexadecimal.
            part: A name beside `path`, for the steps between.
            append: ``"append"`` appends to `path` instead.
            coded: `source` holds the base64 of the content.

        Returns:
            Whether the session could compare the checksum, and the id of the request.
        """
        variables = {
            "T": source,
            "P": part,
            "F": path,
            "D": chunking.parent_directory(path),
            "H": md5,
            "CODED": "1" if coded else "",
            "APPEND": "1" if append == "append" else "",
        }
        output, request_id = await self.run_on(path, chunking.REPLACE_FILE, variables)
        return output == "verified", request_id

    @asynccontextmanager
    async def part_file(self, path: str) -> AsyncIterator[str]:
        """Provide a name beside `path`; on failure, the files of that name are removed."""
        part = chunking.part_file(path)
        try:
            yield part
        except BaseException as error:
            await self.discard(part, f"{part}64")
            if isinstance(error, FileError) and error.path.startswith(part):
                # Name the file that the caller passed.
                error.message = error.message.replace(error.path, path)
                error.path = path
            raise

    async def discard(self, *paths: str) -> None:
        """Remove files; log a failure, because the caller's own error matters more.

        Shielded, so that a cancelled write cleans up as well.
        """
        variables = {f"P{number}": path for number, path in enumerate(paths)}
        names = " ".join(f'"${name}"' for name in variables)
        with anyio.move_on_after(_CLEANUP_TIMEOUT, shield=True):
            try:
                await self.run_script(f"rm -rf -- {names}", variables, _CLEANUP_TIMEOUT)
            except CommandError as error:
                if await self.has_shell():
                    logger.warning("%s: could not remove %s: %s", self.session_id, paths, error)
                else:
                    for path in paths:
                        await self._delete(path)
            except AgentBayError as error:
                logger.warning("%s: could not remove %s: %s", self.session_id, paths, error)

    async def _delete(self, path: str) -> None:
        """Remove a file by the tool, if it is there."""
        try:
            await self.call("delete_file", path, {"path": path})
        except FileError as error:
            logger.debug("%s: could not remove %s: %s", self.session_id, path, error)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
