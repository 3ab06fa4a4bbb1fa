"""Files carried out of a context: streamed, verified, all or nothing."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    InvalidArgumentError,
    TransferError,
    TransferProgress,
    TransportError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http.conftest import Bays
    from tests.http.scripted import Script
    from tests.http.transfers.conftest import Store

pytestmark = pytest.mark.usefixtures("over_http")


@pytest.mark.parametrize("error", [LookupError, OSError, TimeoutError])
async def test_an_error_of_the_progress_callback_reaches_the_caller_of_a_download(
    bay: AsyncAgentBay, store: Store, folder: Path, error: type[Exception]
) -> None:
    """Whatever its class, it is the caller's, and the partial file goes."""
    store.content = b"x"

    def progress(_now: TransferProgress) -> None:
        raise error("of the caller")

    with pytest.raises(error, match="of the caller"):
        await bay.context.download_file("c-1", "/f", folder / "f", progress=progress)
    assert len(store.requests) == 1


async def test_a_disk_that_fails_is_not_taken_for_a_broken_line(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """A target that cannot be written fails once, and says so."""
    store.content = b"x"
    target = folder / "f"

    def progress(_now: TransferProgress) -> None:
        # From now on the finished file cannot take its place.
        target.mkdir()

    result = await bay.context.download_file("c-1", "/f", target, progress=progress)
    assert isinstance(result.error, TransferError)
    assert len(store.requests) == 1


async def test_a_download_arrives_whole(
    bay: AsyncAgentBay, store: Store, folder: Path, content: bytes
) -> None:
    """The target holds what the store gave, and the receipt says that it was verified."""
    store.content = content
    store.headers = {"ETag": f'"{store.etag_of(content)}"'}
    seen: list[TransferProgress] = []
    result = await bay.context.download_file("c-1", "/f", folder / "f", progress=seen.append)
    assert result.unwrap().verified
    assert (folder / "f").read_bytes() == content
    assert len(seen) > 1
    assert seen[-1] == TransferProgress(len(content), len(content))
    assert store.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_download_of_unknown_length_tells_progress_without_a_total(
    bay: AsyncAgentBay, scripted: Script, folder: Path
) -> None:
    """A store that streams without saying how much is understood."""
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
async def test_a_failed_download_leaves_the_target_alone(
    bay: AsyncAgentBay, store: Store, folder: Path, old: bytes | None, content: bytes
) -> None:
    """The target is either the old file or the new one, and never a part of it."""
    target = folder / "f"
    if old is not None:
        target.write_bytes(old)
    store.content = content
    store.headers = {"ETag": store.etag_of(b"something else")}
    result = await bay.context.download_file("c-1", "/f", target)
    assert isinstance(result.error, TransferError)
    assert "checksum" in result.error_message
    assert (target.read_bytes() if target.exists() else None) == old


async def test_a_download_that_is_cut_short_fails(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """Fewer bytes than promised are no file."""
    store.content = b"half"
    store.promised = 8
    result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TransportError)
    assert not (folder / "f").exists()


async def test_a_download_of_another_length_than_announced_fails(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """A store that compresses although it was asked not to announces another content."""
    store.content = gzip.compress(b"a" * 1000)
    store.headers = {"Content-Encoding": "gzip"}
    result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TransferError)
    assert "1000 of" in result.error_message
    assert not (folder / "f").exists()


async def test_a_missing_file_is_reported_as_missing(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """The store says 404; the error says what that means."""
    store.status = 404
    result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TransferError)
    assert "there is no such file" in result.error_message
    assert (result.http_status_code, result.error.path) == (404, "/f")


@pytest.mark.parametrize("status", [204, 206, 403, 503])
async def test_a_download_needs_exactly_200(
    bay: AsyncAgentBay, store: Store, folder: Path, status: int
) -> None:
    """A part of a file, or a page that says no, is not the file."""
    store.status = status
    result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TransferError)
    assert result.http_status_code == status


async def test_a_store_that_says_nothing_is_given_up(
    bays: Bays, scripted: Script, store: Store, folder: Path
) -> None:
    """Silence has a limit, even where the whole transfer has none."""

    async def silent(_request: web.Request) -> web.StreamResponse:
        await scripted.until_end()
        return web.Response()

    scripted.blob = silent
    result = await bays(timeout=0.03).context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TimeoutError)


async def test_a_target_that_cannot_be_is_refused(
    bay: AsyncAgentBay, scripted: Script, tmp_path: Path
) -> None:
    """A folder, a place in a folder that is missing, or another type raises at once."""
    for path in (tmp_path, tmp_path / "missing" / "f"):
        with pytest.raises(InvalidArgumentError, match="target"):
            await bay.context.download_file("c-1", "/f", path)
    wrong: Any = b"f"
    with pytest.raises(ArgumentTypeError, match="target"):
        await bay.context.download_file("c-1", "/f", wrong)
    assert scripted.requests == []
