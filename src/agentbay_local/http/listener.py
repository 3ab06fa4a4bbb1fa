"""The listener of a service: its port, its connections and TLS.

Importing this module loads aiohttp and all routes, which takes longer than the rest of a start.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from agentbay_local.http import app
from agentbay_local.http.connections import CONNECTIONS
from agentbay_local.urls import LINK_SUFFIX, is_link_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_local.state import ServiceState
    from agentbay_local.tls.authority import CertificateAuthority

__all__ = ["Listener"]

_HEALTHY_WITHIN = 10.0
# Seconds that the rest of a request is read and dropped after its answer, which would get lost if
# the connection were closed at once.
_LINGER = 5.0
_ACCEPT_AT_ONCE = 8
# Bytes of a body that wait for their reader, per connection; twice as many stop the reading.
_BUFFERED = 16 * 1024
# Connections that the kernel keeps until they are accepted.
_BACKLOG = 1024


class Listener:
    """Answers requests for a service, from `start` to `close`.

    Args:
        state: The service; `start` sets its addresses.
        api_key: The key of its clients.
        authority: Issues its certificates; None listens without TLS.
    """

    def __init__(
        self, state: ServiceState, api_key: str, authority: CertificateAuthority | None
    ) -> None:
        self._state = state
        self._authority = authority
        self._listening: asyncio.Server | None = None
        self._application = app.application(state, api_key)
        self._runner = web.AppRunner(
            self._application,
            # Some clients send the key in the query, where an access log would show it.
            access_log=None,
            logger=app.server_log,
            # Bodies for ports and files pass through as they are, packed or not.
            auto_decompress=False,
            shutdown_timeout=1,
            lingering_time=_LINGER,
            read_bufsize=_BUFFERED,
            # A command ends when its client hangs up; `outlive_client` protects all other requests.
            handler_cancellation=True,
        )

    async def start(self, host: str, port: int) -> None:
        """Listen, and return when a request is answered.

        Args:
            host: The address to listen on.
            port: The port; 0 takes a free one.

        Raises:
            OSError: The port cannot be used.
        """
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("the runner is not set up")
        factory = self._application[CONNECTIONS].protocol_factory(self._runner.server, self._tls())
        self._listening = await _bind(factory, host, port)
        host, port = self._listening.sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        scheme = "http" if self._authority is None else "https"
        self._state.endpoint = f"{scheme}://{shown}:{port}"
        self._state.link_url = f"{scheme}://{{label}}{LINK_SUFFIX}:{port}"
        await asyncio.wait_for(_check_health(host, port, self._authority), _HEALTHY_WITHIN)

    async def close(self) -> None:
        """Accept no more connections, and end those that are open. Repeatable."""
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()

    def _tls(self) -> ssl.SSLContext | None:
        if self._authority is None:
            return None
        from agentbay_local.tls.authority import ServerCertificates

        return ServerCertificates(self._authority, partial(is_link_host, self._state)).context


async def _bind(
    factory: Callable[[], asyncio.BufferedProtocol], host: str, port: int
) -> asyncio.Server:
    listening = await asyncio.get_running_loop().create_server(
        factory,
        host,
        port,
        # The loop accepts as many in one turn; a flood must not keep it from its other work.
        backlog=_ACCEPT_AT_ONCE,
    )
    try:
        for one in listening.sockets:
            with socket.socket(fileno=os.dup(one.fileno())) as raw:
                raw.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


async def _check_health(host: str, port: int, authority: CertificateAuthority | None) -> None:
    """Send one request, as a client would."""
    trusted = authority and ssl.create_default_context(cafile=authority.ca_file)
    reader, writer = await asyncio.open_connection(host, port, ssl=trusted)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
    finally:
        writer.close()
    if b" 200 " not in line:
        raise OSError(f"the service on port {port} does not answer")
