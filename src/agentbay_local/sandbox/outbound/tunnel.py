"""Moving bytes between a session and a host, never more at once than both of them take."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from agentbay_local.sandbox.outbound.requests import CHUNKED, Request

__all__ = ["Connection", "relay"]

CHUNK = 64 * 1024

IDLE = 600.0
"""Seconds after which a connection on which nothing moves is given up."""


class Connection:
    """One of the two ends of what is carried.

    Args:
        reader: What comes from there.
        writer: What goes there.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def abort(self) -> None:
        """Break off; what is not written yet is thrown away. Repeatable."""
        self.writer.transport.abort()

    async def finish(self, within: float) -> None:
        """Close when all that is written has been taken, or when the seconds are over."""
        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._finished(), within)
        self.abort()

    async def _finished(self) -> None:
        self.writer.write_eof()
        # What is unread when a socket is closed breaks off what is still on its way.
        while await self.reader.read(CHUNK):
            pass
        self.writer.close()
        await self.writer.wait_closed()


async def relay(session: Connection, host: Connection, request: Request) -> None:
    """Carry what a session sends and what the host answers, until it is over.

    A tunnel is over when both have ended, a request when the host has. It is also over when either
    breaks off, and when nothing has moved for `IDLE` seconds.
    """
    moving = _Relay()
    sent = moving.rest(session, host) if request.tunnel else moving.asked(session, host, request)
    sending = asyncio.ensure_future(sent)
    answering = asyncio.ensure_future(moving.rest(host, session))
    try:
        await moving.watch({sending, answering} if request.tunnel else {answering})
    finally:
        sending.cancel()
        answering.cancel()
        await asyncio.gather(sending, answering, return_exceptions=True)


class _Relay:
    """What moves on one connection, and since when nothing does."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    async def watch(self, tasks: set[asyncio.Future[None]]) -> None:
        """Wait until all have ended, or one has failed, or nothing moves any more."""
        while tasks and (left := self._last + IDLE - self._loop.time()) > 0:
            done, tasks = await asyncio.wait(
                tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            if any(one.exception() for one in done):
                return

    async def rest(self, source: Connection, target: Connection) -> None:
        """Move all that comes, and its end."""
        while data := await source.reader.read(CHUNK):
            await self._write(target, data)
        target.writer.write_eof()

    async def asked(self, session: Connection, host: Connection, request: Request) -> None:
        """Move the body of a request, and then nothing but the end of the session's interest."""
        whole = (
            await self._chunks(session, host)
            if request.length == CHUNKED
            else await self._exactly(session, host, request.length)
        )
        if not whole or not await session.reader.read(1):
            host.writer.write_eof()

    async def _chunks(self, source: Connection, target: Connection) -> bool:
        while True:
            line = await self._line(source, target)
            try:
                size = int(line.partition(b";")[0], 16)
            except ValueError:
                return False
            if size <= 0:
                break
            if not await self._exactly(source, target, size + len(b"\r\n")):
                return False
        while line.strip():  # what follows the last chunk, up to an empty line
            line = await self._line(source, target)
        return bool(line)

    async def _line(self, source: Connection, target: Connection) -> bytes:
        line = await source.reader.readline()
        await self._write(target, line)
        return line

    async def _exactly(self, source: Connection, target: Connection, size: int) -> bool:
        while size:
            data = await source.reader.read(min(size, CHUNK))
            if not data:
                return False
            size -= len(data)
            await self._write(target, data)
        return True

    async def _write(self, target: Connection, data: bytes) -> None:
        self._last = self._loop.time()
        target.writer.write(data)
        await target.writer.drain()
        self._last = self._loop.time()
