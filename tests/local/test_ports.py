"""Ports of sessions: HTTP and WebSocket requests from outside to a server inside."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import logging
import re
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


def b64(token: str) -> bytes:
    """Return what a token says, without its signature."""
    text = token.partition(".")[0]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


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
    """Return the URL of a port at which the server answers."""
    return await serve(api, await api.session())


async def echo_request(api: Api, method: str, url: str, **options: Any) -> dict[str, Any]:
    """Send a request to the server inside, and return it as it arrived."""
    async with api.http.request(method, url, **options) as answer:
        assert answer.status == 200, await answer.text()
        echo: dict[str, Any] = await answer.json(content_type=None)
        return echo


async def test_a_request_arrives_unchanged(api: Api, url: str) -> None:
    """Method, path, query, body and headers, without hop-by-hop headers."""
    headers = {
        "X-Mine": "1",
        "Accept": "text/x",
        "Connection": "keep-alive, X-Drop",
        "X-Drop": "2",
        "TE": "trailers",
    }
    echo = await echo_request(api, "PUT", f"{url}a%2Fb//c?x=%20&y", data=b"body", headers=headers)
    assert (echo["method"], echo["path"], echo["size"]) == ("PUT", "/a%2Fb//c?x=%20&y", 4)
    sent = dict(echo["headers"])
    assert (sent["x-mine"], sent["accept"]) == ("1", "text/x")
    assert not {"x-drop", "te"} & set(sent)
    outside = api.service.endpoint.removeprefix("http://")
    assert (sent["host"], sent["x-forwarded-host"]) == (outside, outside)
    assert url.endswith(sent["x-forwarded-prefix"] + "/")


async def test_compressed_bodies_stay_compressed(api: Api, url: str) -> None:
    """The proxy does not decode them, whatever the header says."""
    packed = gzip.compress(b"body" * 100)
    for body in (packed, b"no gzip at all"):
        echo = await echo_request(api, "PUT", url, data=body, headers={"Content-Encoding": "gzip"})
        assert echo["md5"] == hashlib.md5(body).hexdigest()


async def test_no_header_is_added(api: Api, url: str) -> None:
    """The proxy's client would add its own by default."""
    skipped = ("Accept", "Accept-Encoding", "User-Agent")
    async with api.http.get(url, skip_auto_headers=skipped) as answer:
        sent = dict((await answer.json(content_type=None))["headers"])
    assert not {"accept", "accept-encoding", "user-agent", "content-type"} & set(sent)


async def test_an_answer_arrives_unchanged(api: Api, url: str) -> None:
    """Repeated headers stay separate; compressed content stays compressed."""
    async with api.http.get(url) as answer:
        assert answer.headers.getall("X-Twice") == ["a=1", "b=2"]
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
    """Twenty megabytes down and seventy up, more than an action may have."""
    async with api.http.get(f"{url}large") as answer:
        assert len(await answer.read()) == 320 * 65536
    piece, pieces = bytes(range(256)) * 4096, 70

    async def many() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield piece

    echo = await echo_request(api, "POST", url, data=many())
    assert (echo["size"], echo["md5"]) == (
        pieces * len(piece),
        hashlib.md5(piece * pieces).hexdigest(),
    )


async def test_bodies_stream_in_both_directions(api: Api, url: str) -> None:
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
async def test_redirects_of_the_server_stay_at_the_port(
    api: Api, url: str, to: str, prefixed: bool
) -> None:
    """Other redirects are unchanged."""
    async with api.http.get(f"{url}away?{to}", allow_redirects=False) as answer:
        place = answer.headers["Location"]
    prefix = url.removeprefix(api.service.endpoint)
    assert place == (f"{prefix}{to[1:]}" if prefixed else to)


async def test_absolute_redirects_stay_at_the_port(api: Api, url: str) -> None:
    """With or without the path prefix of the link."""
    for to in (f"{api.service.endpoint}/next", f"{url}next"):
        async with api.http.get(f"{url}away?{to}", allow_redirects=False) as answer:
            assert answer.headers["Location"] == f"{url}next"


async def test_a_truncated_answer_is_detected(api: Api, url: str) -> None:
    """Half a file is never taken for a whole one."""
    with pytest.raises(aiohttp.ClientError):
        async with api.http.get(f"{url}cut", timeout=aiohttp.ClientTimeout(20)) as answer:
            await answer.read()


async def test_a_websocket_carries_texts_and_bytes_of_any_size(api: Api, url: str) -> None:
    """With the subprotocol that both ends support."""
    address = f"ws{url.removeprefix('http')}ws"
    async with api.http.ws_connect(address, protocols=("other", "chat"), max_msg_size=0) as line:
        assert line.protocol == "chat"
        await line.send_str("汉")
        assert await line.receive_str() == "汉"
        large = bytes(range(256)) * 20_000
        await line.send_bytes(large)
        assert await line.receive_bytes() == large


