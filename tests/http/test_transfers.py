"""Files carried to and from a context: streamed, verified, all or nothing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import anyio
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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.http.conftest import Bays, Scripted

# More than two chunks, so that streaming, progress and order can be seen.
_CONTENT = bytes(range(256)) * 2500


class Store:
    """Where the service's URLs lead: keeps what is put, gives what it keeps."""

    def __init__(self, scripted: Scripted) -> None:
        url = f"{scripted.endpoint}/blob/f?sig=%2Fsecret%2B"
        scripted.ok("GetContextFileUploadUrl", {"Url": url})
        scripted.ok("GetContextFileDownloadUrl", {"Url": url})
        scripted.blob = self.handle
        self.content = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.promised: int | None = None
        self.broken = 0
        self.requests: list[web.BaseRequest] = []
        self.targets: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.targets.append(request.raw_path)
        if len(self.requests) <= self.broken:
            _hang_up(request)
            return web.Response()
        if request.method == "PUT":
            self.content = await request.read()
            return web.Response(status=self.status, headers=self.headers)
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
def store(scripted: Scripted) -> Store:
    """Give a store that both kinds of URL lead to."""
    return Store(scripted)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a file of this machine."""
    path = tmp_path / "source.bin"
    path.write_bytes(_CONTENT)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for downloads; no partial file may be left in it."""
    path = tmp_path / "downloads"
    path.mkdir()
    yield path
    assert not list(path.glob(".*"))


def _etag(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "path", "text"])
async def test_an_upload_arrives_whole(
    bay: AsyncAgentBay, store: Store, source: Path, kind: str
) -> None:
    """Bytes or a file: what is stored is what was given, and its length was announced."""
    given: dict[str, Any] = {
        "bytes": _CONTENT,
        "bytearray": bytearray(_CONTENT),
        "path": source,
        "text": str(source),
    }
    store.headers = {"ETag": f'"{_etag(_CONTENT).upper()}"'}
    result = await bay.context.upload_file("c-1", "/dir/f", given[kind])
    receipt = result.unwrap()
    assert store.content == _CONTENT
    assert (receipt.path, receipt.size, receipt.verified) == ("/dir/f", len(_CONTENT), True)
    assert (result.size, result.etag.lower()) == (len(_CONTENT), _etag(_CONTENT))
    headers = store.requests[0].headers
    assert headers["Content-Length"] == str(len(_CONTENT))


async def test_an_upload_sends_neither_key_nor_content_type(
    bay: AsyncAgentBay, store: Store, api_key: str
) -> None:
    """The URL's signature covers the headers, and the store is none of the key's business."""
    await bay.context.upload_file("c-1", "/f", b"hello")
    headers = store.requests[0].headers
    assert "Content-Type" not in headers
    assert "Authorization" not in headers
    assert api_key not in str(headers)
    assert store.targets == ["/blob/f?sig=%2Fsecret%2B"]


