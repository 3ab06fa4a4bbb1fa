"""Ports of sessions: what is served inside is reached from outside as it is."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")

PORT = 30100
SERVER = Path(__file__).with_name("port_server.py").read_text("utf-8")


async def link(api: Api, session: str, kind: str = "https", port: int = PORT) -> str:
    """Return the URL of a port."""
    body = await api.ok("GetLink", SessionId=session, ProtocolType=kind, Port=port)
    return str(body["Data"]["Url"])


async def serve(api: Api, session: str) -> str:
    """Start the server inside, and return the URL that leads there once it answers."""
    await api.tool(session, "write_file", path="port_server.py", content=SERVER)
    await api.sh(session, f"nohup python3 port_server.py {PORT} > log 2>&1 &")
    url = await link(api, session)

    async def answers() -> bool:
        async with api.http.get(url) as answer:
            return answer.status == 200

    await api.until(answers)
    return url


@pytest.fixture
async def url(api: Api) -> str:
    """The URL of a port at which the server answers."""
    return await serve(api, await api.session())


async def asked(api: Api, method: str, url: str, **options: Any) -> dict[str, Any]:
    """Ask the server inside, and return what it was asked."""
    async with api.http.request(method, url, **options) as answer:
        assert answer.status == 200, await answer.text()
        said: dict[str, Any] = await answer.json(content_type=None)
        return said


async def test_a_request_arrives_as_it_was_sent(api: Api, url: str) -> None:
    """Method, path, query, body and headers, but for those of one connection."""
    headers = {
        "X-Mine": "1",
        "Accept": "text/x",
        "Connection": "keep-alive, X-Drop",
        "X-Drop": "2",
        "TE": "trailers",
    }
    said = await asked(api, "PUT", f"{url}a%2Fb//c?x=%20&y", data=b"body", headers=headers)
    assert (said["method"], said["path"], said["size"]) == ("PUT", "/a%2Fb//c?x=%20&y", 4)
    sent = dict(said["headers"])
    assert (sent["x-mine"], sent["accept"]) == ("1", "text/x")
    assert not {"x-drop", "te"} & set(sent)
    outside = api.service.endpoint.removeprefix("http://")
    assert (sent["host"], sent["x-forwarded-host"]) == (outside, outside)
    assert url.endswith(sent["x-forwarded-prefix"] + "/")


async def test_what_is_packed_arrives_packed(api: Api, url: str) -> None:
    """Nobody unpacks it on the way, whether it is what its header says or not."""
    packed = gzip.compress(b"body" * 100)
    for body in (packed, b"no gzip at all"):
        said = await asked(api, "PUT", url, data=body, headers={"Content-Encoding": "gzip"})
        assert said["md5"] == hashlib.md5(body).hexdigest()


async def test_nothing_is_added_that_was_not_asked(api: Api, url: str) -> None:
    """What our own client would say of itself is not said."""
    skipped = ("Accept", "Accept-Encoding", "User-Agent")
    async with api.http.get(url, skip_auto_headers=skipped) as answer:
        sent = dict((await answer.json(content_type=None))["headers"])
    assert not {"accept", "accept-encoding", "user-agent", "content-type"} & set(sent)


async def test_an_answer_arrives_as_it_was_given(api: Api, url: str) -> None:
    """Several headers of one name stay several; what is packed stays packed."""
    async with api.http.get(url) as answer:
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert "Keep-Alive" not in answer.headers
    async with (
        aiohttp.ClientSession(auto_decompress=False) as plain,
        plain.get(f"{url}zipped") as answer,
    ):
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.read() == b"no gzip at all"
    async with api.http.head(url) as answer:
        assert int(answer.headers["Content-Length"]) > 100
        assert await answer.read() == b""


async def test_large_bodies_pass_both_ways(api: Api, url: str) -> None:
    """Twenty megabytes down, seventy up: more than an action may have."""
    async with api.http.get(f"{url}large") as answer:
        assert len(await answer.read()) == 320 * 65536
    piece, pieces = bytes(range(256)) * 4096, 70

    async def many() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield piece

    said = await asked(api, "POST", url, data=many())
    assert (said["size"], said["md5"]) == (
        pieces * len(piece),
        hashlib.md5(piece * pieces).hexdigest(),
    )


async def test_both_ways_flow_at_the_same_time(api: Api, url: str) -> None:
    """Each line is answered before the next one is sent."""
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def sent() -> AsyncIterator[bytes]:
        while (line := await lines.get()) is not None:
            yield line

    lines.put_nowait(b"one\n")
    async with api.http.post(f"{url}lines", data=sent()) as answer:
        assert await answer.content.readline() == b"heard one\n"
        lines.put_nowait(b"two\n")
        assert await answer.content.readline() == b"heard two\n"
        lines.put_nowait(None)
        assert await answer.content.read() == b""


@pytest.mark.parametrize(
    ("to", "prefixed"),
    [
        ("/next?a", True),
        ("next", False),
        ("//other.example/x", False),
        ("https://other.example/x", False),
    ],
)
async def test_a_redirect_stays_at_the_port_and_leaves_others_alone(
    api: Api, url: str, to: str, prefixed: bool
) -> None:
    """Paths of the server inside become paths of the link."""
    async with api.http.get(f"{url}away?{to}", allow_redirects=False) as answer:
        place = answer.headers["Location"]
    prefix = url.removeprefix(api.service.endpoint)
    assert place == (f"{prefix}{to[1:]}" if prefixed else to)


async def test_a_redirect_to_the_host_that_was_asked_stays_at_the_port(api: Api, url: str) -> None:
    """Servers that put the whole URL are understood, and those that know the prefix."""
    for to in (f"{api.service.endpoint}/next", f"{url}next"):
        async with api.http.get(f"{url}away?{to}", allow_redirects=False) as answer:
            assert answer.headers["Location"] == f"{url}next"


async def test_an_answer_that_breaks_off_is_seen_to_break_off(api: Api, url: str) -> None:
    """Half a file is never taken for a whole one."""
    with pytest.raises(aiohttp.ClientError):
        async with api.http.get(f"{url}cut", timeout=aiohttp.ClientTimeout(20)) as answer:
            await answer.read()


async def test_a_websocket_carries_texts_and_bytes_of_any_size(api: Api, url: str) -> None:
    """With the protocol that both ends speak."""
    address = f"ws{url.removeprefix('http')}ws"
    async with api.http.ws_connect(address, protocols=("other", "chat"), max_msg_size=0) as line:
        assert line.protocol == "chat"
        await line.send_str("汉")
        assert await line.receive_str() == "汉"
        large = bytes(range(256)) * 20_000
        await line.send_bytes(large)
        assert await line.receive_bytes() == large


async def test_the_reason_of_a_close_comes_through(api: Api, url: str) -> None:
    """A line that just breaks is no proper close."""
    address = f"ws{url.removeprefix('http')}ws"
    for word, code in (("bye", 4001), ("cut", 1001)):
        async with api.http.ws_connect(address) as line:
            await line.send_str(word)
            message = await asyncio.wait_for(line.receive(), 10)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, code)


async def test_a_server_that_speaks_no_websocket_says_so(api: Api, url: str) -> None:
    """And the handshake fails, without a wait."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await api.http.ws_connect(f"ws{url.removeprefix('http')}echo")
    assert caught.value.status == 502


