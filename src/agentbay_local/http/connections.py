"""Limits of connections: their number, and what a client may send before it shows a credential.

A connection is unauthenticated until a request on it has shown the API key or a valid token. Until
then it has little time and little memory, and it makes room for others: when there are too many,
the oldest of them is closed. So clients without the key cannot lock out those that have it.

A service with TLS looks at the first byte of a connection: both protocols have the same port.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from weakref import WeakSet

from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_local.protocol import answers
from agentbay_local.protocol.errors import ApiError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["CONNECTIONS", "Connections", "credential_shown", "trust"]

HEAD_LIMIT = 32 * 1024
"""Bytes of the request line and the headers of a first request."""

AUTHENTICATE_WITHIN = 30.0
"""Seconds from the opening of a connection until it has shown a credential."""

UNAUTHENTICATED_BYTES = 32 * 1024 * 1024
"""Bytes that all unauthenticated connections together may have sent."""

_TURN = 0.001
# Bytes that one turn of the loop reads from an unauthenticated connection.
_READ = 16 * 1024

_MOST = 4096
_MOST_UNAUTHENTICATED = 1024
_END_OF_HEAD = b"\r\n\r\n"
# The type of the first record of TLS; no request of HTTP begins with it.
_HANDSHAKE = b"\x16"


class Connections:
    """All connections of a service.

    Args:
        most: The number of connections at once. Default: 4096, or half of the open files that this
            process may have, because sandboxes need files too.

    Attributes:
        unauthenticated: The connections that have shown no credential, by their transports, oldest
            first.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = _most_connections() if most is None else most
        self.unauthenticated: dict[asyncio.BaseTransport, _Connection] = {}
        # Some of them may be closed: only aiohttp hears of that.
        self._trusted: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._bytes = 0
        self._turn = asyncio.Lock()
        # One for all: nothing happens between the filling of a buffer and its use.
        self.buffer = memoryview(bytearray(_READ))

    def __len__(self) -> int:
        return len(self.unauthenticated) + len(self._trusted)

    @property
    def unauthenticated_bytes(self) -> int:
        """The bytes that count against `UNAUTHENTICATED_BYTES`."""
        return self._bytes

    def protocol_factory(
        self, server: web.Server, tls: ssl.SSLContext | None = None
    ) -> Callable[[], asyncio.BufferedProtocol]:
        """Return the factory for `create_server`: the protocols of `server`, within the limits.

        Args:
            server: Makes the protocols.
            tls: For connections that begin with a TLS handshake; None offers no TLS.
        """
        return lambda: _Connection(self, server, tls)

    def trust(self, transport: asyncio.BaseTransport | None) -> None:
        """Record that a request on a connection has shown a credential."""
        connection = self.unauthenticated.get(transport) if transport else None
        if connection is not None:
            self.discard(connection)
            self._trusted.add(connection.transport)
            connection.trusted()

    def add(self, connection: _Connection) -> bool:
        """Add a new connection, and return whether it may stay."""
        if len(self.unauthenticated) >= min(_MOST_UNAUTHENTICATED, max(1, self._most // 2)):
            self._refuse_oldest()
        if self._is_full() and not self._refuse_oldest():
            return False
        self.unauthenticated[connection.transport] = connection
        return True

    def discard(self, connection: _Connection) -> None:
        """Remove a connection that is closed or has shown a credential. Repeatable."""
        if self.unauthenticated.pop(connection.transport, None) is not None:
            self._bytes -= connection.received
            connection.received = 0

    def replace(self, connection: _Connection, transport: asyncio.Transport) -> None:
        """Count an unauthenticated connection by another transport: that of its TLS."""
        if self.unauthenticated.pop(connection.transport, None) is not None:
            self.unauthenticated[transport] = connection

    async def wait_turn(self) -> None:
        """Wait until an unauthenticated connection may read on: one after the other, not too fast.

        Otherwise a few hundred of them would keep the loop busy.
        """
        async with self._turn:
            await asyncio.sleep(_TURN)

    def count(self, connection: _Connection, received: int) -> None:
        """Count bytes that an unauthenticated connection has sent."""
        connection.received += received
        self._bytes += received
        while self._bytes > UNAUTHENTICATED_BYTES:
            self._refuse_oldest()

    def release(self, transport: asyncio.BaseTransport | None) -> None:
        """Stop counting the bytes of a connection whose request has been answered."""
        connection = self.unauthenticated.get(transport) if transport else None
        if connection is not None:
            self._bytes -= connection.received
            connection.received = 0
            connection.is_counted = False

    def _is_full(self) -> bool:
        if len(self) >= self._most:
            self._trusted -= {transport for transport in self._trusted if _is_closed(transport)}
        return len(self) >= self._most

    def _refuse_oldest(self) -> bool:
        """Close the oldest unauthenticated connection; return whether there was one."""
        for connection in self.unauthenticated.values():
            self.discard(connection)
            connection.refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections without a key."
            )
            return True
        return False


class _Connection(asyncio.BufferedProtocol):
    """Passes the bytes of an unauthenticated connection to aiohttp's protocol, within the limits.

    Once the connection has shown a credential, aiohttp's protocol takes its place.

    Attributes:
        received: Bytes that count against `UNAUTHENTICATED_BYTES`.
        is_counted: Whether what comes counts.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        connections: Connections,
        server: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._connections = connections
        self._tls = tls
        # What comes over TLS before the task that shakes hands has its transport.
        self._early: bytearray | None = None
        self._opening: asyncio.Task[None] | None = None
        # Made with the first bytes, so that an idle connection costs next to nothing.
        self._make_handler: Callable[[], asyncio.Protocol] | None = server
        self._handler = asyncio.Protocol()  # which does nothing
        self._deadline: asyncio.TimerHandle | None = None
        self._head: bytearray | None = bytearray()
        self.received = 0
        self.is_counted = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or answer that there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        if not self._connections.add(self):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections.")
            return
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(AUTHENTICATE_WITHIN, self._expire)
        if self._tls is not None:
            self._opening = loop.create_task(self._open(self._tls))

    def trusted(self) -> None:
        """Lift the limits of unauthenticated connections."""
        if self._deadline is not None:
            self._deadline.cancel()
        self.transport.set_protocol(self._handler)

    def refuse(self, status: HTTPStatus, sentence: str) -> None:
        """Answer without aiohttp, and close the connection."""
        self._head = None
        self.is_counted = False
        if self._early is not None:
            # In the midst of a handshake an answer would be nonsense.
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(_answer(status, sentence))
            self.transport.close()

    def get_buffer(self, _hint: int) -> memoryview:
        """Return the shared buffer, which is small, because the sender is unknown."""
        return self._connections.buffer

    def buffer_updated(self, count: int) -> None:
        """Count the received bytes, and pass them on."""
        self._receive(bytes(self._connections.buffer[:count]))

    def _receive(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            return
        if self.is_counted and not self._accept(data):
            return
        if self._make_handler is not None:
            self._handler, self._make_handler = self._make_handler(), None
            self._handler.connection_made(self.transport)
        self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._handler.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Make room for another connection."""
        self._forget()
        if self._opening is not None:
            self._opening.cancel()
        self._handler.connection_lost(error)

    def _forget(self) -> None:
        self._connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()

    async def _open(self, tls: ssl.SSLContext) -> None:
        """Begin TLS if the client does, and go on in the clear otherwise."""
        try:
            if await _peek(self.transport) == _HANDSHAKE:
                await self._start_tls(tls)
            else:
                self.transport.resume_reading()
        except (OSError, asyncio.TimeoutError):
            # The client has gone, or its handshake failed: asyncio has told nobody else.
            self.transport.abort()
            self._forget()

    async def _start_tls(self, tls: ssl.SSLContext) -> None:
        self._early = bytearray()
        secure = await asyncio.get_running_loop().start_tls(
            self.transport, self, tls, server_side=True, ssl_handshake_timeout=AUTHENTICATE_WITHIN
        )
        if secure is None or secure.is_closing():
            raise ConnectionResetError
        self._connections.replace(self, secure)
        self.transport = secure
        early, self._early = self._early, None
        if early:
            self._receive(bytes(early))

    def _accept(self, data: bytes) -> bool:
        """Count bytes; return whether the connection is still within its limits."""
        self._connections.count(self, len(data))
        if self._head is None:
            return self.is_counted
        # The parser of aiohttp limits each line; together they could be many times as long.
        start = max(0, len(self._head) - len(_END_OF_HEAD) + 1)
        self._head += data
        if self._head.find(_END_OF_HEAD, start) >= 0:
            self._head = None
        elif len(self._head) > HEAD_LIMIT:
            self._connections.discard(self)
            self.refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"The headers of a request may have at most {HEAD_LIMIT} bytes.",
            )
        return self.is_counted

    def _expire(self) -> None:
        self._connections.discard(self)
        self.refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            f"No request with a credential came within {AUTHENTICATE_WITHIN:.0f} seconds.",
        )


