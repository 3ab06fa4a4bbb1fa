"""Reaching a port that a session listens on, without opening its network to anyone.

The agent makes the socket, because the session's loopback is its own, and passes it on while it
connects. Nothing of the host can be dialled in this way, and nothing from outside the service.
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
        port: Checked.
        within: Seconds for each of the two addresses.

    Raises:
        SandboxOSError: The problem with the first address, when neither answers.
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
    """Wait until a connection is made or has failed."""
    loop = asyncio.get_running_loop()
    settled = asyncio.Event()
    loop.add_writer(sock, settled.set)
    try:
        await settled.wait()
    finally:
        loop.remove_writer(sock)