async def test_the_close_code_is_forwarded(api: Api, url: str) -> None:
    """A broken connection is not a proper close."""
    address = f"ws{url.removeprefix('http')}ws"
    for word, code in (("bye", 4001), ("cut", 1001)):
        async with api.http.ws_connect(address) as line:
            await line.send_str(word)
            message = await asyncio.wait_for(line.receive(), 10)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, code)


async def test_a_server_without_websocket_fails_the_handshake(api: Api, url: str) -> None:
    """At once."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await api.http.ws_connect(f"ws{url.removeprefix('http')}echo")
    assert caught.value.status == 502


async def test_a_port_without_a_server_is_a_bad_gateway(api: Api) -> None:
    """For HTTP and WebSocket."""
    session = await api.session()
    async with api.http.get(await link(api, session)) as answer:
        assert answer.status == 502
        assert "Nothing answers on port 30100" in (await answer.json())["Message"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await api.http.ws_connect(await link(api, session, "wss"))
    assert caught.value.status == 502


async def test_a_link_for_websockets_begins_with_ws(api: Api) -> None:
    """So does one without a protocol."""
    session = await api.session()
    body = await api.ok("GetLink", SessionId=session, Port=30199)
    assert body["Data"]["Url"].startswith("ws://127.0.0.1:")
    assert body["Data"]["Url"] == await link(api, session, "wss", 30199)


PER_ORIGIN = {"Set-Cookie", "Service-Worker-Allowed", "Clear-Site-Data"}
NEVER = {"Alt-Svc", "Strict-Transport-Security", "WWW-Authenticate"}
SECRETS = {"Cookie": "theirs=1", "Authorization": "Basic eDp5"}


async def page_of(api: Api, url: str) -> tuple[str, dict[str, str]]:
    """Return what a browser needs for a link: the address to connect to, and the Host header."""
    async with api.http.get(url, headers={"Sec-Fetch-Site": "none"}) as answer:
        assert answer.status == 403
        found = re.search(r'<a href="http://([^/"]+)/">', await answer.text())
    assert found is not None
    return f"{api.service.endpoint}/", {"Host": found[1]}


async def test_a_browser_is_led_to_a_host_of_its_own(api: Api, url: str) -> None:
    """One for each port, which browsers resolve to this machine; path and query are kept."""
    for name, value in (
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ):
        async with api.http.get(f'{url}a"b?c=1&d', headers={name: value}) as answer:
            text = await answer.text()
            assert (answer.status, answer.content_type) == (403, "text/html")
            assert answer.headers["Cache-Control"] == "no-store"
        assert re.search(
            r'href="http://30100-s-\w{20}-\w{32}\.localhost:\d+/a%22b\?c=1&amp;d"', text
        )
    address, host = await page_of(api, url)
    echo = await echo_request(api, "GET", f"{address}a%2Fb?c", headers=host)
    assert echo["path"] == "/a%2Fb?c"
    assert dict(echo["headers"])["host"] == host["Host"]
    assert "x-forwarded-prefix" not in dict(echo["headers"])
    _, other = await page_of(api, await link(api, await api.session()))
    assert other != host


async def test_programs_are_not_taken_for_browsers(api: Api, url: str) -> None:
    """The fetch of Node.js sends a header of browsers, some WebSocket clients send an origin."""
    for headers in ({"Sec-Fetch-Mode": "cors"}, {"Origin": api.service.endpoint}):
        await echo_request(api, "GET", url, headers=headers)


async def test_a_link_for_programs_passes_no_credentials(api: Api, url: str) -> None:
    """Neither to the session nor to the client."""
    sent = dict((await echo_request(api, "GET", url, headers=SECRETS))["headers"])
    assert not {"cookie", "authorization"} & set(sent)
    async with api.http.get(f"{url}origin") as answer:
        assert not (PER_ORIGIN | NEVER) & set(answer.headers)


async def test_a_link_for_browsers_has_cookies_of_its_own(api: Api, url: str) -> None:
    """Cookies are for that host alone; an address of another server is never passed on."""
    address, host = await page_of(api, url)
    echo = await echo_request(api, "GET", address, headers={**host, **SECRETS})
    sent = dict(echo["headers"])
    assert sent["cookie"] == "theirs=1"
    assert "authorization" not in sent
    async with api.http.get(f"{address}origin", headers=host) as answer:
        assert not NEVER & set(answer.headers)
        assert set(answer.headers) >= PER_ORIGIN
        assert answer.headers["Referrer-Policy"] == "same-origin"
        cookies = answer.headers.getall("Set-Cookie")
    assert cookies == ["a=1; Path=/; HttpOnly", "b=2;Path=/", "Domain=3"]


async def test_pages_of_a_session_may_call_its_own_ports_only(api: Api, url: str) -> None:
    """Neither actions nor ports of other sessions."""
    address, host = await page_of(api, url)
    _, stranger = await page_of(api, await link(api, await api.session()))
    session = json.loads(b64(url.split("/")[4]))["session"]
    _, sibling = await page_of(api, await link(api, session, port=30101))
    for own in (host, sibling):
        origin = {"Origin": f"http://{own['Host']}"}
        echo = await echo_request(api, "POST", address, data=b"x", headers={**host, **origin})
        assert dict(echo["headers"])["origin"] == origin["Origin"]
    for foreign in (
        f"http://{stranger['Host']}",
        "http://evil.example",
        "null",
        f"https://{host['Host']}",
        api.service.endpoint,
    ):
        async with api.http.post(address, headers={**host, "Origin": foreign}) as answer:
            assert answer.status == 403, foreign
    origin = {"Origin": f"http://{host['Host']}"}
    async with api.http.post(api.service.endpoint, data=b"x", headers=origin) as answer:
        assert answer.status == 403


async def test_a_websocket_of_a_page_needs_its_origin(api: Api, url: str) -> None:
    """A page of another site must not reach the server inside."""
    address, host = await page_of(api, url)
    address = f"ws{address.removeprefix('http')}ws"
    own = {**host, "Origin": f"http://{host['Host']}"}
    async with api.http.ws_connect(address, headers=own) as line:
        await line.send_str("x")
        assert await line.receive_str() == "x"
    for url_, headers in (
        (address, {**host, "Origin": "http://evil.example"}),
        (f"ws{url.removeprefix('http')}ws", {"Origin": "http://evil.example"}),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await api.http.ws_connect(url_, headers=headers)
        assert caught.value.status == 403


@pytest.mark.parametrize("name", ["rebound.example", "", "x.y.localhost", "127.0.0.1.example"])
async def test_a_name_that_leads_here_is_not_enough(api: Api, url: str, name: str) -> None:
    """A web page could make its own name lead to this machine."""
    for address in (url, f"{api.service.endpoint}/healthz"):
        async with api.http.get(address, headers={"Host": name}) as answer:
            assert answer.status == 421


async def test_no_forged_host_is_accepted(api: Api, url: str) -> None:
    """The label is signed for one session and one port."""
    address, host = await page_of(api, url)
    label, rest = host["Host"].split(".", 1)
    session = await api.session()
    for forged in (
        f"{label[:-1]}{'1' if label[-1] == '0' else '0'}",
        label.replace("30100", "30101"),
        f"30100-{session}-{label.rpartition('-')[2]}",
        "x",
        "-",
    ):
        async with api.http.get(address, headers={"Host": f"{forged}.{rest}"}) as answer:
            assert answer.status == 403, forged
    upper = {"Host": f"{label.upper()}.{rest}"}
    await echo_request(api, "GET", address, headers=upper)


async def test_a_link_for_browsers_ends_with_its_session(api: Api) -> None:
    """As that for programs."""
    session = await api.session()
    address, host = await page_of(api, await serve(api, session))
    await api.released(session)
    async with api.http.get(address, headers=host) as answer:
        assert answer.status == 404


async def test_a_link_ends_with_its_session(api: Api) -> None:
    """The token names session and port; altered tokens are rejected."""
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


async def test_a_paused_session_is_an_error_at_once(api: Api) -> None:
    """The request does not wait for the resume."""
    session = await api.session()
    url = await serve(api, session)
    await api.ok("PauseSessionAsync", SessionId=session)
    await api.reached(session, "PAUSED")
    async with api.http.get(url) as answer:
        assert answer.status == 409
        assert "PAUSED" in await answer.text()


@pytest.mark.parametrize("port", [80, 30099, 30200, 0, -1])
async def test_a_port_out_of_range_is_rejected(api: Api, port: int) -> None:
    """With the message that is documented."""
    session = await api.session()
    _, body = await api.call("GetLink", SessionId=session, ProtocolType="https", Port=port)
    assert body["Message"] == (
        f"Invalid port value: {port}. Port must be an integer in the range [30100, 30199]."
    )


@pytest.mark.parametrize("fields", [{"ProtocolType": "http", "Port": PORT}, {}, {"Port": "x"}])
async def test_other_links_are_rejected(api: Api, fields: dict[str, Any]) -> None:
    """Plain ``http``, and links to a browser."""
    assert await api.code("GetLink", SessionId=await api.session(), **fields) == "InvalidParameter"


async def test_a_link_is_in_no_log_line(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Neither after successes nor after failures."""
    caplog.set_level(logging.DEBUG)
    session = await api.session()
    url = await link(api, session)
    async with api.http.get(url) as answer:
        assert answer.status == 502
    token = url.split("/")[4]
    mine = [record for record in caplog.records if not record.name.startswith("asyncio")]
    assert not [record for record in mine if token in json.dumps(record.getMessage())]
