"""A port of this machine that leads to a port of a session."""

from __future__ import annotations

import asyncio

from agentbay_cli.local_port import forward

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
WITHIN = 20.0


async def _break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"begun")
    writer.close()


async def _ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.2\r\n\r\n")
    try:
        return await asyncio.wait_for(reader.read(), WITHIN)
    finally:
        writer.close()


async def test_an_answer_that_breaks_off_has_nothing_after_it() -> None:
    """Another answer in the middle of it would be a part of the page."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with await asyncio.start_server(_break_off, "127.0.0.1", 0) as server:
        link = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        forwarding = asyncio.create_task(forward(link, 0, None, ready.set_result))
        try:
            answer = await _ask(await asyncio.wait_for(ready, WITHIN))
        finally:
            forwarding.cancel()
            await asyncio.wait([forwarding])
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nbegun")
