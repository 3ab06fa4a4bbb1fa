"""Connect to a port on which a session listens, without opening its network.

The agent creates the socket, because the session has its own loopback, and passes it on while it
connects. Only the service can connect in this way, and only to the session.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.sandbox.host import replies

if TYPE_CHECKING:
    from agentbay_local.sandbox.host.agent_client import AgentClient

__all__ = ["dial_port"]


async def dial_port(channel: AgentClient, port: int, within: float) -> socket.socket:
    """Return a socket connected to a port of the session.

    Args:
        channel: The conversation with the session's agent.
        port: The checked number of the port.
        within: Seconds for each of the two addresses.

    Raises:
        SandboxOSError: Neither answers; it is the error of the first address.
    """
    try:
        return await _connect(channel, "127.0.0.1", port, within)
    except SandboxOSError as first:
        try:
            return await _connect(channel, "::1", port, within)
        except SandboxOSError:
            raise first from None


async def _connect(channel: AgentClient, host: str, port: int, within: float) -> socket.socket:
    fields = {"host": host, "port": port, "path": f"port {port}"}
    with channel.begin("dial", fields) as call:
        sock = replies.take_connecting_socket(await call.wait(within))
    try:
        await asyncio.wait_for(_wait_until_connected(sock), within)
        failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise SandboxOSError(failure, f"port {port}")
    except asyncio.TimeoutError:
        sock.close()
        raise SandboxOSError(errno.ETIMEDOUT, f"port {port}") from None
    except BaseException:
        sock.close()
        raise
    return sock


async def _wait_until_connected(sock: socket.socket) -> None:
    """Wait until the connection is established or has failed."""
    loop = asyncio.get_running_loop()
    settled = asyncio.Event()
    loop.add_writer(sock, settled.set)
    try:
        await settled.wait()
    finally:
        loop.remove_writer(sock)
