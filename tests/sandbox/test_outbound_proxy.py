"""The outbound proxy: forwarding, rejections, limits and shutdown.

It is served here on the loopback of the test, with names that lead where the test says.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.sandbox.test_client_hello import (
    body,
    extension,
    hello_of_openssl,
    message,
    record,
    server_name,
)

from agentbay_local.sandbox.outbound import AllowedHosts, proxy, tunnel
from agentbay_local.sandbox.outbound.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
    from typing import Any

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
    Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]

WITHIN = 10
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Host:
    """A server on this machine that records the requests it receives."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a head and answer it."""
        with suppress(asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(ANSWER)
        writer.close()


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """Serve at a free port."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await settled()


async def settled() -> None:
    """Let the loop close broken connections."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    """Return a server on this machine."""
    one = Host()
    async with serving(one.talk) as one.port:
        yield one


class Names:
    """A resolver that records the requested names."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.queries: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Say what a name leads to."""
        self.queries.append(host)
        return self.addresses


@asynccontextmanager
async def proxied(
    entries: list[str], names: Names | None = None, *, require_sni: bool = False
) -> AsyncIterator[int]:
    """Serve a proxy that allows some hosts; yield its port."""
    allowed = AllowedHosts.parse(entries, require_sni=require_sni)
    one = Proxy(allowed, "s-1", names or Names("127.0.0.1"))
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    one.serve(listening)
    try:
        yield port
    finally:
        one.close()
        await settled()


async def exchange(port: int, request: bytes) -> bytes:
    """Send bytes to a proxy and return its whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), WITHIN)
    finally:
        writer.close()


def get(host: str, *headers: str) -> bytes:
    """Return a plain request."""
    lines = [f"GET http://{host}/x HTTP/1.1", "Host: elsewhere", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def connect(host: str) -> bytes:
    """Return a request for a tunnel."""
    return f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


async def test_listed_address_is_reachable(host: Host) -> None:
    """Also an address on the machine's own loopback, if it is listed."""
    async with proxied([f"127.0.0.1:{host.port}"]) as port:
        answer = await exchange(port, get(f"127.0.0.1:{host.port}"))

    assert answer == ANSWER
    assert b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % host.port in host.requests[0]


async def test_tunnel_forwards_everything_in_both_directions() -> None:
    """Also bytes that arrive with the request, and after the other side has ended."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    content = bytes(range(256)) * 8000
    async with serving(echo) as there, proxied([f"127.0.0.1:{there}"]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect(f"127.0.0.1:{there}") + content[:1000])
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
        writer.write(content[1000:])
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), WITHIN)
        writer.close()

    assert head.startswith(b"HTTP/1.1 200 ")
    assert answer == content


@pytest.mark.parametrize("form", [get, connect])
async def test_unlisted_host_is_rejected_without_a_lookup(
    form: Callable[[str], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """The answer has the remedy; the log has one line."""
    names = Names("127.0.0.1")
    async with proxied(["pypi.org"], names) as port:
        answer = await exchange(port, form("evil.test:80"))

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"evil.test:80 was refused" in answer
    assert b"--allow-host evil.test:80" in answer
    assert names.queries == []
    assert len(caplog.records) == 1
    assert "s-1 was refused a connection to evil.test:80" in caplog.text


async def test_other_port_of_an_allowed_host_is_rejected(host: Host) -> None:
    """An entry with a port allows that port only."""
    async with proxied([f"127.0.0.1:{host.port}"]) as port:
        answer = await exchange(port, connect(f"127.0.0.1:{host.port - 1}"))

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert host.requests == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"])
async def test_allowed_name_with_a_private_address_is_rejected(host: Host, address: str) -> None:
    """DNS could otherwise lead a session to the services of the machine."""
    names = Names(address)
    async with proxied([f"rebound.test:{host.port}"], names) as port:
        answer = await exchange(port, connect(f"rebound.test:{host.port}"))

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"not public" in answer
    assert names.queries == ["rebound.test"]
    assert host.requests == []


async def test_name_is_resolved_once(host: Host) -> None:
    """A second lookup could return an address that was not checked."""

    class Changing(Names):
        async def __call__(self, host: str, port: int) -> Sequence[str]:
            await super().__call__(host, port)
            return ["127.0.0.1"] if len(self.queries) == 1 else ["127.0.0.2"]

    names = Changing()
    async with proxied([f"a.test:{host.port}", f"127.0.0.1:{host.port}"], names) as port:
        answer = await exchange(port, get(f"a.test:{host.port}"))

    assert answer == ANSWER
    assert names.queries == ["a.test"]


async def test_next_address_is_tried_after_a_forbidden_or_dead_one(host: Host) -> None:
    """Forbidden and unreachable addresses are skipped."""
    names = Names("10.0.0.1", "127.0.0.2", "127.0.0.1")
    listed = [f"{one}:{host.port}" for one in ("a.test", "127.0.0.1", "127.0.0.2")]
    async with proxied(listed, names) as port:
        assert await exchange(port, get(f"a.test:{host.port}")) == ANSWER


async def test_unreachable_host_is_reported() -> None:
    """With the reason of the system; the log has no rejection."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    async with proxied([f"127.0.0.1:{closed}"]) as port:
        answer = await exchange(port, connect(f"127.0.0.1:{closed}"))

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"refused" in answer


@pytest.mark.parametrize("problem", [socket.gaierror(-2, "x"), UnicodeError("label too long")])
async def test_unknown_name_is_reported(problem: Exception) -> None:
    """The session gets an answer, and the service logs no error."""

    class Unknown(Names):
        async def __call__(self, host: str, port: int) -> Sequence[str]:
            raise problem

    async with proxied(["a.test"], Unknown()) as port:
        answer = await exchange(port, connect("a.test:443"))

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"its name is not known" in answer


async def test_slow_hosts_and_slow_lookups_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait has a limit."""
    monkeypatch.setattr(proxy, "CONNECTED_WITHIN", 0.05)

    class Slow(Names):
        async def __call__(self, host: str, port: int) -> Sequence[str]:
            never: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
            return await never

    async with proxied(["a.test"], Slow()) as port:
        answer = await exchange(port, connect("a.test:443"))

    assert answer.startswith(b"HTTP/1.1 504 ")


async def test_idle_client_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold a connection for nothing."""
    monkeypatch.setattr(proxy, "REQUEST_WITHIN", 0.05)
    async with proxied(["a.test"]) as port:
        answer = await exchange(port, b"GET http")

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_endless_head_is_rejected() -> None:
    """The service buffers a limited part of it."""
    async with proxied(["a.test"]) as port:
        answer = await exchange(port, b"GET http://a.test/ HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)

    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("tunnel_first", [True, False])
async def test_an_answer_that_breaks_off_is_a_reset(tunnel_first: bool) -> None:
    """With a clean end, an answer without a length would look complete."""
    seen = asyncio.Event()

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nbegun")
        await seen.wait()
        tunnel.Connection(reader, writer).reset()

    async with serving(break_off) as there, proxied([f"127.0.0.1:{there}"]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if tunnel_first:
            writer.write(connect(f"127.0.0.1:{there}"))
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
        writer.write(get(f"127.0.0.1:{there}"))
        await asyncio.wait_for(reader.readuntil(b"begun"), WITHIN)
        seen.set()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), WITHIN)
        writer.close()


async def test_idle_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither side has to end it."""
    monkeypatch.setattr(tunnel, "IDLE", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with serving(silent) as there, proxied([f"127.0.0.1:{there}"]) as port:
        answer = await exchange(port, connect(f"127.0.0.1:{there}"))

    assert answer.endswith(b"established\r\n\r\n")


async def test_excess_connections_wait(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are served when others have ended."""
    monkeypatch.setattr(proxy, "AT_ONCE", 1)
    async with proxied([f"127.0.0.1:{host.port}"]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect(f"127.0.0.1:{host.port}"))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
        waiting = asyncio.ensure_future(exchange(port, get(f"127.0.0.1:{host.port}")))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        writer.write(get("x"))
        assert await asyncio.wait_for(reader.read(), WITHIN) == ANSWER
        writer.close()
        assert await waiting == ANSWER


async def test_failed_accept_is_logged_and_repeated(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A temporary lack of descriptors does not stop the proxy."""
    taking, tried = proxy._accept_connection, []

    async def failing(listening: socket.socket) -> tunnel.Connection:
        tried.append(listening)
        if len(tried) == 1:
            raise OSError(24, "Too many open files")
        return await taking(listening)

    monkeypatch.setattr(proxy, "RETRY_AFTER", 0.01)
    monkeypatch.setattr(proxy, "_accept_connection", failing)
    async with proxied([f"127.0.0.1:{host.port}"]) as port:
        assert await exchange(port, get(f"127.0.0.1:{host.port}")) == ANSWER

    assert "Too many open files" in caplog.text


async def test_rejection_arrives_while_the_request_is_sent() -> None:
    """The unread rest of a request does not reset the connection."""
    async with proxied(["a.test"]) as port:
        request = get("evil.test", "Content-Length: 20000000") + bytes(20_000_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await asyncio.wait_for(writer.drain(), WITHIN)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Length: 11"], b"hello world"),
        (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: z\r\n\r\n"),
        ([], b""),
    ],
)
async def test_body_is_forwarded_and_nothing_after_it(headers: list[str], body: bytes) -> None:
    """A second request on the connection could be for another host."""
    got = bytearray()
    sent, body = body, body.replace(b";x=y", b"")  # extensions are for the proxy alone

    async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        got.extend(await reader.readexactly(len(body)))
        reading = asyncio.ensure_future(reader.read(100))
        await asyncio.wait([reading], timeout=0.1)
        got.extend(reading.result() if reading.done() else b"")
        reading.cancel()
        writer.write(ANSWER)
        writer.close()

    async with serving(host) as there, proxied([f"127.0.0.1:{there}"]) as port:
        request = get(f"127.0.0.1:{there}", *headers) + sent + get("evil.test")
        assert await exchange(port, request) == ANSWER

    assert bytes(got) == body


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Length: 11"], b"hello"),
        (["Transfer-Encoding: chunked"], b"5\r\nhel"),
        (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n"),
        (["Transfer-Encoding: chunked"], b"no number\r\n"),
        (["Transfer-Encoding: chunked"], b"0\r\n"),
    ],
)
async def test_truncated_body_ends_the_request(headers: list[str], body: bytes) -> None:
    """The host does not wait for the rest."""
    ended = asyncio.Event()

    async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    async with serving(host) as there, proxied([f"127.0.0.1:{there}"]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(f"127.0.0.1:{there}", *headers) + body)
        writer.write_eof()
        await asyncio.wait_for(ended.wait(), WITHIN)
        assert await asyncio.wait_for(reader.read(), WITHIN) == b""
        writer.close()


async def test_disconnected_client_ends_its_request() -> None:
    """The host can stop working on it."""
    ended = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    async with serving(slow) as there, proxied([f"127.0.0.1:{there}"]) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(f"127.0.0.1:{there}"))
        writer.close()
        await asyncio.wait_for(ended.wait(), WITHIN)


async def test_flood_of_rejections_does_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The last line says that later ones are not logged."""
    monkeypatch.setattr(proxy, "LOGGED_REFUSALS", 3)
    async with proxied(["a.test"]) as port:
        for _ in range(5):
            assert b"403" in await exchange(port, get("evil.test"))

    assert len(caplog.records) == 3
    assert "not logged" in caplog.records[-1].getMessage()
    assert caplog.records[0].levelno == logging.WARNING


async def test_closed_proxy_leaves_no_connection_and_no_port(host: Host) -> None:
    """Open connections are closed; close can be repeated."""
    one = Proxy(AllowedHosts.parse([f"127.0.0.1:{host.port}"]), "s-1")
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    one.serve(listening)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(connect(f"127.0.0.1:{host.port}"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
    one.close()
    one.close()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(*address)
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), WITHIN) == b""
    writer.close()


RETRY = bytes.fromhex(
    "160303002a020000260303CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C00"
)
ALERT = proxy.UNRECOGNIZED_NAME


class TlsHost:
    """A server that records the first messages of TLS, and answers each."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.got = bytearray()
        self.ended = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes; record what comes after the answers, too."""
        for answer in self.answers:
            self.got += await reader.read(10_000)
            writer.write(answer)
        self.got += await reader.read()
        writer.close()
        self.ended.set()


@asynccontextmanager
async def tunnel_to(host: TlsHost, name: str = "a.test") -> AsyncIterator[Pair]:
    """Open a tunnel that has to begin with TLS for a name."""
    async with serving(host.talk) as there:
        entries = [f"{name}:{there}", f"127.0.0.1:{there}"]
        async with proxied(entries, require_sni=True) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(connect(f"{name}:{there}"))
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
            try:
                yield reader, writer
            finally:
                writer.close()
                await asyncio.wait_for(host.ended.wait(), WITHIN)


async def test_tunnel_with_the_name_of_its_host_is_relayed() -> None:
    """Byte for byte, and what the server says, too."""
    host, hello = TlsHost(b"x" * 100), hello_of_openssl("A.test")
    async with tunnel_to(host) as (reader, writer):
        writer.write(hello)
        assert await asyncio.wait_for(reader.readexactly(100), WITHIN) == b"x" * 100
        writer.write(b"more")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), WITHIN) == b""
    assert bytes(host.got) == hello + b"more"


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (hello_of_openssl("evil.test"), "(SNI) is evil.test"),
        (hello_of_openssl(None), "(SNI) is missing"),
        (connect("evil.test:443"), "is not a TLS handshake"),
        (record(message(body(server_name(b"a.test") + extension(0xFE0D, b"x")))), "encrypted"),
    ],
)
async def test_tunnel_for_another_name_is_closed(
    first: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the alert of TLS for a wrong name; nothing reaches the host, the log says why."""
    host = TlsHost()
    async with tunnel_to(host) as (reader, writer):
        writer.write(first)
        assert await asyncio.wait_for(reader.readexactly(len(ALERT)), WITHIN) == ALERT
    assert host.got == b""
    assert why in caplog.text


async def test_tunnel_to_an_address_is_closed() -> None:
    """There is no name to compare."""
    host = TlsHost()
    async with tunnel_to(host, "127.0.0.1") as (reader, writer):
        writer.write(hello_of_openssl("127.0.0.1"))
        assert await asyncio.wait_for(reader.readexactly(len(ALERT)), WITHIN) == ALERT
    assert host.got == b""


@pytest.mark.parametrize("at_once", [True, False])
async def test_second_message_may_not_have_another_name(at_once: bool) -> None:
    """The server asks for it; the session may have sent it before."""
    first, second = hello_of_openssl("a.test"), hello_of_openssl("evil.test")
    host = TlsHost(RETRY, b"never")
    async with tunnel_to(host) as (reader, writer):
        writer.write(first + second if at_once else first)
        assert await asyncio.wait_for(reader.readexactly(len(RETRY)), WITHIN) == RETRY
        if not at_once:
            writer.write(second)
        assert await asyncio.wait_for(reader.readexactly(len(ALERT)), WITHIN) == ALERT
    assert bytes(host.got) == first


async def test_second_message_with_the_same_name_is_relayed() -> None:
    """A server asks for it when it prefers another kind of key."""
    hello = hello_of_openssl("a.test")
    host = TlsHost(RETRY, b"done")
    async with tunnel_to(host) as (reader, writer):
        writer.write(hello)
        assert await asyncio.wait_for(reader.readexactly(len(RETRY)), WITHIN) == RETRY
        writer.write(record(b"\x01", 20) + hello)
        assert await asyncio.wait_for(reader.readexactly(4), WITHIN) == b"done"
    assert bytes(host.got) == hello + record(b"\x01", 20) + hello


async def test_silent_tunnel_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a message is not enough."""
    monkeypatch.setattr(proxy, "REQUEST_WITHIN", 0.5)
    async with tunnel_to(TlsHost()) as (reader, writer):
        writer.write(hello_of_openssl("a.test")[:20])
        assert await asyncio.wait_for(reader.readexactly(len(ALERT)), WITHIN) == ALERT