async def test_a_port_where_nobody_listens_is_a_bad_gateway(api: Api) -> None:
    """The answer says so, for HTTP and WebSocket."""
    session = await api.session()
    async with api.http.get(await link(api, session)) as answer:
        assert answer.status == 502
        assert "Nothing answers on port 30100" in (await answer.json())["Message"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await api.http.ws_connect(await link(api, session, "wss"))
    assert caught.value.status == 502


async def test_a_link_for_websockets_begins_with_ws(api: Api) -> None:
    """That is also what one without a protocol is for."""
    session = await api.session()
    body = await api.ok("GetLink", SessionId=session, Port=30199)
    assert body["Data"]["Url"].startswith("ws://127.0.0.1:")
    assert body["Data"]["Url"] == await link(api, session, "wss", 30199)


async def test_pages_of_a_session_may_ask_its_own_port_and_no_action(api: Api, url: str) -> None:
    """What a page sends has an origin."""
    origin = {"Origin": api.service.endpoint}
    async with api.http.post(url, data=b"x", headers=origin) as answer:
        assert dict((await answer.json(content_type=None))["headers"])["origin"]
    async with api.http.post(api.service.endpoint, data=b"x", headers=origin) as answer:
        assert answer.status == 403


async def test_a_link_ends_with_its_session_and_leads_to_no_other(api: Api) -> None:
    """The token names both; what is not signed is refused."""
    session, other = await api.session(), await api.session()
    url = await serve(api, session)
    async with api.http.get(await link(api, other)) as answer:
        assert answer.status == 502
    for wrong in (
        f"{url[:-2]}{'1' if url[-2] == '0' else '0'}/",
        f"{api.service.endpoint}/port/x/",
        url.replace("/port/", "/port/."),
    ):
        async with api.http.get(wrong) as answer:
            assert answer.status == 403
    await api.released(session)
    async with api.http.get(url) as answer:
        assert answer.status == 404


async def test_a_paused_session_answers_at_once_that_it_is_paused(api: Api) -> None:
    """And not when it is resumed."""
    session = await api.session()
    url = await serve(api, session)
    await api.ok("PauseSessionAsync", SessionId=session)
    await api.reached(session, "PAUSED")
    async with api.http.get(url) as answer:
        assert answer.status == 409
        assert "PAUSED" in await answer.text()


@pytest.mark.parametrize("port", [80, 30099, 30200, 0, -1])
async def test_a_port_out_of_range_is_refused(api: Api, port: int) -> None:
    """In the words that the documentation has."""
    session = await api.session()
    _, body = await api.call("GetLink", SessionId=session, ProtocolType="https", Port=port)
    assert body["Message"] == (
        f"Invalid port value: {port}. Port must be an integer in the range [30100, 30199]."
    )


@pytest.mark.parametrize("fields", [{"ProtocolType": "http", "Port": PORT}, {}, {"Port": "x"}])
async def test_other_links_are_refused(api: Api, fields: dict[str, Any]) -> None:
    """Plain ``http``, and those that lead to a browser."""
    assert await api.code("GetLink", SessionId=await api.session(), **fields) == "InvalidParameter"


async def test_a_link_is_in_no_log_line(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Neither when all is well nor when nothing answers."""
    caplog.set_level(logging.DEBUG)
    session = await api.session()
    url = await link(api, session)
    async with api.http.get(url) as answer:
        assert answer.status == 502
    token = url.split("/")[4]
    mine = [record for record in caplog.records if not record.name.startswith("asyncio")]
    assert not [record for record in mine if token in json.dumps(record.getMessage())]
