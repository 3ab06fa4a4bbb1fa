"""The HTTP proxy through which one session reaches the hosts that it may reach.

It listens inside the session's network and runs outside: the session's agent makes the listening
socket and hands it over, so no path, port or address of the host is opened for it. It serves
`CONNECT` for tunnels, and plain requests for absolute addresses. It cannot look into a tunnel; all
it knows is that the tunnel leads to an allowed host, under an allowed name, and with `require_sni`
that a TLS handshake in it begins with that name.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING

from agentbay_local.sandbox.outbound.client_hello import (
    RETRY_ANSWER_BYTES,
    ClientHello,
    ClientHelloReader,
    InvalidHello,
    is_retry_request,
)
from agentbay_local.sandbox.outbound.requests import Refusal, Request, RequestParser
from agentbay_local.sandbox.outbound.tunnel import (
    CHUNK,
    Connection,
    relay_request,
    relay_tunnel,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentbay_local.sandbox.outbound.allow_list import AllowedHosts

__all__ = ["Proxy", "resolve"]

_log = logging.getLogger(__name__)

AT_ONCE = 64
"""Connections of one session; each costs the service two descriptors."""

REQUEST_WITHIN = 30.0
"""Seconds that a session may take to send the head of a request."""

CONNECTED_WITHIN = 10.0
"""Seconds for the addresses of a host, and again for the connection to each of them."""

FLUSH_WITHIN = 60.0
"""Seconds that a session may take to read the end of an answer."""

RETRY_AFTER = 1.0
"""Seconds to wait before another try when this process has no descriptor left."""

LOGGED_REFUSALS = 1000
"""Refusals of one session that are logged, so that a session cannot fill the log."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

