"""Downloads from a context: streamed, verified, all or nothing."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    ConnectionLostError,
    InvalidArgumentError,
    TransferError,
    TransferProgress,
    TransportError,
)
from agentbay_async._sync.transfers import download

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http.conftest import Bays
    from tests.http.scripted import Script
    from tests.http.transfers.conftest import Store

pytestmark = pytest.mark.usefixtures("over_http")


@pytest.mark.parametrize("error", [LookupError, OSError, TimeoutError])
async def test_error_in_a_progress_callback_ends_a_download(
    bay: AsyncAgentBay, store: Store, folder: Path, error: type[Exception]
) -> None:
    """The caller gets it unchanged, and the partial file is removed."""
    store.content = b"x"

    def progress(_now: TransferProgress) -> None:
        raise error("of the caller")

    with pytest.raises(error, match="of the caller"):
        await bay.context.download_file("c-1", "/f", folder / "f", progress=progress)
    assert len(store.requests) == 1


async def test_disk_error_is_not_retried(bay: AsyncAgentBay, store: Store, folder: Path) -> None:
    """It is not a connection error."""
    store.content = b"x"
    target = folder / "f"

    def progress(_now: TransferProgress) -> None:
        # From now on the finished file cannot take its place.
        target.mkdir()

    result = await bay.context.download_file("c-1", "/f", target, progress=progress)
    assert isinstance(result.error, TransferError)
    assert len(store.requests) == 1


async def test_a_checksum_that_stays_unknown_repeats_no_download(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """The connection that was lost is not that of the download."""
    store.content = b"x"
    address = (await bay.context.get_file_download_url("c-1", "/f")).unwrap().url

    async def url() -> str:
        return address

    async def md5() -> str:
        raise ConnectionLostError("the connection broke")

    with pytest.raises(TransferError, match=r"checksum is unknown .*broke"):
        await download(bay._api, "/f", url, folder / "f", None, md5)
    assert len(store.requests) == 1
    assert os.listdir(folder) == []


async def test_download_is_complete_and_verified(
    bay: AsyncAgentBay, store: Store, folder: Path, content: bytes
) -> None:
    """The target has the content of the store."""
    store.content = content
    store.headers = store.checksums(content)
    seen: list[TransferProgress] = []
    result = await bay.context.download_file("c-1", "/f", folder / "f", progress=seen.append)
    assert result.unwrap().verified
    assert (folder / "f").read_bytes() == content
    assert len(seen) > 1
    assert seen[-1] == TransferProgress(len(content), len(content))
    assert store.requests[0].headers["Accept-Encoding"] == "identity"


async def test_download_of_unknown_length_reports_progress_without_a_total(
    bay: AsyncAgentBay, scripted: Script, folder: Path
) -> None:
    """The store sends no length."""
    scripted.ok("GetContextFileDownloadUrl", {"Url": f"{scripted.endpoint}/blob/f"})

    async def chunked(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"hello")
        return response

    scripted.blob = chunked
    seen: list[TransferProgress] = []
    target = str(folder / "f")
    assert (await bay.context.download_file("c-1", "/f", target, progress=seen.append)).success
    assert seen == [TransferProgress(5, None)]
    assert (folder / "f").read_bytes() == b"hello"


@pytest.mark.parametrize("old", [None, b"old content"])
async def test_failed_download_keeps_the_target(
    bay: AsyncAgentBay, store: Store, folder: Path, old: bytes | None, content: bytes
) -> None:
    """It is the old file or the new one, never a part."""
    target = folder / "f"
    if old is not None:
        target.write_bytes(old)
    store.content = content
    store.headers = store.checksums(b"something else")
    result = await bay.context.download_file("c-1", "/f", target)
    assert isinstance(result.error, TransferError)
    assert "checksum" in result.error_message
    assert (target.read_bytes() if target.exists() else None) == old


async def test_truncated_download_fails(bay: AsyncAgentBay, store: Store, folder: Path) -> None:
    """It has fewer bytes than announced."""
    store.content = b"half"
    store.promised = 8
    result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TransportError)
    assert not (folder / "f").exists()


async def test_a_compressed_download_fails(bay: AsyncAgentBay, store: Store, folder: Path) -> None:
    """Length and checksum would be those of other bytes."""
    store.content = gzip.compress(b"a" * 1000)
    store.headers = {"Content-Encoding": "gzip"}
    result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TransferError)
    assert "compressed" in result.error_message
    assert not (folder / "f").exists()


async def test_a_missing_file_is_reported_as_missing(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """The message explains status 404."""
    store.status = 404
    result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TransferError)
    assert "there is no such file" in result.error_message
    assert (result.http_status_code, result.error.path) == (404, "/f")


@pytest.mark.parametrize("status", [204, 206, 403, 503])
async def test_download_requires_status_200(
    bay: AsyncAgentBay, store: Store, folder: Path, status: int
) -> None:
    """Other statuses have a part of the file, or an error page."""
    store.status = status
    result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TransferError)
    assert result.http_status_code == status


async def test_silent_store_times_out(
    bays: Bays, scripted: Script, store: Store, folder: Path
) -> None:
    """Silence has a limit even if the transfer has none."""

    async def silent(_request: web.Request) -> web.StreamResponse:
        await scripted.until_end()
        return web.Response()

    scripted.blob = silent
    result = await bays(timeout=0.03).context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TimeoutError)


async def test_invalid_target_is_rejected(
    bay: AsyncAgentBay, scripted: Script, tmp_path: Path
) -> None:
    """A directory, a missing directory or another type raises at once."""
    for path in (tmp_path, tmp_path / "missing" / "f"):
        with pytest.raises(InvalidArgumentError, match="target"):
            await bay.context.download_file("c-1", "/f", path)
    wrong: Any = b"f"
    with pytest.raises(ArgumentTypeError, match="target"):
        await bay.context.download_file("c-1", "/f", wrong)
    assert scripted.requests == []
