"""What uploads and downloads have in common."""

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


async def test_an_empty_file_is_carried_both_ways(
    bay: AsyncAgentBay, store: Store, folder: Path
) -> None:
    """Nothing is a content like any other."""
    assert (await bay.context.upload_file("c-1", "/f", b"")).size == 0
    assert store.requests[0].headers["Content-Length"] == "0"
    assert (await bay.context.download_file("c-1", "/f", folder / "f")).size == 0
    assert (folder / "f").read_bytes() == b""


async def test_a_transfer_that_keeps_breaking_is_given_up(
    bay: AsyncAgentBay, store: Store, scripted: Script, folder: Path
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


@pytest.mark.parametrize("url", ["/relative", "ftp://host/f", "http://[::1/f", "http://h:bad/f"])
async def test_a_url_that_is_none_is_a_bad_answer(
    bay: AsyncAgentBay, scripted: Script, folder: Path, url: str
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


@pytest.mark.parametrize("action", ["GetContextFileUploadUrl", "GetContextFileDownloadUrl"])
async def test_a_refused_url_is_the_error_of_the_transfer(
    bay: AsyncAgentBay, scripted: Script, folder: Path, action: str
) -> None:
    """What the service says no to is reported as it said it."""
    scripted.fail(action, "Context.NotFound")
    if "Upload" in action:
        result = await bay.context.upload_file("c-1", "/f", b"x")
    else:
        result = await bay.context.download_file("c-1", "/f", folder / "f")
    assert result.code == "Context.NotFound"
    with pytest.raises(type(result.error) if result.error else AssertionError):
        _ = result.size
