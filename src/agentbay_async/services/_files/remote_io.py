"""Files of a session by means of its tools alone: read and written in pieces. All of it raises."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from contextlib import aclosing, asynccontextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import anyio

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
from agentbay_async.services._tools import call_tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping

    from agentbay_async._api import Api
    from agentbay_async.models.commands import CommandResult
    from agentbay_async.models.tools import McpToolResult
    from agentbay_async.services.command import AsyncCommand

logger = logging.getLogger("agentbay")

# What the service hands over in one call at least, so that a shorter piece is the last.
_READ_CHUNK = 50 * 1024
# Seconds for work on a whole file inside the session: checksums, moves, archives.
WHOLE_FILE_TIMEOUT = 600.0
# Seconds for removing what an upload that failed has left behind.
_CLEANUP_TIMEOUT = 10.0


class Files:
    """The file tools of one session, and its shell where they fall short."""

    __slots__ = ("_command", "api", "session_id")

    def __init__(self, api: Api, session_id: str, command: AsyncCommand) -> None:
        self.api = api
        self.session_id = session_id
        self._command = command

    async def call(self, tool: str, path: str, args: Mapping[str, Any]) -> McpToolResult:
        """Call a file tool.

        Raises:
            FileError: It refuses; the error names `path`.
        """
        try:
            return await call_tool(self.api, self.session_id, tool, args)
        except ToolError as error:
            raise self.error(error.message, path, error.request_id) from None

    async def shell(
        self, script: str, path: str, variables: Mapping[str, str], timeout: float | None = None
    ) -> CommandResult:
        """Run a script of sh, whose arguments come in variables.

        Raises:
            FileError: It does not end with 0; the error names `path`.
        """
        result = await self.command(script, variables, timeout)
        if isinstance(result.error, CommandError):
            raise self.error(result.error.message, path, result.request_id) from None
        result.unwrap()
        return result

    async def command(
        self, script: str, variables: Mapping[str, str], timeout: float | None = None
    ) -> CommandResult:
        """Run a script of sh; how it ends is in the result."""
        return await self._command.execute_command(
            script, envs=dict(variables), timeout=timeout or WHOLE_FILE_TIMEOUT
        )

    def error(self, message: str, path: str, request_id: str = "") -> FileError:
        """Return the error for a file."""
        error = FileError(message, request_id=request_id, session_id=self.session_id)
        error.path = path
        return error

    async def read(self, path: str) -> tuple[bytes, str]:
        """Return a whole file, and the id of the last request."""
        content = bytearray()
        request_id = ""
        async with aclosing(self.pieces(path)) as found:
            async for piece, answered in found:
                content += piece
                request_id = answered
        return bytes(content), request_id

    async def pieces(self, path: str) -> AsyncGenerator[tuple[bytes, str], None]:
        """Yield the bytes of a file, piece by piece, each with the id of its request.

        They are read as bytes, since pieces of text would cut characters at their ends.
        """
        offset = 0
        while True:
            length = _READ_CHUNK * self.times("read_file")
            args = {"path": path, "offset": offset, "length": length, "format": "binary"}
            try:
                answer = await self.call("read_file", path, args)
            except (APIError, TransportError):
                if length <= _READ_CHUNK or self.times("read_file") > 1:
                    raise
                # The direct address was lost, and the API does not hand over as much.
                continue
            try:
                piece = base64.b64decode(answer.data, validate=True)
            except (binascii.Error, ValueError):
                raise BadAnswerError(
                    f"read_file: {path} did not arrive as base64", request_id=answer.request_id
                ) from None
            yield piece, answer.request_id
            offset += len(piece)
            if len(piece) < _READ_CHUNK:
                return

    def times(self, tool: str) -> int:
        """Return how many times as much as by way of the API goes in one call of a tool."""
        access = self.api.access.get(self.session_id)
        direct = access is not None and access.server_for(tool, self.api.clock.monotonic())
        return chunking.DIRECT if direct else 1

    async def write_text(self, path: str, content: str, mode: str) -> str:
        """Write a text, all of it or nothing; return the id of the last request."""
        rest = chunking.text_pieces(content, self.times("write_file"))
        first = list(islice(rest, 2))
        if len(first) == 1:
            return await self.write_piece(path, first[0], mode)
        md5 = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
        async with self.staged(path) as part:
            await self._fill(part, chain(first, rest))
            return (await self.place(part, path, md5, part=part, append=mode)).request_id

    async def write_bytes(self, path: str, content: bytes, mode: str) -> str:
        """Write bytes, all of them or nothing; return the id of the last request."""
        if len(content) <= chunking.BYTES_LIMIT:
            text = base64.b64encode(content).decode("ascii")
            script = chunking.WRITE_BYTES.format(">>" if mode == "append" else ">")
            variables = {"F": path, "D": chunking.directory(path), "B": text}
            return (await self.shell(script, path, variables)).request_id
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        async with self.staged(path) as part:
            coded = f"{part}64"
            await self._fill(coded, chunking.byte_pieces(content, self.times("write_file")))
            placed = await self.place(coded, path, md5, part=part, append=mode, coded=True)
            return placed.request_id

    async def _fill(self, path: str, texts: Iterable[str]) -> None:
        mode = "overwrite"
        for text in texts:
            await self.write_piece(path, text, mode)
            mode = "append"

    async def write_piece(self, path: str, piece: str, mode: str) -> str:
        """Write or append a text that fits into one call; return the id of the request."""
        args = {"path": path, "content": piece, "mode": mode}
        return (await self.call("write_file", path, args)).request_id

    async def place(
        self,
        source: str,
        path: str,
        md5: str,
        *,
        part: str,
        append: str = "overwrite",
        coded: bool = False,
    ) -> CommandResult:
        """Verify what stands at `source`, and let it take the place of `path`.

        Args:
            source: A file of the session that is complete.
            path: Where it belongs.
            md5: The checksum that it must have, in hexadecimal.
            part: A name beside `path`, for the steps between.
            append: ``"append"`` adds it to what is there instead.
            coded: It is base64 of the content.

        Returns:
            A result whose output is ``"verified"`` if the session could compare the checksum.
        """
        variables = {
            "T": source,
            "P": part,
            "F": path,
            "D": chunking.directory(path),
            "H": md5,
            "CODED": "1" if coded else "",
            "APPEND": "1" if append == "append" else "",
        }
        return await self.shell(chunking.PLACE, path, variables)

    @asynccontextmanager
    async def staged(self, path: str) -> AsyncIterator[str]:
        """Give a name beside `path`; what stands there, or under it, is removed on failure."""
        part = chunking.beside(path)
        try:
            yield part
        except BaseException:
            await self.discard(part, f"{part}64")
            raise

    async def discard(self, *paths: str) -> None:
        """Remove files that nobody needs; one that stays is told of in the log alone."""
        with anyio.move_on_after(_CLEANUP_TIMEOUT, shield=True):
            variables = {f"P{number}": path for number, path in enumerate(paths)}
            names = " ".join(f'"${name}"' for name in variables)
            try:
                result = await self.command(f"rm -rf -- {names}", variables, _CLEANUP_TIMEOUT)
            except AgentBayError as error:
                logger.warning("%s: could not remove %s: %s", self.session_id, paths, error)
                return
            if not result.success:
                logger.warning("%s: could not remove %s: %s", self.session_id, paths, result.error)