UNRECOGNIZED_NAME = bytes([21, 3, 3, 0, 2, 2, 112])
"""The fatal alert of TLS for a wrong server name, which clients show."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, best first."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Proxy:
    """Carry out the requests of one session, or refuse them.

    Args:
        allowed: The hosts that the session may reach.
        name: The name of the session in the log.
        resolve: A function that finds the addresses of a host.
    """

    def __init__(
        self,
        allowed: AllowedHosts,
        name: str,
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] = resolve,
    ) -> None:
        self._allowed = allowed
        self._name = name
        self._resolve = resolve
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._refused = 0

    def serve(self, listening: socket.socket) -> None:
        """Start to accept connections on a socket, which is closed with the proxy."""
        listening.setblocking(False)
        self._accepting = asyncio.ensure_future(self._accept(listening))

    def close(self) -> None:
        """Abort every connection, and accept no more. Repeatable."""
        for task in (*self._serving, *filter(None, [self._accepting])):
            task.cancel()

    async def _accept(self, listening: socket.socket) -> None:
        """Accept connections up to `AT_ONCE`; more of them wait in the queue of the socket."""
        with listening:
            while True:
                await self._free.acquire()
                try:
                    session = await _accept_connection(listening)
                except OSError as error:
                    _log.warning("%s cannot use its proxy: %s", self._name, error)
                    await asyncio.sleep(RETRY_AFTER)
                    self._free.release()
                else:
                    self._start(session)

    def _start(self, session: Connection) -> None:
        def end(task: asyncio.Task[None]) -> None:
            self._serving.discard(task)
            self._free.release()
            session.abort()

        task = asyncio.ensure_future(self._serve(session))
        self._serving.add(task)
        task.add_done_callback(end)

    async def _serve(self, session: Connection) -> None:
        try:
            try:
                await self._handle(session)
            except _TunnelRefusal:
                session.writer.write(UNRECOGNIZED_NAME)
            except Refusal as refusal:
                session.writer.write(refusal.answer())
            await session.finish(FLUSH_WITHIN)
        except (OSError, EOFError):
            pass  # the session has closed the connection, which concerns nobody else

    async def _handle(self, session: Connection) -> None:
        parser = RequestParser()
        request = await _read_head(session.reader, parser)
        host = await self._connect(request)
        try:
            if request.head is None:
                session.writer.write(ESTABLISHED)
                first = parser.unparsed
                if self._allowed.require_sni:
                    first = await self._open_named(session, host, request, first)
                await relay_tunnel(session, host, first)
            else:
                await relay_request(session, host, request.head, parser)
        finally:
            host.abort()

    async def _open_named(
        self, session: Connection, host: Connection, request: Request, first: bytes
    ) -> bytes:
        """Let the TLS handshake of a tunnel begin; return the bytes that follow its first message.

        A server may ask for another ClientHello, which could have another name. So nothing else
        goes to the host before its answer has come.
        """
        rest = await self._pass_hello(session, host, request, ClientHelloReader(first))
        answer = await _read_beginning(host.reader)
        session.writer.write(answer)
        if not is_retry_request(answer):
            return rest
        again = ClientHelloReader(rest, after_retry=True)
        return await self._pass_hello(session, host, request, again)

    async def _pass_hello(
        self, session: Connection, host: Connection, request: Request, reader: ClientHelloReader
    ) -> bytes:
        """Send a ClientHello to the host if it names it; return the bytes that follow it."""
        try:
            hello = await _read_hello(session.reader, reader)
        except InvalidHello as error:
            raise self._tunnel_refusal(request, f"its first message {error}") from None
        if hello.is_encrypted:
            raise self._tunnel_refusal(request, "its server name may be encrypted (ECH)")
        if hello.server_name != request.host:
            name = hello.server_name or "missing"
            raise self._tunnel_refusal(request, f"its server name (SNI) is {name}")
        host.writer.write(reader.wire)
        return reader.rest

    def _tunnel_refusal(self, request: Request, why: str) -> _TunnelRefusal:
        return _TunnelRefusal(HTTPStatus.FORBIDDEN, self._refusal(request, why).sentence)

    async def _connect(self, request: Request) -> Connection:
        if not self._allowed.names(request.host, request.port):
            raise self._refusal(
                request,
                "it is not among the hosts that sessions may reach; start the service with "
                f"--allow-host {_format_address(request)} to allow it",
            )
        addresses = await self._find_addresses(request)
        reachable = [one for one in addresses if self._allowed.reaches(one, request.port)]
        if addresses and not reachable:
            raise self._refusal(
                request,
                "its name leads to an address that is not public; start the service with that "
                "address in another --allow-host to allow it",
            )
        return await _connect_to_first(reachable, request)

    async def _find_addresses(self, request: Request) -> Sequence[str]:
        finding = asyncio.ensure_future(self._resolve(request.host, request.port))
        try:
            return await asyncio.wait_for(finding, CONNECTED_WITHIN)
        except asyncio.TimeoutError:  # an OSError too, since Python 3.11
            raise _timed_out(request) from None
        except (OSError, UnicodeError):
            raise _unreachable(request, "its name is not known") from None

    def _refusal(self, request: Request, why: str) -> Refusal:
        self._refused += 1
        if self._refused <= LOGGED_REFUSALS:
            rest = " (further refusals are not logged)" if self._refused == LOGGED_REFUSALS else ""
            _log.warning(
                "%s was refused a connection to %s: %s%s",
                self._name,
                _format_address(request),
                why,
                rest,
            )
        return Refusal(HTTPStatus.FORBIDDEN, f"{_format_address(request)} was refused: {why}.")


class _TunnelRefusal(Refusal):
    """A tunnel that is closed after it was opened, when the session expects TLS."""


async def _accept_connection(listening: socket.socket) -> Connection:
    sock, _ = await asyncio.get_running_loop().sock_accept(listening)
    return Connection(*await asyncio.open_connection(sock=sock, limit=CHUNK))


async def _read_head(reader: asyncio.StreamReader, parser: RequestParser) -> Request:
    async def read() -> Request:
        while (request := parser.parse_head()) is None:
            data = await reader.read(CHUNK)
            if not data:
                raise EOFError
            parser.feed(data)
        return request

    try:
        return await asyncio.wait_for(read(), REQUEST_WITHIN)
    except asyncio.TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "No request came in time.") from None


async def _read_hello(reader: asyncio.StreamReader, hello: ClientHelloReader) -> ClientHello:
    async def read() -> ClientHello:
        while (found := hello.parse()) is None:
            data = await reader.read(CHUNK)
            if not data:
                raise EOFError
            hello.feed(data)
        return found

    try:
        return await asyncio.wait_for(read(), REQUEST_WITHIN)
    except asyncio.TimeoutError:
        raise InvalidHello("did not come in time") from None


async def _read_beginning(reader: asyncio.StreamReader) -> bytes:
    """Return the first bytes of a server's answer to a ClientHello."""

    async def read() -> bytes:
        answer = b""
        while len(answer) < RETRY_ANSWER_BYTES and (data := await reader.read(CHUNK)):
            answer += data
        return answer

    try:
        return await asyncio.wait_for(read(), REQUEST_WITHIN)
    except asyncio.TimeoutError:
        raise EOFError from None


async def _connect_to_first(addresses: Sequence[str], request: Request) -> Connection:
    """Connect to the first address that answers.

    It is the address that was checked: a second look-up of the name could give another one.
    """
    failure = _unreachable(request, "its name has no address")
    for address in addresses:
        connecting = asyncio.open_connection(address, request.port, limit=CHUNK)
        try:
            return Connection(*await asyncio.wait_for(connecting, CONNECTED_WITHIN))
        except asyncio.TimeoutError:
            failure = _timed_out(request)
        except OSError as error:
            failure = _unreachable(request, os.strerror(error.errno or 0))
    raise failure


def _unreachable(request: Request, why: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_GATEWAY, f"{_format_address(request)} was not reached: {why}.")


def _timed_out(request: Request) -> Refusal:
    return Refusal(
        HTTPStatus.GATEWAY_TIMEOUT, f"{_format_address(request)} did not answer in time."
    )


def _format_address(request: Request) -> str:
    host = f"[{request.host}]" if ":" in request.host else request.host
    return f"{host}:{request.port}"
