"""Read and write files of a session by its file tools and its shell, in chunks."""

from __future__ import annotations

import base64
import hashlib
import logging
from contextlib import aclosing, asynccontextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import anyio

from agentbay_async._protocol.codec import decode_base64
from agentbay_async.errors import (
    AgentBayError,
    APIError,
    BadAnswerError,
    CommandError,
    FileError,
    ToolError,
    TransportError,
)
from agentbay_async.services._files import chunking
from agentbay_async.services._files.parsing import describe_failure
from agentbay_async.services._shell import run_shell
from agentbay_async.services._tool_calls import call_tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping

    from agentbay_async._api import Api
    from agentbay_async.models.tools import McpToolResult

logger = logging.getLogger("agentbay")

# The service returns at least this many bytes in one call unless the file ends, so a shorter chunk
# is the last.
_READ_CHUNK = 50 * 1024
# Seconds for work on a whole file inside the session: checksums, moves, archives.
_WHOLE_FILE_TIMEOUT = 600.0
# Seconds for removing the part file of a failed write.
_CLEANUP_TIMEOUT = 10.0


class RemoteFiles:
    """The file tools of one session, and its shell for the rest. All methods raise.

    Args:
        api: The client's API.
        session_id: The session.
    """

    __slots__ = ("api", "session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self.api = api
        self.session_id = session_id

    async def call(self, tool: str, path: str, args: Mapping[str, Any]) -> McpToolResult:
        """Call a file tool.

        Raises:
            FileError: The tool failed; the error names `path`.
        """
        try:
            return await call_tool(self.api, self.session_id, tool, args)
        except ToolError as error:
            raise self.file_error(error.message, path, error.request_id, error.detail) from None

    async def run_script(
        self, script: str, variables: Mapping[str, str], timeout: float = _WHOLE_FILE_TIMEOUT
    ) -> tuple[str, str]:
        """Run a shell script on `variables`; return its output and the id of the request.

        Raises:
            CommandError: It failed.
        """
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
        message = describe_failure(text, path)
        error = FileError(message, request_id=request_id, session_id=self.session_id)
        error.path = path
        error.detail = detail or (text if text != message else "")
        return error

    async def read(self, path: str, limit: int) -> tuple[bytes, str]:
        """Return a whole file, and the id of the last request.

        Raises:
            FileError: The file has more than `limit` bytes, or cannot be read.
        """
        content = bytearray()
        last_request = ""
        async with aclosing(self.read_chunks(path)) as chunks:
            async for chunk, request_id in chunks:
                content += chunk
                last_request = request_id
                if len(content) > limit:
                    raise self._too_large(path, limit, request_id)
        return bytes(content), last_request

    def _too_large(self, path: str, limit: int, request_id: str) -> FileError:
        # Checked while reading: a device has no size, and a file may grow.
        error = self.file_error(f"larger than {limit} bytes: {path}", path, request_id)
        error.hint = "Use download_file, which streams it to disk, or a larger max_size"
        return error

    async def read_chunks(self, path: str) -> AsyncGenerator[tuple[bytes, str], None]:
        """Yield the bytes of a file in chunks, each with the id of its request.

        The tool is asked for bytes, because a chunk of text could end inside a character.
        """
        offset = 0
        while True:
            length = _READ_CHUNK * self.size_factor("read_file")
            args = {"path": path, "offset": offset, "length": length, "format": "binary"}
            try:
                answer = await self.call("read_file", path, args)
            except (APIError, TransportError):
                if length <= _READ_CHUNK or self.size_factor("read_file") > 1:
                    raise
                # The direct address was lost during the call, and the API returns less at a time.
                continue
            chunk = _decode_chunk(path, answer)
            yield chunk, answer.request_id
            offset += len(chunk)
            if len(chunk) < _READ_CHUNK:
                return

    def size_factor(self, tool: str) -> int:
        """Return how many times more than the API one call of a tool accepts."""
        access = self.api.access.get(self.session_id)
        direct = access is not None and access.server_for(tool, self.api.clock.monotonic())
        return chunking.DIRECT_FACTOR if direct else 1

    async def write_text(self, path: str, content: str, mode: str) -> str:
        """Write a text, all of it or nothing; return the id of the last request."""
        rest = chunking.split_text(content, self.size_factor("write_file"))
        first = list(islice(rest, 2))
        if len(first) == 1:
            return await self.write_chunk(path, first[0], mode)
        md5 = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
        async with self.part_file(path) as part:
            await self._write_chunks(part, chain(first, rest))
            _, request_id = await self.replace(part, path, md5, part=part, append=mode)
            return request_id

    async def write_bytes(self, path: str, content: bytes, mode: str) -> str:
        """Write bytes, all of them or nothing; return the id of the last request."""
        if len(content) <= chunking.BYTES_LIMIT:
            text = base64.b64encode(content).decode("ascii")
            script = chunking.WRITE_BYTES.format(">>" if mode == "append" else ">")
            variables = {"F": path, "D": chunking.parent_directory(path), "B": text}
            return (await self.run_on(path, script, variables))[1]
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        async with self.part_file(path) as part:
            coded = f"{part}64"
            chunks = chunking.split_bytes(content, self.size_factor("write_file"))
            await self._write_chunks(coded, chunks)
            _, request_id = await self.replace(coded, path, md5, part=part, append=mode, coded=True)
            return request_id

    async def _write_chunks(self, path: str, texts: Iterable[str]) -> None:
        mode = "overwrite"
        for text in texts:
            await self.write_chunk(path, text, mode)
            mode = "append"

    async def write_chunk(self, path: str, text: str, mode: str) -> str:
        """Write or append a text that fits into one call; return the id of the request."""
        args = {"path": path, "content": text, "mode": mode}
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
        except BaseException:
            await self.discard(part, f"{part}64")
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
            except AgentBayError as error:
                logger.warning("%s: could not remove %s: %s", self.session_id, paths, error)


def _decode_chunk(path: str, answer: McpToolResult) -> bytes:
    try:
        return decode_base64(answer.data)
    except ValueError:
        raise BadAnswerError(
            f"read_file: {path} did not arrive as base64", request_id=answer.request_id
        ) from None
