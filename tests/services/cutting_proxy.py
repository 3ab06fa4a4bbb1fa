"""A TCP proxy that cuts a chunk in half and resets both connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from typing_extensions import Self

_CHUNK = 65536


class CuttingProxy:
    """Relays connections to one server. A context manager.

    Args:
        url: The URL of the server.

    Attributes:
        url: The same URL through the proxy.
        cut: Set when a chunk was cut.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._chunks = {"up": 0, "down": 0}
        self._at: tuple[str, int] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.cut = asyncio.Event()

    def cut_at(self, direction: str, number: int) -> None:
        """Cut a chunk: the `number`-th one ``"up"`` to the server or ``"down"``, from 1."""
        self._at = direction, number

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = urlunsplit(self._target._replace(netloc=f"{host}:{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = self._target
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        pair = (writer, far_writer)
        self._writers.update(pair)
        await asyncio.gather(
            self._relay("up", reader, far_writer, pair),
            self._relay("down", far_reader, writer, pair),
        )
        self._writers.difference_update(pair)

    async def _relay(
        self,
        direction: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        try:
            while chunk := await reader.read(_CHUNK):
                self._chunks[direction] += 1
                if (direction, self._chunks[direction]) == self._at:
                    writer.write(chunk[: len(chunk) // 2])
                    await writer.drain()
                    _reset(pair)
                    self.cut.set()
                    return
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        for one in pair:
            one.close()


def _reset(pair: tuple[asyncio.StreamWriter, ...]) -> None:
    for writer in pair:
        peer: socket.socket = writer.get_extra_info("socket")
        # Closing with a linger time of zero makes the kernel send a reset.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
