"""Behavior that uploads and downloads have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_async import (
    AsyncAgentBay,
    ConnectionLostError,
    TransportError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http.scripted import Script
    from tests.http.transfers.conftest import Store

pytestmark = pytest.mark.usefixtures("over_http")


async def test_empty_file_is_uploaded_and_downloaded(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """No content is valid content."""
    assert (await bay.context.upload_file("c-1", "/f", b"")).size == 0
    assert store.requests[0].headers["Content-Length"] == "0"
    assert (await bay.context.download_file("c-1", "/f", folder / "f")).size == 0
    assert (folder / "f").read_bytes() == b""


async def test_transfer_gives_up_after_four_attempts(
    bay: AsyncAgentBay, store: Store, scripted: Script, folder: Path
) -> None:
    """The result has the connection error, and nothing is left behind."""
    store.broken = 99
    for result in (
        await bay.context.upload_file("c-1", "/f", b"x"),
        await bay.context.download_file("c-1", "/f", folder / "f"),
    ):
        assert isinstance(result.error, ConnectionLostError)
    upload, download = "GetContextFileUploadUrl", "GetContextFileDownloadUrl"
    assert scripted.actions == [upload] * 4 + [download] * 4
    assert not (folder / "f").exists()


@pytest.mark.parametrize("url", ["/relative", "ftp://host/f", "http://[::1/f", "http://h:bad/f"])
async def test_invalid_url_is_a_bad_answer(
    bay: AsyncAgentBay, scripted: Script, folder: Path, url: str
) -> None:
    """It is not a connection error, and is not retried."""
    for action in ("GetContextFileUploadUrl", "GetContextFileDownloadUrl"):
        scripted.ok(action, {"Url": url})
    for result in (
        await bay.context.upload_file("c-1", "/f", b"x"),
        await bay.context.download_file("c-1", "/f", folder / "f"),
    ):
        assert isinstance(result.error, TransportError)
        assert not isinstance(result.error, ConnectionLostError)


@pytest.mark.parametrize("action", ["GetContextFileUploadUrl", "GetContextFileDownloadUrl"])
async def test_refused_url_fails_the_transfer(
    bay: AsyncAgentBay, scripted: Script, folder: Path, action: str
) -> None:
    """With the error of the service."""
    scripted.fail(action, "Context.NotFound")
    if "Upload" in action:
        result = await bay.context.upload_file("c-1", "/f", b"x")
    else:
        result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert result.code == "Context.NotFound"
    with pytest.raises(type(result.error) if result.error else AssertionError):
        _ = result.size