async def test_an_empty_file_is_carried_both_ways(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """Nothing is a content like any other."""
    assert (await bay.context.upload_file("c-1", "/f", b"")).size == 0
    assert store.requests[0].headers["Content-Length"] == "0"
    assert (await bay.context.download_file("c-1", "/f", folder / "f")).size == 0
    assert (folder / "f").read_bytes() == b""


async def test_an_upload_tells_of_its_progress(
    bay: AsyncAgentBay, store: Store, source: Path
) -> None:
    """Progress only rises, and ends at the whole; an async callback is awaited."""
    for given in (source, _CONTENT):
        seen: list[TransferProgress] = []

        async def progress(now: TransferProgress, seen: list[TransferProgress] = seen) -> None:
            seen.append(now)

        (await bay.context.upload_file("c-1", "/f", given, progress=progress)).unwrap()
        done = [now.done for now in seen]
        assert len(done) > 2
        assert done == sorted(set(done))
        assert seen[-1] == TransferProgress(len(_CONTENT), len(_CONTENT))


@pytest.mark.parametrize("etag", ['"abc-2"', "", '"not an md5"'])
async def test_a_checksum_of_another_kind_is_not_compared(
    bay: AsyncAgentBay, store: Store, etag: str
) -> None:
    """An ETag that is no MD5 says nothing; the receipt says that nothing was verified."""
    store.headers = {"ETag": etag} if etag else {}
    receipt = (await bay.context.upload_file("c-1", "/f", b"x")).unwrap()
    assert receipt.verified is False
    assert receipt.etag == etag.strip('"')


async def test_an_upload_with_another_checksum_fails(bay: AsyncAgentBay, store: Store) -> None:
    """What the store has is not what was sent."""
    store.headers = {"ETag": _etag(b"something else")}
    result = await bay.context.upload_file("c-1", "/f", b"x")
    assert isinstance(result.error, TransferError)
    assert result.error.path == "/f"
    assert "checksum" in result.error_message


@pytest.mark.parametrize("status", [201, 204])
async def test_other_good_statuses_of_an_upload_count(
    bay: AsyncAgentBay, store: Store, status: int
) -> None:
    """Stores differ in how they say yes."""
    store.status = status
    assert (await bay.context.upload_file("c-1", "/f", b"x")).success


@pytest.mark.parametrize("status", [202, 403, 500])
async def test_a_store_that_refuses_an_upload_is_reported(
    bay: AsyncAgentBay, store: Store, status: int
) -> None:
    """The status is in the error; the URL is not."""
    store.status = status
    result = await bay.context.upload_file("c-1", "/f", b"x")
    assert isinstance(result.error, TransferError)
    assert result.http_status_code == status
    assert "secret" not in result.error_message


async def test_a_source_that_grows_while_it_is_read_fails(
    bay: AsyncAgentBay, store: Store, source: Path
) -> None:
    """More than was announced is not stored as if it were whole."""

    def progress(now: TransferProgress) -> None:
        if now.done < len(_CONTENT):
            source.write_bytes(_CONTENT * 2)

    result = await bay.context.upload_file("c-1", "/f", source, progress=progress)
    assert isinstance(result.error, TransferError)
    assert "changed" in result.error_message


async def test_a_source_that_shrinks_while_it_is_read_is_not_waited_for(
    bay: AsyncAgentBay, store: Store, source: Path
) -> None:
    """Bytes that will never come are noticed where they are read, not by the store's silence."""

    def progress(_now: TransferProgress) -> None:
        source.write_bytes(b"")

    with anyio.fail_after(3):
        result = await bay.context.upload_file("c-1", "/f", source, progress=progress)
    assert isinstance(result.error, TransferError)
    assert "changed" in result.error_message


async def test_a_broken_upload_is_tried_again_with_a_fresh_url(
    bay: AsyncAgentBay, store: Store, scripted: Scripted, source: Path
) -> None:
    """Writing a file twice does no more than writing it once."""
    store.broken = 1
    assert (await bay.context.upload_file("c-1", "/f", source)).success
    assert store.content == _CONTENT
    assert scripted.actions == ["GetContextFileUploadUrl"] * 2


async def test_a_transfer_that_keeps_breaking_is_given_up(
    bay: AsyncAgentBay, store: Store, scripted: Scripted, folder: Path
) -> None:
    """Four attempts, then the error of the line; nothing is left behind."""
    store.broken = 99
    for result in (
        await bay.context.upload_file("c-1", "/f", b"x"),
        await bay.context.download_file("c-1", "/f", folder / "f"),
    ):
        assert isinstance(result.error, ConnectionLostError)
    upload, download = "GetContextFileUploadUrl", "GetContextFileDownloadUrl"
    assert scripted.actions == [upload] * 4 + [download] * 4
    assert not (folder / "f").exists()


async def test_a_url_that_cannot_be_had_is_not_asked_for_again_and_again(
    bay: AsyncAgentBay, scripted: Scripted, store: Store
) -> None:
    """The attempts of the transfer do not multiply those of the call."""
    scripted.forget()
    scripted.reset("GetContextFileUploadUrl")
    assert not (await bay.context.upload_file("c-1", "/f", b"x")).success
    assert len(scripted.received) == 4


@pytest.mark.parametrize("url", ["/relative", "ftp://host/f", "http://[::1/f", "http://h:bad/f"])
async def test_a_url_that_is_none_is_a_bad_answer(
    bay: AsyncAgentBay, scripted: Scripted, folder: Path, url: str
) -> None:
    """A service that hands out nonsense is told apart from a broken line, and asked once."""
    for action in ("GetContextFileUploadUrl", "GetContextFileDownloadUrl"):
        scripted.ok(action, {"Url": url})
    for result in (
        await bay.context.upload_file("c-1", "/f", b"x"),
        await bay.context.download_file("c-1", "/f", folder / "f"),
    ):
        assert isinstance(result.error, TransportError)
        assert not isinstance(result.error, ConnectionLostError)


async def test_an_error_of_the_progress_callback_reaches_the_caller_of_an_upload(
    bay: AsyncAgentBay, store: Store
) -> None:
    """The caller's own error is not taken for a broken line, and nothing is repeated."""
    calls = 0

    def progress(_now: TransferProgress) -> None:
        nonlocal calls
        calls += 1
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        await bay.context.upload_file("c-1", "/f", b"x", progress=progress)
    assert calls == 1


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


async def test_a_download_arrives_whole(bay: AsyncAgentBay, store: Store, folder: Path) -> None:
    """The target holds what the store gave, and the receipt says that it was verified."""
    store.content = _CONTENT
    store.headers = {"ETag": f'"{_etag(_CONTENT)}"'}
    seen: list[TransferProgress] = []
    result = await bay.context.download_file("c-1", "/f", folder / "f", progress=seen.append)
    assert result.unwrap().verified
    assert (folder / "f").read_bytes() == _CONTENT
    assert len(seen) > 1
    assert seen[-1] == TransferProgress(len(_CONTENT), len(_CONTENT))
    assert store.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_download_of_unknown_length_tells_progress_without_a_total(
    bay: AsyncAgentBay, scripted: Scripted, folder: Path
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
    bay: AsyncAgentBay, store: Store, folder: Path, old: bytes | None
) -> None:
    """The target is either the old file or the new one, and never a part of it."""
    target = folder / "f"
    if old is not None:
        target.write_bytes(old)
    store.content = _CONTENT
    store.headers = {"ETag": _etag(b"something else")}
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
    bays: Bays, scripted: Scripted, store: Store, folder: Path
) -> None:
    """Silence has a limit, even where the whole transfer has none."""
    scripted.hang("silence")

    async def silent(request: web.Request) -> web.StreamResponse:
        return await scripted.step("silence", request)

    scripted.blob = silent
    result = await bays(timeout=0.03).context.download_file("c-1", "/f", folder / "f")
    assert isinstance(result.error, TimeoutError)


