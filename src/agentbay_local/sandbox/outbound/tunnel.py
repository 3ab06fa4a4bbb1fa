"""Relay bytes between a session and a host, never more at once than both of them take."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentbay_local.sandbox.outbound.requests import RequestParser

__all__ = ["CHUNK", "Connection", "relay_request", "relay_tunnel"]

CHUNK = 64 * 1024

IDLE = 600.0
"""Seconds after which a connection on which nothing moves is closed."""


class Connection:
    """A connection of the proxy, to a session or to a host.

    Args:
        reader: The bytes that come from there.
        writer: The bytes that go there.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def abort(self) -> None:
        """Close it now; what is not sent yet is thrown away. Repeatable."""
        self.writer.transport.abort()

    def reset(self) -> None:
        """Close it now, so that the other side sees a failure and not an end. Repeatable."""
        if not self.writer.transport.is_closing():
            sock = self.writer.get_extra_info("socket")
            # Closing with a linger time of zero makes the kernel send a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    async def finish(self, within: float) -> None:
        """Close it when the other side has taken all that was written, or after some seconds."""
        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._finish(), within)
        self.abort()

    async def _finish(self) -> None:
        self.writer.write_eof()
        # Closing a socket with unread data makes the kernel reset the connection, and the other
        # side would lose data in transit.
        while await self.reader.read(CHUNK):
            pass
        self.writer.close()
        await self.writer.wait_closed()


async def relay_tunnel(session: Connection, host: Connection, first: bytes) -> None:
    """Relay everything in both directions until both have ended, or one has failed.

    Args:
        session: The connection of the session.
        host: The connection to the host.
        first: Bytes of the session that were read already.
    """
    relay = _Relay()
    await relay.run(relay.copy(session, host, first), relay.copy(host, session), wait_for_both=True)


async def relay_request(
    session: Connection, host: Connection, head: h11.Request, body: RequestParser
) -> None:
    """Send a request and relay its answer until the host ends it, or one side has failed.

    Args:
        session: The connection of the session.
        host: The connection to the host.
        head: The request for the host.
        body: The parser that has parsed the head.
    """
    relay = _Relay()
    sending = relay.send_request(session, host, head, body)
    await relay.run(sending, relay.copy(host, session), wait_for_both=False)


class _Relay:
    """The two directions of one connection, and the time of the last byte."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    async def run(
        self,
        sending: Coroutine[None, None, None],
        answering: Coroutine[None, None, None],
        wait_for_both: bool,
    ) -> None:
        """Run both directions to their ends, or until nothing has moved for `IDLE`."""
        there, back = asyncio.ensure_future(sending), asyncio.ensure_future(answering)
        try:
            await self._wait({there, back} if wait_for_both else {back})
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def copy(self, source: Connection, target: Connection, first: bytes = b"") -> None:
        """Copy all that comes, and its end; after a failure reset the target.

        With a clean end, an answer that breaks off would look complete if it has no length. The
        reset ends the other direction too.
        """
        try:
            data = first or await source.reader.read(CHUNK)
            while data:
                await self._write(target, data)
                data = await source.reader.read(CHUNK)
            target.writer.write_eof()
        except OSError:
            target.reset()
            raise

    async def send_request(
        self, session: Connection, host: Connection, head: h11.Request, parser: RequestParser
    ) -> None:
        """Send a request, and then nothing but the news that the session has ended its side."""
        writer = h11.Connection(h11.CLIENT)
        await self._write(host, writer.send(head) or b"")
        with suppress(h11.RemoteProtocolError):
            part = None
            while not isinstance(part, h11.EndOfMessage):
                part = parser.parse_body()
                if part is None:
                    parser.feed(await session.reader.read(CHUNK))
                else:
                    await self._write(host, writer.send(part) or b"")
            # A second request could be for another host, so nothing after the first is passed on.
            if parser.unparsed or await session.reader.read(1):
                return
        # Either the session has ended its side, or the rest of a malformed body will never come.
        host.writer.write_eof()

    async def _wait(self, tasks: set[asyncio.Future[None]]) -> None:
        """Wait until all have ended, or nothing has moved for too long."""
        while tasks and (left := self._last + IDLE - self._loop.time()) > 0:
            _, tasks = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    async def _write(self, target: Connection, data: bytes) -> None:
        self._last = self._loop.time()
        target.writer.write(data)
        await target.writer.drain()
        self._last = self._loop.time()
