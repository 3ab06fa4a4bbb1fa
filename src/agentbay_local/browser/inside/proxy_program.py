"""Relay connections of the browser to a proxy that it cannot use itself.

Chromium reaches no proxy through another one, and takes no user name on its command line. The
first line of standard input is a JSON object: `host`, `port`, `authorization`, which may be empty,
and `in_session`, a boolean. The answer is a line of standard output, a JSON object: the `port` that
it listens on, or the `error` if the proxy is not reached. The service reads nothing after that
line, and no standard error. The Python of the machine runs this, 3.8 or newer, without packages.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
from urllib.parse import urlsplit

LARGEST_HEAD = 64 * 1024
LONGEST_ERROR = 500
FAILURES = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)


class Relay:
    """Connect to one proxy, through that of the session unless it is in the session.

    Args:
        host: Where the proxy is.
        port: Its port.
        authorization: The value of the header `Proxy-Authorization`; empty for none.
        in_session: Whether `host` is the session itself.
    """

    def __init__(self, host: str, port: int, authorization: str, in_session: bool) -> None:
        self._address = host, port
        self._authorization = authorization.encode("ascii")
        self._in_session = in_session

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the proxy, or raise one of `FAILURES`."""
        if self._in_session:
            return await asyncio.open_connection(*self._address, limit=LARGEST_HEAD)
        outbound = urlsplit(os.environ.get("http_proxy", ""))
        if outbound.port is None:
            raise OSError("this session reaches no hosts; start the service with --allow-host")
        reader, writer = await asyncio.open_connection(
            outbound.hostname, outbound.port, limit=LARGEST_HEAD
        )
        try:
            await self._open_tunnel(reader, writer)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _open_tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Ask the proxy of the session for a connection to the proxy of the user."""
        host, port = self._address
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
        first = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
        # A slice, for an answer without a status has no second word.
        if first.split(maxsplit=2)[1:2] != [b"200"]:
            reason = (await reader.read(LONGEST_ERROR)).strip() or first[:LONGEST_ERROR]
            raise OSError(reason.decode("utf-8", "replace"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection of the browser."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            upstream_reader, upstream_writer = await self.connect()
        except FAILURES as error:
            text = str(error)[:LONGEST_ERROR]
            writer.write(f"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n{text}".encode())
            writer.close()
            return
        try:
            upstream_writer.write(self._complete(head))
            await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))
        finally:
            upstream_writer.close()
            writer.close()

    def _complete(self, head: bytes) -> bytes:
        """Return the head of a request with the user name, for the only request of a connection."""
        first, *lines = head[:-4].split(b"\r\n")
        if self._authorization:
            lines.append(b"Proxy-Authorization: " + self._authorization)
        if not first.startswith(b"CONNECT "):
            lines = [
                one for one in lines if not one.lower().startswith((b"connection:", b"proxy-c"))
            ]
            lines.append(b"Connection: close")
        return b"\r\n".join([first, *lines, b"", b""])


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset: after a clean end, a page without a length looks complete."""
    if not writer.transport.is_closing():
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy to the end, or reset the target, which ends the other direction too.

    Nothing is written after a failure: it would be taken for a part of the page or of the tunnel.
    """
    try:
        while True:
            data = await reader.read(LARGEST_HEAD)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        _reset(writer)


def tell(**answer: object) -> None:
    """Write the answer to the service."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Try the proxy, tell the port, and serve until this program is killed."""
    relay = Relay(**json.loads(sys.stdin.readline()))
    try:
        _, writer = await relay.connect()
    except FAILURES as error:
        tell(error=str(error)[:LONGEST_ERROR])
        return
    writer.close()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, limit=LARGEST_HEAD)
    tell(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
