"""Transfers between a session and a URL, in the network of the session."""

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


class ObjectStore:
    """A store of files behind signed URLs."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"given": bytes(range(256)) * 1000}
        self.endpoint = ""

    def url(self, name: str) -> str:
        """Return the URL of a file."""
        return f"{self.endpoint}/{name}?{SECRET}"

    async def put(self, request: web.Request) -> web.Response:
        """Store a file."""
        self.files[request.match_info["name"]] = await request.read()
        return web.Response()

    async def cut(self, request: web.Request) -> web.StreamResponse:
        """Send less of a file than its length."""
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async def get(self, request: web.Request) -> web.Response:
        """Send a file."""
        content = self.files.get(request.match_info["name"])
        return web.Response(status=404) if content is None else web.Response(body=content)


@pytest.fixture
async def object_store() -> AsyncIterator[ObjectStore]:
    """Return a store that listens on this machine."""
    store = ObjectStore()
    app = web.Application(client_max_size=2**26)
    app.router.add_put("/{name}", store.put)
    app.router.add_get("/cut", store.cut)
    app.router.add_get("/{name}", store.get)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    # Not 127.0.0.1, which is the session itself inside a session.
    await web.TCPSite(runner, "127.0.0.2", 0).start()
    store.endpoint = f"http://127.0.0.2:{runner.addresses[0][1]}"
    yield store
    await runner.cleanup()


@pytest.fixture
async def open_api(object_store: ObjectStore) -> AsyncIterator[Api]:
    """Speak to a service whose sessions may reach the store."""
    allowed = [object_store.endpoint.removeprefix("http://")]
    async with LocalService(allow_hosts=allowed) as service, aiohttp.ClientSession() as http:
        yield Api(http, service)


async def test_files_are_transferred_both_ways_to_an_allowed_host(
    open_api: Api, object_store: ObjectStore
) -> None:
    """With every byte; missing directories are created."""
    session = await open_api.session()
    answer = await open_api.tool(
        session, "oss_download_annon", url=object_store.url("given"), path="/tmp/new/dir/f"
    )
    assert answer == (False, "Download success")
    answer = await open_api.tool(
        session, "oss_upload_annon", url=object_store.url("taken"), path="/tmp/new/dir/f"
    )
    assert answer == (False, "Upload success")
    assert object_store.files["taken"] == object_store.files["given"]
    assert await open_api.sh(session, "ls -A /tmp/new/dir") == "f\n"


async def test_an_error_of_the_server_is_reported_and_leaves_nothing(
    open_api: Api, object_store: ObjectStore
) -> None:
    """No partial file, and no signature in the text."""
    session = await open_api.session()
    await open_api.sh(session, "echo old > kept")
    is_error, text = await open_api.tool(
        session, "oss_download_annon", url=object_store.url("none"), path="kept"
    )
    assert is_error
    assert text == "Download failed: the server answered 404 Not Found"
    assert await open_api.sh(session, "cat kept; ls -A") == "old\nkept\n"
    is_error, text = await open_api.tool(
        session, "oss_upload_annon", url=object_store.url("x"), path="none"
    )
    assert is_error
    assert "No such file or directory" in text


async def test_an_incomplete_download_keeps_the_old_file(
    open_api: Api, object_store: ObjectStore
) -> None:
    """No partial file is left."""
    session = await open_api.session()
    await open_api.sh(session, "echo old > kept")
    is_error, text = await open_api.tool(
        session, "oss_download_annon", url=object_store.url("cut"), path="kept"
    )
    assert is_error
    assert text == "Download failed: it ended after 4 of 1000 bytes"
    assert await open_api.sh(session, "cat kept; ls -A") == "old\nkept\n"


async def test_without_an_allowed_host_the_error_names_the_remedy(
    api: Api, object_store: ObjectStore
) -> None:
    """The session has no network at all."""
    session = await api.session()
    for tool in ("oss_download_annon", "oss_upload_annon"):
        await api.sh(session, "echo x > x")
        is_error, text = await api.tool(session, tool, url=object_store.url("given"), path="x")
        assert is_error
        assert "--allow-host" in text
        assert "secret" not in text
    assert set(object_store.files) == {"given"}


@pytest.mark.parametrize(
    "url",
    ["ftp://h/x", "file:///etc/passwd", "/etc/passwd", "http://", "http://h/a b", "http://[/"],
)
async def test_only_http_urls_are_accepted(api: Api, url: str) -> None:
    """The error does not repeat the URL."""
    is_error, text = await api.tool(
        await api.session(), "oss_download_annon", url=f"{url}?{SECRET}", path="x"
    )
    assert is_error
    assert "oss_download_annon: url must be" in text
    assert "secret" not in text


async def test_a_fifo_is_not_uploaded(api: Api, object_store: ObjectStore) -> None:
    """Opening it would wait for a writer until the time limit."""
    session = await api.session()
    await api.sh(session, "mkfifo /tmp/pipe")
    is_error, text = await api.tool(
        session, "oss_upload_annon", url=object_store.url("new"), path="/tmp/pipe"
    )
    assert is_error
    assert "not a regular file" in text
