"""What clients without a credential can do: little, and not for long."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock
from urllib.parse import parse_qsl, quote_plus, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from tests.local.conftest import DEADLINE, Api
from tests.local.fuzzing import fuzz

from agentbay_local import LocalService
from agentbay_local.http import bodies, connections, listener, middleware
from agentbay_local.http.connections import CONNECTIONS, Connections, credential_shown
from agentbay_local.protocol.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RIGHT = "Bearer the-key"


class Raw:
    """A connection that sends what a test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def answer(self) -> tuple[int, str]:
        """Return status and body of the next answer."""

        async def read() -> tuple[int, str]:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            body = await self.reader.readexactly(int(lines["content-length"]))
            return int(head.split()[1]), body.decode()

        return await asyncio.wait_for(read(), DEADLINE)

    async def ended(self) -> bool:
        """Wait until the service closes the connection, whatever it sends before."""
        with suppress(ConnectionError):
            await asyncio.wait_for(self.reader.read(), DEADLINE)
        return True


@asynccontextmanager
async def raw(service: LocalService) -> AsyncIterator[Raw]:
    """Open a connection."""
    where = urlsplit(service.endpoint)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


@pytest.fixture
async def own_api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """Return a service of this test alone, so that connections of others do not count."""
    monkeypatch.setattr(listener, "_LINGER", 0.1)
    async with LocalService(api_key="the-key") as running, aiohttp.ClientSession() as http:
        yield Api(http, running)


def head(path: str = "/?Action=ListSession", length: int = 1_000_000, *lines: str) -> bytes:
    """Return the head of a request."""
    first = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}", *lines]
    return "\r\n".join([*first, "", ""]).encode()


PATHS = [
    ("POST", "/?Action=ListSession", 400, "Authorization: Bearer wrong"),
    ("POST", "/?Action=ListSession&Authorization=Bearer+wrong", 400, "X: y"),
    ("POST", "/_control/faults", 403, "X: y"),
    ("POST", "/_control/clock", 403, "Authorization: Bearer wrong"),
    ("POST", "/link/s-1/callTool", 401, "X-Access-Token: wrong"),
    ("PUT", "/files/wrong/a", 403, "X: y"),
    ("POST", "/port/wrong/a", 403, "X: y"),
]


@pytest.mark.parametrize(("method", "path", "status", "line"), PATHS)
async def test_a_wrong_credential_is_refused_before_the_body(
    own_api: Api, method: str, path: str, status: int, line: str
) -> None:
    """The body never comes; the connection is closed soon after the answer."""
    async with raw(own_api.service) as one:
        one.send(head(path, 1_000_000, line).replace(b"POST", method.encode(), 1))
        found, body = await one.answer()
        assert found == status, body
        assert await one.ended()


async def test_a_wrong_key_in_a_form_is_refused_before_its_end(own_api: Api) -> None:
    """It is complete when the next field begins."""
    async with raw(own_api.service) as one:
        one.send(head() + b"Authorization=Bearer+wrong&Labels=")
        status, body = await one.answer()
    assert (status, json.loads(body)["Code"]) == (400, "NOT_LOGIN")


async def test_the_beginning_of_a_key_is_not_refused(own_api: Api) -> None:
    """It may arrive in pieces, after other fields whose values resemble it."""
    form = b"Labels=xAuthorization=1&Authorization=Bearer+the-key&MaxResults=3"
    async with raw(own_api.service) as one:
        one.send(head(length=len(form)))
        for byte in form:
            one.send(bytes([byte]))
            await asyncio.sleep(0)
        status, body = await one.answer()
    # Only clients with the key learn that the labels are not JSON.
    assert (status, json.loads(body)["Code"]) == (400, "InvalidParameter")


async def test_a_key_in_the_header_counts_whatever_the_form_says(own_api: Api) -> None:
    """Credentials of another scheme, which HTTP clients add by themselves, are ignored."""
    url = f"{own_api.service.endpoint}/?Action=ListSession"
    for header, form, status in (
        (RIGHT, "Bearer wrong", 200),
        ("Bearer wrong", RIGHT, 400),
        ("Basic eDp5", RIGHT, 200),
    ):
        async with own_api.http.post(
            url, data={"Authorization": form}, headers={"Authorization": header}
        ) as answer:
            assert answer.status == status


