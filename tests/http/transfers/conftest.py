"""An object store behind the service's URLs, and local files."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.http.scripted import Script


class Store:
    """A store that keeps uploads and serves them."""

    def __init__(self, scripted: Script) -> None:
        url = f"{scripted.endpoint}/blob/f?sig=%2Fsecret%2B"
        scripted.ok("GetContextFileUploadUrl", {"Url": url})
        scripted.ok("GetContextFileDownloadUrl", {"Url": url})
        scripted.blob = self.handle
        self.content = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.promised: int | None = None
        self.broken = 0
        self.early = False
        self.text = ""
        self.requests: list[web.BaseRequest] = []
        self.targets: list[str] = []

    @staticmethod
    def checksums(content: bytes) -> dict[str, str]:
        """Return the headers that stores send for files of one piece."""
        digest = hashlib.md5(content)
        content_md5 = base64.b64encode(digest.digest()).decode()
        return {"ETag": f'"{digest.hexdigest().upper()}"', "Content-MD5": content_md5}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one PUT or GET."""
        self.requests.append(request)
        self.targets.append(request.raw_path)
        if len(self.requests) <= self.broken:
            _hang_up(request)
            return web.Response()
        if request.method == "PUT":
            if not self.early:
                self.content = await request.read()
            return web.Response(status=self.status, headers=self.headers, text=self.text)
        length = len(self.content) if self.promised is None else self.promised
        response = web.StreamResponse(status=self.status, headers=self.headers)
        response.content_length = length
        await response.prepare(request)
        await response.write(self.content)
        if self.promised is not None:
            _hang_up(request)
        return response


def _hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.close()


@pytest.fixture
def content() -> bytes:
    """Return content of more than two chunks, for tests of streaming and progress."""
    return bytes(range(256)) * 5000


@pytest.fixture
def store(scripted: Script) -> Store:
    """Return a store that serves both kinds of URL."""
    return Store(scripted)


@pytest.fixture
def source(tmp_path: Path, content: bytes) -> Path:
    """Return a local file."""
    path = tmp_path / "source.bin"
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for downloads; no partial file may be left in it."""
    path = tmp_path / "downloads"
    path.mkdir()
    yield path
    assert not list(path.glob(".*"))