CONNECTIONS = web.AppKey("CONNECTIONS", Connections)
"""The key of an application's connections."""

# An event, not a flag: the tasks of a request have copies of its context, which share the object.
credential_shown: ContextVar[asyncio.Event | None] = ContextVar("credential_shown", default=None)
"""The event that `trust` sets for a request; None if its connection has shown a credential."""


def trust(request: web.Request) -> None:
    """Record that a request has shown the API key or a valid token."""
    shown = credential_shown.get()
    if shown is not None:
        shown.set()
    request.app[CONNECTIONS].trust(request.transport)


def _is_closed(transport: asyncio.BaseTransport) -> bool:
    # A transport that is closing still has its file, until all that waits is sent. That of TLS
    # forgets it.
    peer: socket.socket | None = transport.get_extra_info("socket")
    return peer is None or peer.fileno() < 0


async def _peek(transport: asyncio.Transport) -> bytes:
    """Wait for the first byte of a new connection, and leave it unread; b"" if there is none.

    Reading is paused afterwards.
    """
    transport.pause_reading()
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    # A second descriptor, because asyncio does not let others watch that of a transport.
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as peer:
        loop.add_reader(peer, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(peer)
        return peer.recv(1, socket.MSG_PEEK)


def _most_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2)


def _answer(status: HTTPStatus, sentence: str) -> bytes:
    error = ApiError(error_codes.SERVICE_UNAVAILABLE, sentence, status.value)
    body = answers.failure(error, answers.request_id()).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
