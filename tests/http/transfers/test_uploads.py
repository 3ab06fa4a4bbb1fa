"""Uploads into a context: streamed, verified, all or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    InvalidArgumentError,
    TransferError,
    TransferProgress,
)
from agentbay_async._sync.transfers import CHUNK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http.scripted import Script
    from tests.http.transfers.conftest import Store

pytestmark = pytest.mark.usefixtures("over_http")


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "path", "text"])
async def test_upload_is_complete(
    bay: AsyncAgentBay, store: Store, source: Path, kind: str, content: bytes
) -> None:
    """Bytes or a file; the length is announced."""
    given: dict[str, Any] = {
        "bytes": content,
        "bytearray": bytearray(content),
        "path": source,
        "text": str(source),
    }
    store.headers = store.checksums(content)
    result = await bay.context.upload_file("c-1", "/dir/f", given[kind])
    receipt = result.unwrap()
    assert store.content == content
    assert (receipt.path, receipt.size, receipt.verified) == ("/dir/f", len(content), True)
    assert (result.size, result.etag) == (len(content), store.headers["ETag"].strip('"'))
    assert receipt.md5 == result.etag.lower()
    headers = store.requests[0].headers
    assert headers["Content-Length"] == str(len(content))


async def test_an_upload_sends_neither_key_nor_content_type(
    bay: AsyncAgentBay, store: Store, api_key: str
) -> None:
    """The signature covers the headers, and the key is not for the store."""
    await bay.context.upload_file("c-1", "/f", b"hello")
    headers = store.requests[0].headers
    assert "Content-Type" not in headers
    assert "Authorization" not in headers
    assert api_key not in str(headers)
    assert store.targets == ["/blob/f?sig=%2Fsecret%2B"]


async def test_upload_reports_progress(
    bay: AsyncAgentBay, store: Store, source: Path, content: bytes
) -> None:
    """It only rises, and ends at the total; an async callback is awaited."""
    for given in (source, content):
        seen: list[TransferProgress] = []

        async def progress(now: TransferProgress, seen: list[TransferProgress] = seen) -> None:
            seen.append(now)

        (await bay.context.upload_file("c-1", "/f", given, progress=progress)).unwrap()
        done = [now.done for now in seen]
        assert len(done) > 2
        assert done == sorted(set(done))
        assert seen[-1] == TransferProgress(len(content), len(content))


@pytest.mark.parametrize(
    "text",
    [
        '{"Code": "InsufficientStorage", "Message": "The disk is full."}',
        "<Error><Code>QuotaExceeded</Code><Message>The disk is full.</Message></Error>",
    ],
)
async def test_a_refused_upload_has_the_reason_of_the_store(
    bay: AsyncAgentBay, store: Store, text: str
) -> None:
    """In JSON, and in the XML of object stores."""
    store.status, store.text = 400, text
    result = await bay.context.upload_file("c-1", "/f", b"hello")
    assert isinstance(result.error, TransferError)
    assert "HTTP 400 (The disk is full.)" in result.error_message


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-MD5": "not base64"},
        {"Content-MD5": "c2hvcnQ="},
        {"x-oss-object-type": "Appendable"},
        {"x-oss-object-type": "Normal", "x-oss-server-side-encryption": "KMS"},
    ],
)
async def test_an_etag_is_not_taken_for_a_checksum(
    bay: AsyncAgentBay, store: Store, headers: dict[str, str]
) -> None:
    """For an appended or encrypted object it looks like an MD5, but is not that of the content."""
    etag = "0" * 32
    store.headers = {"ETag": f'"{etag}"', **headers}
    receipt = (await bay.context.upload_file("c-1", "/f", b"x")).unwrap()
    assert receipt.verified is False
    assert receipt.etag == etag


async def test_the_etag_of_an_object_in_one_piece_is_compared(
    bay: AsyncAgentBay, store: Store
) -> None:
    """The store reports the type of the object."""
    store.headers = {"ETag": hashlib.md5(b"x").hexdigest().upper(), "x-oss-object-type": "Normal"}
    assert (await bay.context.upload_file("c-1", "/f", b"x")).unwrap().verified
    assert not (await bay.context.upload_file("c-1", "/f", b"y")).success


async def test_an_upload_with_another_checksum_fails(bay: AsyncAgentBay, store: Store) -> None:
    """The content of the store differs from what was sent."""
    store.headers = store.checksums(b"something else")
    result = await bay.context.upload_file("c-1", "/f", b"x")
    assert isinstance(result.error, TransferError)
    assert result.error.path == "/f"
    assert "checksum" in result.error_message


@pytest.mark.parametrize("status", [201, 204])
async def test_upload_accepts_other_success_statuses(
    bay: AsyncAgentBay, store: Store, status: int
) -> None:
    """Stores use different ones."""
    store.status = status
    assert (await bay.context.upload_file("c-1", "/f", b"x")).success


@pytest.mark.parametrize("status", [202, 403, 500])
async def test_refused_upload_is_reported(bay: AsyncAgentBay, store: Store, status: int) -> None:
    """The error has the status, but not the URL."""
    store.status = status
    result = await bay.context.upload_file("c-1", "/f", b"x")
    assert isinstance(result.error, TransferError)
    assert result.http_status_code == status
    assert "secret" not in result.error_message


async def test_early_refusal_ends_an_upload(bay: AsyncAgentBay, store: Store, source: Path) -> None:
    """Although the next chunk is still being read."""
    store.early, store.status = True, 403

    async def progress(now: TransferProgress) -> None:
        if now.done > CHUNK:
            await anyio.sleep_forever()

    with anyio.fail_after(3):
        result = await bay.context.upload_file("c-1", "/f", source, progress=progress)
    assert isinstance(result.error, TransferError)
    assert result.http_status_code == 403


async def test_a_source_that_grows_while_it_is_read_fails(
    bay: AsyncAgentBay, store: Store, source: Path, content: bytes
) -> None:
    """More bytes than announced are not stored."""

    def progress(now: TransferProgress) -> None:
        if now.done < len(content):
            source.write_bytes(content * 2)

    result = await bay.context.upload_file("c-1", "/f", source, progress=progress)
    assert isinstance(result.error, TransferError)
    assert "changed" in result.error_message


async def test_source_that_shrinks_while_it_is_read_fails_at_once(
    bay: AsyncAgentBay, store: Store, source: Path
) -> None:
    """Without waiting for the store's timeout."""

    def progress(_now: TransferProgress) -> None:
        source.write_bytes(b"")

    with anyio.fail_after(3):
        result = await bay.context.upload_file("c-1", "/f", source, progress=progress)
    assert isinstance(result.error, TransferError)
    assert "changed" in result.error_message


