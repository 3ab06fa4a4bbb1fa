"""The proxy through which one session reaches the hosts it may reach.

It listens inside the session's network and runs outside of it: the session's agent makes the
listening socket and hands it over, so no path, port or address of the host is opened for it. It
speaks HTTP: `CONNECT` for tunnels, absolute addresses for plain requests. What is said in a tunnel
is not looked into; that it leads to an allowed host, under an allowed name, is all that is known.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host import replies
from agentbay_local.sandbox.outbound.requests import Refusal, Request, parse_request
from agentbay_local.sandbox.outbound.tunnel import Connection, relay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentbay_local.sandbox.host.agent_client import AgentClient
    from agentbay_local.sandbox.outbound.allow_list import AllowedHosts

__all__ = ["Proxy", "resolve", "start_proxy"]

_log = logging.getLogger(__name__)

LARGEST_HEAD = 64 * 1024
AT_ONCE = 64
"""Connections of one session; each costs the service two descriptors."""

REQUEST_WITHIN = 30.0
CONNECTED_WITHIN = 10.0
FLUSH_WITHIN = 60.0

RETRY_AFTER = 1.0
"""Seconds to wait before another try when this process has no descriptor left."""

LOGGED_REFUSALS = 1000
"""Refusals of one session that are logged, so that a session cannot fill the log."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, best first."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def start_proxy(
    channel: AgentClient, allowed: AllowedHosts, who: str, within: float
) -> Callable[[], None]:
    """Let a session's agent make the socket, and serve it; nothing happens if nothing is allowed.

    Args:
        channel: The conversation with the session's agent, which from then on tells every program
            of the session about the proxy.
        allowed: Which hosts the session may reach.
        who: Whom the log shall name.
        within: Seconds for the agent's answer.

    Returns:
        What closes it.
    """
    proxy = Proxy(allowed, who)
    if allowed:
        reply = await channel.request("proxy", {}, within=within)
        proxy.serve(replies.take_listening_socket(reply))
    return proxy.close


class Proxy:
    """Carries what one session asks for, or refuses it.

    Args:
        allowed: Which hosts the session may reach.
        who: Whom the log shall name.
        resolve: Finds the addresses of a host.
    """

    def __init__(
        self,
        allowed: AllowedHosts,
        who: str,
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] = resolve,
    ) -> None:
        self._allowed = allowed
        self._who = who
        self._resolve = resolve
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._refused = 0

    def serve(self, listening: socket.socket) -> None:
        """Begin to serve those who connect to a socket, which is closed with the proxy."""
        listening.setblocking(False)
        self._accepting = asyncio.ensure_future(self._accept(listening))

    def close(self) -> None:
        """Break off everything. Repeatable."""
        for task in (*self._serving, *filter(None, [self._accepting])):
            task.cancel()

    async def _accept(self, listening: socket.socket) -> None:
        """Take one after the other, while there are few enough; more of them wait in the queue."""
        with listening:
            while True:
                await self._free.acquire()
                try:
                    session = await _accept_connection(listening)
                except OSError as error:
                    _log.warning("%s cannot use its proxy: %s", self._who, error)
                    await asyncio.sleep(RETRY_AFTER)
                    self._free.release()
                else:
                    self._begin(session)

    def _begin(self, session: Connection) -> None:
        def end(task: asyncio.Task[None]) -> None:
            self._serving.discard(task)
            self._free.release()
            session.abort()

        task = asyncio.ensure_future(self._served(session))
        self._serving.add(task)
        task.add_done_callback(end)

    async def _served(self, session: Connection) -> None:
        try:
            try:
                await self._carried(session)
            except Refusal as refusal:
                session.writer.write(refusal.answer())
            await session.finish(FLUSH_WITHIN)
        except (OSError, EOFError):
            pass  # the session has gone away, and nobody else is concerned

    async def _carried(self, session: Connection) -> None:
        request = parse_request(await _read_head(session.reader))
        host = await self._connected(request)
        try:
            session.writer.write(ESTABLISHED if request.tunnel else b"")
            host.writer.write(request.head)
            await relay(session, host, request)
        finally:
            host.abort()

    async def _connected(self, request: Request) -> Connection:
        if not self._allowed.names(request.host, request.port):
            raise self._refusal(
                request,
                "it is not among the hosts that sessions may reach; start the service with "
                f"--allow-host {_format_address(request)} to allow it",
            )
        addresses = await self._addresses(request)
        reachable = [one for one in addresses if self._allowed.reaches(one, request.port)]
        if addresses and not reachable:
            raise self._refusal(
                request,
                "its name leads to an address that is not public; start the service with that "
                "address in another --allow-host to allow it",
            )
        return await _connect_to_first(reachable, request)

    async def _addresses(self, request: Request) -> Sequence[str]:
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
            rest = " (its further ones are not logged)" if self._refused == LOGGED_REFUSALS else ""
            _log.warning(
                "%s was refused a connection to %s: %s%s",
                self._who,
                _format_address(request),
                why,
                rest,
            )
        return Refusal(HTTPStatus.FORBIDDEN, f"{_format_address(request)} was refused: {why}.")


async def _accept_connection(listening: socket.socket) -> Connection:
    sock, _ = await asyncio.get_running_loop().sock_accept(listening)
    return Connection(*await asyncio.open_connection(sock=sock, limit=LARGEST_HEAD))


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_WITHIN)
    except asyncio.LimitOverrunError:
        raise Refusal(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The head of a request can have {LARGEST_HEAD} bytes.",
        ) from None
    except asyncio.TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "No request came in time.") from None


async def _connect_to_first(addresses: Sequence[str], request: Request) -> Connection:
    """Connect to the first address that answers: to it, and not to the name once more."""
    failure = _unreachable(request, "its name has no address")
    for address in addresses:
        connecting = asyncio.open_connection(address, request.port, limit=LARGEST_HEAD)
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
