"""Files to and from a URL, carried by the session itself and only where it may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from tests.local.conftest import Api

from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.usefixtures("sandboxed")

SECRET = "signature=secret"


class Shop:
    """A store of files behind signed URLs."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"given": bytes(range(256)) * 1000}
        self.endpoint = ""

    def url(self, name: str) -> str:
        """Return the URL of a file."""
        return f"{self.endpoint}/{name}?{SECRET}"

    async def put(self, request: web.Request) -> web.Response:
        """Keep a file."""
        self.files[request.match_info["name"]] = await request.read()
        return web.Response()

    async def cut(self, request: web.Request) -> web.StreamResponse:
        """Give less of a file than was announced."""
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async def get(self, request: web.Request) -> web.Response:
        """Give a file."""
        content = self.files.get(request.match_info["name"])
        return web.Response(status=404) if content is None else web.Response(body=content)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A store that listens on this machine."""
    shop = Shop()
    app = web.Application(client_max_size=2**26)
    app.router.add_put("/{name}", shop.put)
    app.router.add_get("/cut", shop.cut)
    app.router.add_get("/{name}", shop.get)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    # Not 127.0.0.1, which to a session is the session itself.
    await web.TCPSite(runner, "127.0.0.2", 0).start()
    shop.endpoint = f"http://127.0.0.2:{runner.addresses[0][1]}"
    yield shop
    await runner.cleanup()


@pytest.fixture
async def open_api(shop: Shop) -> AsyncIterator[Api]:
    """Speak to a service whose sessions may reach the store."""
    allowed = [shop.endpoint.removeprefix("http://")]
    async with LocalService(allow_hosts=allowed) as service, aiohttp.ClientSession() as http:
        yield Api(http, service)


async def test_files_are_carried_both_ways_where_that_is_allowed(open_api: Api, shop: Shop) -> None:
    """With every byte, into directories that are made on the way."""
    session = await open_api.session()
    answer = await open_api.tool(
        session, "oss_download_annon", url=shop.url("given"), path="/tmp/new/dir/f"
    )
    assert answer == (False, "Download success")
    answer = await open_api.tool(
        session, "oss_upload_annon", url=shop.url("taken"), path="/tmp/new/dir/f"
    )
    assert answer == (False, "Upload success")
    assert shop.files["taken"] == shop.files["given"]
    assert await open_api.sh(session, "ls -A /tmp/new/dir") == "f\n"


async def test_what_the_server_refuses_is_told_and_leaves_nothing(
    open_api: Api, shop: Shop
) -> None:
    """Neither half a file nor the signature."""
    session = await open_api.session()
    await open_api.sh(session, "echo old > kept")
    is_error, text = await open_api.tool(
        session, "oss_download_annon", url=shop.url("none"), path="kept"
    )
    assert is_error
    assert text == "Download failed: the server answered 404 Not Found"
    assert await open_api.sh(session, "cat kept; ls -A") == "old\nkept\n"
    is_error, text = await open_api.tool(
        session, "oss_upload_annon", url=shop.url("x"), path="none"
    )
    assert is_error
    assert "No such file or directory" in text


async def test_half_a_file_is_no_file(open_api: Api, shop: Shop) -> None:
    """What was there stays, and nothing lies beside it."""
    session = await open_api.session()
    await open_api.sh(session, "echo old > kept")
    is_error, text = await open_api.tool(
        session, "oss_download_annon", url=shop.url("cut"), path="kept"
    )
    assert is_error
    assert text == "Download failed: it ended after 4 of 1000 bytes"
    assert await open_api.sh(session, "cat kept; ls -A") == "old\nkept\n"


async def test_without_permission_nothing_is_reached_and_the_cure_is_told(
    api: Api, shop: Shop
) -> None:
    """The session has no network at all."""
    session = await api.session()
    for tool in ("oss_download_annon", "oss_upload_annon"):
        await api.sh(session, "echo x > x")
        is_error, text = await api.tool(session, tool, url=shop.url("given"), path="x")
        assert is_error
        assert "--allow-host" in text
        assert "secret" not in text
    assert set(shop.files) == {"given"}


@pytest.mark.parametrize(
    "url",
    ["ftp://h/x", "file:///etc/passwd", "/etc/passwd", "http://", "http://h/a b", "http://[/"],
)
async def test_only_addresses_of_the_web_are_taken(api: Api, url: str) -> None:
    """The refusal does not repeat them."""
    is_error, text = await api.tool(
        await api.session(), "oss_download_annon", url=f"{url}?{SECRET}", path="x"
    )
    assert is_error
    assert "oss_download_annon: url must be" in text
    assert "secret" not in text