async def test_failed_upload_is_retried_with_a_new_url(
    bay: AsyncAgentBay, store: Store, scripted: Script, source: Path, content: bytes
) -> None:
    """Writing a file twice does no harm."""
    store.broken = 1
    assert (await bay.context.upload_file("c-1", "/f", source)).success
    assert store.content == content
    assert scripted.actions == ["GetContextFileUploadUrl"] * 2


async def test_an_upload_can_be_cancelled_while_a_chunk_is_read(
    bay: AsyncAgentBay, store: Store, source: Path
) -> None:
    """The reader is stopped as well."""
    reading = asyncio.Event()

    async def progress(now: TransferProgress) -> None:
        if now.done > CHUNK:
            reading.set()
            await anyio.sleep_forever()

    upload = asyncio.create_task(bay.context.upload_file("c-1", "/f", source, progress=progress))
    with anyio.fail_after(3):
        await reading.wait()
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload


async def test_failed_url_request_is_not_retried_by_the_transfer(
    bay: AsyncAgentBay, scripted: Script, store: Store
) -> None:
    """The attempts of the transfer do not multiply those of the call."""
    scripted.clear()
    scripted.disconnect("GetContextFileUploadUrl")
    assert not (await bay.context.upload_file("c-1", "/f", b"x")).success
    assert len(scripted.requests) == 4


async def test_error_in_a_progress_callback_ends_an_upload(
    bay: AsyncAgentBay, store: Store
) -> None:
    """The caller gets it unchanged, and nothing is retried."""
    calls = 0

    def progress(_now: TransferProgress) -> None:
        nonlocal calls
        calls += 1
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        await bay.context.upload_file("c-1", "/f", b"x", progress=progress)
    assert calls == 1


async def test_invalid_source_is_rejected(
    bay: AsyncAgentBay, scripted: Script, tmp_path: Path
) -> None:
    """A missing file, a directory or another type raises at once."""
    for path in (tmp_path / "missing", tmp_path, str(tmp_path / "missing")):
        with pytest.raises(InvalidArgumentError, match="source"):
            await bay.context.upload_file("c-1", "/f", path)
    wrong: Any = 5
    with pytest.raises(ArgumentTypeError, match="source"):
        await bay.context.upload_file("c-1", "/f", wrong)
    assert scripted.requests == []
