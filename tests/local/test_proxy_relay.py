"""The program between a browser and a proxy of the user, without a browser."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.browser.inside.proxy_program import FAILURES, LARGEST_HEAD, Relay
from agentbay_local.browser.proxy_relay import CustomProxy, ProxyRelay
from agentbay_local.sandbox.host.pipes import Pipe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUEST = b"GET http://site.invalid/ HTTP/1.1\r\n\r\n"
BEGUN = b"HTTP/1.1 200 OK\r\n\r\nbegun"
WITHIN = 20.0


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Serve on this machine, and give the port."""
    async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def connected(
    relay: Relay,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Give a connection to a relay."""
    async with serving(relay.serve) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            yield reader, writer


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("head", [REQUEST, b"CONNECT site.invalid:443 HTTP/1.1\r\n\r\n"])
async def test_a_page_that_breaks_off_is_a_reset_with_nothing_after_it(head: bytes) -> None:
    """An error page there would be a part of the page; a clean end would make it look complete."""
    seen = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(BEGUN)
        await seen.wait()
        reset(writer)

    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(answer))
        relay = Relay("127.0.0.1", port, "", in_session=True)
        reader, writer = await stack.enter_async_context(connected(relay))
        writer.write(head)
        assert await asyncio.wait_for(reader.readexactly(len(BEGUN)), WITHIN) == BEGUN
        seen.set()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), WITHIN)


async def test_a_browser_that_breaks_off_ends_the_connection_to_the_proxy() -> None:
    """The proxy sees a failure too."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(BEGUN)
        try:
            await reader.read()
        except ConnectionResetError as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)
        writer.close()

    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(answer))
        relay = Relay("127.0.0.1", port, "", in_session=True)
        reader, writer = await stack.enter_async_context(connected(relay))
        writer.write(REQUEST)
        await asyncio.wait_for(reader.readexactly(len(BEGUN)), WITHIN)
        reset(writer)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(ended, WITHIN)


async def test_a_proxy_that_is_not_reached_is_an_error_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing was relayed yet; the page has the reason."""
    monkeypatch.delenv("http_proxy", raising=False)
    relay = Relay("proxy.example", 3128, "", in_session=False)
    async with connected(relay) as (reader, writer):
        writer.write(REQUEST)
        page = await asyncio.wait_for(reader.read(), WITHIN)
    assert page.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"--allow-host" in page


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1\r\n\r\n", "HTTP/1.1"),
        (b"HTTP/1.1\r\n\r\nthe reason", "the reason"),
        (b"HTTP/1.1\r\n200 OK\r\n\r\n", "HTTP/1.1"),
        (b"\r\n\r\n", ""),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nnot listed", "not listed"),
        (b"x" * (LARGEST_HEAD + 1), ""),
        (b"HTTP/1.1 200 OK\r\n", "bytes read"),
    ],
)
async def test_any_other_answer_of_the_sessions_proxy_is_a_failure_that_closes_the_connection(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    """However short or long its head is."""
    ended = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.write_eof()
        # Unread bytes make the kernel reset the connection at its end.
        with suppress(ConnectionResetError):
            await reader.read()
        ended.set()
        writer.close()

    async with serving(refuse) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        relay = Relay("proxy.example", 3128, "", in_session=False)
        with pytest.raises(FAILURES) as raised:
            await asyncio.wait_for(relay.connect(), WITHIN)
        assert reason in str(raised.value)
        await asyncio.wait_for(ended.wait(), WITHIN)


class Program:
    """The pipes of a program that has answered with its port.

    Attributes:
        far: What the program itself has as standard input, output and error.
    """

    def __init__(self) -> None:
        (given, stdin), (stdout, written), (stderr, errors) = (os.pipe() for _ in range(3))
        self.far = given, written, errors
        self.stdin, self.stdout, self.stderr = (
            Pipe(fd, "a pipe") for fd in (stdin, stdout, stderr)
        )
        os.write(written, b'{"port": 8080}\n')

    async def spawn(self, _command: object) -> Program:
        """Return itself, in the place of a sandbox."""
        return self

    async def close(self) -> None:
        """Close the pipes."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()


@pytest.fixture
async def program() -> AsyncIterator[Any]:
    """Give a program, and close both ends of its pipes."""
    made = Program()
    yield made
    await made.close()
    for fd in made.far:
        os.close(fd)


async def test_the_program_never_waits_for_a_reader_of_what_it_writes(program: Program) -> None:
    """After its answer nobody reads its output, so no pipe may fill."""
    sandbox: Any = program
    proxy = CustomProxy("http://127.0.0.2:3128", "127.0.0.2", 3128, "ada", "a-secret")
    relay = await ProxyRelay.start(sandbox, proxy)
    assert relay.url == "http://127.0.0.1:8080"
    given, *outputs = program.far
    assert json.loads(os.read(given, 4096))["in_session"] is True
    for fd in outputs:
        with pytest.raises(BrokenPipeError):
            os.write(fd, b"x")