async def test_a_form_without_a_key_is_read_up_to_a_limit(
    own_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer says where to put the key."""
    monkeypatch.setattr(bodies, "UNAUTHENTICATED_LIMIT", 100_000)
    async with raw(own_api.service) as one:
        one.send(head() + b"Args=" + b"x" * 200_000)
        status, body = await one.answer()
    assert status == 413
    assert "send it first, or in the header Authorization" in body


async def test_arguments_may_come_before_the_key(own_api: Api) -> None:
    """The official client sorts the fields."""
    session = await own_api.session()
    form = {"Args": "x" * 1_000_000, "Authorization": RIGHT, "SessionId": session}
    async with own_api.http.post(
        f"{own_api.service.endpoint}/?Action=GetSession",
        data="&".join(f"{name}={quote_plus(value)}" for name, value in form.items()),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    ) as answer:
        assert (await answer.json())["Data"]["SessionId"] == session


async def test_unfinished_forms_of_strangers_make_room(
    own_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All together they hold a limited number of bytes; the oldest has to go."""
    monkeypatch.setattr(connections, "UNAUTHENTICATED_BYTES", 150_000)
    async with raw(own_api.service) as first, raw(own_api.service) as second:
        first.send(head() + b"x" * 100_000)
        second.send(head() + b"y" * 100_000)
        status, body = await first.answer()
        assert (status, json.loads(body)["Code"]) == (503, "ServiceUnavailable")
        assert await first.ended()
        second.send(b"&Authorization=Bearer+the-key&z=")
        assert await own_api.session()
        second.send(b"z" * (1_000_000 - 100_000 - 32))
        assert (await second.answer())[0] == 200


async def test_idle_connections_of_strangers_make_room(
    own_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is closed with an answer; connections that have shown the key stay."""
    monkeypatch.setattr(connections, "_MOST_UNAUTHENTICATED", 3)
    async with (
        raw(own_api.service) as known,
        raw(own_api.service) as first,
        raw(own_api.service),
    ):
        known.send(head("/?Action=ListSession", 0, f"Authorization: {RIGHT}"))
        assert (await known.answer())[0] == 200
        async with raw(own_api.service), raw(own_api.service), raw(own_api.service):
            assert (await first.answer())[0] == 503
            known.send(head("/?Action=ListSession", 0, f"Authorization: {RIGHT}"))
            assert (await known.answer())[0] == 200


async def test_excess_connections_get_an_answer(
    own_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When all others have shown the key, nobody has to go."""

    async def authenticated(one: Raw) -> None:
        one.send(head("/?Action=ListSession", 0, f"Authorization: {RIGHT}"))
        assert (await one.answer())[0] == 200

    monkeypatch.setattr(connections, "_most_connections", lambda: 2)
    async with LocalService(api_key="the-key") as service:
        async with raw(service) as first:
            await authenticated(first)
            async with raw(service) as second:
                await authenticated(second)
                async with raw(service) as third:
                    assert (await third.answer())[0] == 503
                    assert await third.ended()
                await authenticated(first)

        async def has_room() -> bool:
            async with raw(service) as one:
                one.send(head("/?Action=ListSession", 0, f"Authorization: {RIGHT}"))
                return (await one.answer())[0] == 200

        await own_api.until(has_room)


@pytest.mark.slow
async def test_a_connection_without_a_credential_ends_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it sends nothing, half a head or half a form; one with a credential stays."""
    monkeypatch.setattr(connections, "AUTHENTICATE_WITHIN", 1.0)
    async with LocalService(api_key="the-key") as service, raw(service) as known:
        known.send(head("/?Action=ListSession", 0, f"Authorization: {RIGHT}"))
        assert (await known.answer())[0] == 200
        for sent in (b"", b"POST / HT", head() + b"Labels="):
            async with raw(service) as one:
                one.send(sent)
                assert (await one.answer())[0] == 408
                assert await one.ended()
        known.send(head("/?Action=ListSession", 0, f"Authorization: {RIGHT}"))
        assert (await known.answer())[0] == 200


async def test_a_body_that_stops_is_given_up(own_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key, too."""
    monkeypatch.setattr(bodies, "BODY_IDLE", 0.05)
    async with raw(own_api.service) as one:
        one.send(head("/?Action=ListSession", 1_000_000, f"Authorization: {RIGHT}") + b"x")
        assert (await one.answer())[0] == 408


async def test_an_endless_head_is_refused(own_api: Api) -> None:
    """Each of its lines is short."""
    async with raw(own_api.service) as one:
        line = b"X-%d: " + b"y" * 1000 + b"\r\n"
        one.send(b"POST / HTTP/1.1\r\n" + b"".join(line % n for n in range(100)))
        status, body = await one.answer()
    assert (status, "32768 bytes" in body) == (431, True)


@pytest.mark.slow
async def test_forms_of_strangers_end_with_their_connections(
    own_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gets an answer; a form that waits for its turn must not be kept."""
    monkeypatch.setattr(connections, "_TURN", 3600.0)
    # The service does not read meanwhile, so it sees the end of a connection only then.
    monkeypatch.setattr(connections, "AUTHENTICATE_WITHIN", 5.0)
    # Other services of this process may be at work for other tests.
    others = set(middleware._running)
    for _ in range(3):
        async with raw(own_api.service) as one:
            one.send(head() + b"x" * 100_000)
            await one.writer.drain()
            assert await own_api.session()

    async def nothing_left() -> bool:
        return not [task for task in middleware._running - others if not task.done()]

    await own_api.until(nothing_left)


async def test_health_closes_the_connection(own_api: Api) -> None:
    """It needs no key, so it must not hold one."""
    async with own_api.http.get(f"{own_api.service.endpoint}/healthz") as answer:
        assert answer.headers["Connection"] == "close"


async def test_closed_connections_are_forgotten() -> None:
    """Their bytes no longer count."""
    all_of_them, closed = Connections(10), asyncio.Event()

    class Watched(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            closed.set()

    factory = all_of_them.protocol_factory(Mock(side_effect=Watched))
    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    async with listening:
        _, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(b"x")
        writer.close()
        await asyncio.wait_for(closed.wait(), DEADLINE)
    assert (len(all_of_them), all_of_them.unauthenticated_bytes) == (0, 0)


async def test_authenticated_connections_that_have_closed_make_room() -> None:
    """Nobody tells of their ends."""
    all_of_them, closed = Connections(1), asyncio.Event()
    made: asyncio.Queue[asyncio.BaseTransport] = asyncio.Queue()

    class Watched(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.put_nowait(transport)

        def connection_lost(self, error: Exception | None) -> None:
            closed.set()

    factory = all_of_them.protocol_factory(Mock(side_effect=Watched))
    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    async with listening:
        _, first = await asyncio.open_connection(*listening.sockets[0].getsockname())
        first.write(b"x")
        transport = await asyncio.wait_for(made.get(), DEADLINE)
        all_of_them.trust(transport)
        first.close()
        await asyncio.wait_for(closed.wait(), DEADLINE)
        _, second = await asyncio.open_connection(*listening.sockets[0].getsockname())
        second.write(b"y")
        assert await asyncio.wait_for(made.get(), DEADLINE) is not transport
        second.close()


ENCODED = st.lists(
    st.sampled_from(["&", "=", "+", "%", "%4", "%41", "%E6%B1%89", "%e6", "%zz", "%25", "a", "b"]),
    max_size=30,
).map("".join)


@fuzz(200)
@given(ENCODED, st.integers(3, 40))
def test_forms_are_decoded_as_usual(text: str, size: int) -> None:
    """As the standard library does, however long the slices are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "_SLICE", size)
        fields = asyncio.run(bodies.decode_form(bytearray(text.encode())))
    assert fields == dict(parse_qsl(text, keep_blank_values=True))


@fuzz(200)
@given(ENCODED, ENCODED, st.sampled_from(["right", "wrong", "", "%72ight", "ri"]), st.data())
def test_the_key_is_found_wherever_it_is(
    before: str, after: str, key: str, data: st.DataObject
) -> None:
    """And however the form is cut into pieces; a form without it is not decoded."""
    form = f"{before}&Authorization={key}&{after}".encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(form)), max_size=5)))
    pieces = [form[a:b] for a, b in zip([0, *cuts], [*cuts, len(form)], strict=True)]
    given_key = dict(parse_qsl(f"k={key}", keep_blank_values=True))["k"]
    assert asyncio.run(_accepted(pieces)) is (given_key == "right")


async def _accepted(pieces: list[bytes]) -> bool:
    content = aiohttp.StreamReader(Mock(_reading_paused=False), 2**16)
    app = web.Application()
    app[CONNECTIONS] = Connections(1)
    request = make_mocked_request("POST", "/", app=app, payload=content)

    def check(given: str) -> None:
        if given != "right":
            raise ApiError("NOT_LOGIN", "no")

    async def send() -> None:
        for piece in pieces:
            content.feed_data(piece)
            await asyncio.sleep(0)
        content.feed_eof()

    shown = asyncio.Event()
    credential_shown.set(shown)
    sending = asyncio.ensure_future(send())
    try:
        fields: Any = await bodies.read_form(request, check)
    except ApiError:
        return False
    finally:
        await sending
    assert shown.is_set()
    return "Authorization" in fields