@pytest.mark.parametrize("action", ["GetContextFileUploadUrl", "GetContextFileDownloadUrl"])
async def test_a_refused_url_is_the_error_of_the_transfer(
    bay: AsyncAgentBay, scripted: Scripted, folder: Path, action: str
) -> None:
    """What the service says no to is reported as it said it."""
    scripted.refuse(action, "Context.NotFound")
    if "Upload" in action:
        result = await bay.context.upload_file("c-1", "/f", b"x")
    else:
        result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert result.code == "Context.NotFound"
    with pytest.raises(type(result.error) if result.error else AssertionError):
        _ = result.size


async def test_a_source_that_is_no_file_is_refused(
    bay: AsyncAgentBay, scripted: Scripted, tmp_path: Path
) -> None:
    """A missing file, a folder, or a value of another type raises at once."""
    for path in (tmp_path / "missing", tmp_path, str(tmp_path / "missing")):
        with pytest.raises(InvalidArgumentError, match="source"):
            await bay.context.upload_file("c-1", "/f", path)
    wrong: Any = 5
    with pytest.raises(ArgumentTypeError, match="source"):
        await bay.context.upload_file("c-1", "/f", wrong)
    assert scripted.received == []


async def test_a_target_that_cannot_be_is_refused(
    bay: AsyncAgentBay, scripted: Scripted, tmp_path: Path
) -> None:
    """A folder, a place in a folder that is missing, or another type raises at once."""
    for path in (tmp_path, tmp_path / "missing" / "f"):
        with pytest.raises(InvalidArgumentError, match="target"):
            await bay.context.download_file("c-1", "/f", path)
    wrong: Any = b"f"
    with pytest.raises(ArgumentTypeError, match="target"):
        await bay.context.download_file("c-1", "/f", wrong)
    assert scripted.received == []
