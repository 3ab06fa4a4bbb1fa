"""The files of a context: listing, URLs and deletion."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    BadAnswerError,
    ContextFileEntry,
    InvalidArgumentError,
    PageTokenError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from tests.http.scripted import Script

    from agentbay_local import LocalService

_FILE = {
    "FileId": "f-1",
    "FileName": "a.txt",
    "FilePath": "/dir/a.txt",
    "FileType": "FILE",
    "GmtCreate": "2025-01-01",
    "GmtModified": "2025-01-02",
    "Size": 12,
    "Status": "ok",
}


async def test_files_are_listed_by_page_number(bay: AsyncAgentBay, scripted: Script) -> None:
    """The page number is sent in the form."""
    scripted.ok("DescribeContextFiles", [_FILE, {"Size": "7"}], Count=30)
    result = await bay.context.list_files("c-1", "/dir", page_number=2, page_size=5)
    assert scripted.forms("DescribeContextFiles") == [
        {"ContextId": "c-1", "ParentFolderPath": "/dir", "PageNumber": "2", "PageSize": "5"}
    ]
    assert "MaxResults" not in scripted.requests[0].query
    assert result.entries == [
        ContextFileEntry(
            "f-1", "a.txt", "/dir/a.txt", "FILE", "2025-01-01", "2025-01-02", 12, "ok"
        ),
        ContextFileEntry(size=7),
    ]
    assert (result.count, result.next_token) == (30, "")


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({"max_results": 5}, {"MaxResults": "5"}),
        ({"next_token": "t-2"}, {"MaxResults": "50", "NextToken": "t-2"}),
        ({"max_results": 5, "next_token": "t-2"}, {"MaxResults": "5", "NextToken": "t-2"}),
    ],
)
async def test_files_are_listed_by_token(
    bay: AsyncAgentBay, scripted: Script, arguments: Any, query: dict[str, str]
) -> None:
    """The token is sent in the query, without a page number."""
    scripted.ok("DescribeContextFiles", [], NextToken="t-3")
    result = await bay.context.list_files("c-1", **arguments)
    assert scripted.forms("DescribeContextFiles") == [{"ContextId": "c-1", "ParentFolderPath": "/"}]
    assert query.items() <= scripted.requests[0].query.items()
    assert result.next_token == "t-3"


async def test_iteration_covers_every_page(bay: AsyncAgentBay, scripted: Script) -> None:
    """All entries of a folder, by token."""
    scripted.ok("DescribeContextFiles", [{"FileName": "a"}], NextToken="t-2")
    scripted.ok("DescribeContextFiles", [{"FileName": "b"}])
    entries = bay.context.iterate_files("c-1", "/dir")
    assert [entry.file_name async for entry in entries] == ["a", "b"]
    assert [one.query.get("NextToken") for one in scripted.requests] == [None, "t-2"]
    assert {one.query["MaxResults"] for one in scripted.requests} == {"100"}


async def test_iteration_ends_if_a_token_repeats(bay: AsyncAgentBay, scripted: Script) -> None:
    """A service that loops does not loop the client."""
    for _ in range(2):
        scripted.ok("DescribeContextFiles", [{"FileName": "a"}], NextToken="t-2")
    scripted.ok("DescribeContextFiles", [])
    with pytest.raises(PageTokenError):
        _ = [entry async for entry in bay.context.iterate_files("c-1")]


async def test_arguments_are_checked_before_an_iteration(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """By the call itself, although nothing is sent before the first entry is asked for."""
    with pytest.raises(InvalidArgumentError, match="context_id"):
        bay.context.iterate_files(" ")
    with pytest.raises(InvalidArgumentError, match="parent_folder_path"):
        bay.context.iterate_files("c-1", "../x")
    with pytest.raises(ArgumentTypeError, match="recursive"):
        bay.context.iterate_files("c-1", recursive=cast("bool", 1))
    bay.context.iterate_files("c-1")
    assert scripted.requests == []


@pytest.mark.parametrize("is_deep", [True, False])
async def test_an_iteration_that_is_left_asks_for_nothing_more(
    bay: AsyncAgentBay, scripted: Script, is_deep: bool
) -> None:
    """At the end of its block all of it has ended, and not when the memory is cleaned up."""
    ended: list[str] = []
    pages = bay._api.pages

    async def watched(request: Any) -> AsyncGenerator[Any, None]:
        try:
            async for page in pages(request):
                yield page
        finally:
            ended.append(type(request).__name__)

    bay._api.pages = watched  # type: ignore[method-assign]
    scripted.ok("DescribeContextFiles", [{"FileName": "a"}], NextToken="t-2")
    async with bay.context.iterate_files("c-1", recursive=is_deep) as entries:
        async for entry in entries:
            assert entry.file_name == "a"
            break
    assert (ended, len(scripted.requests)) == (["DescribeContextFiles"], 1)


@pytest.mark.parametrize("start", [asyncio.create_task, asyncio.gather])
async def test_an_iteration_that_is_taken_for_a_call_says_to_iterate(
    bay: AsyncAgentBay, scripted: Script, start: Callable[[Any], Awaitable[Any]]
) -> None:
    """Where Python itself would say that a coroutine was expected."""
    for iteration in (bay.context.iterate(), bay.context.iterate_files("c-1")):
        with pytest.raises(ArgumentTypeError, match="async for item in"):
            await start(iteration)
        with pytest.raises(ArgumentTypeError, match="async for item in"):
            await iteration
    assert scripted.requests == []


def test_a_listing_of_contexts_runs_as_a_program(local_service: LocalService) -> None:
    """`asyncio.run` takes the call that has an answer, and tells the cure for the other."""
    bay = AsyncAgentBay(local_service.api_key, endpoint=local_service.endpoint)
    assert asyncio.run(bay.context.list()).contexts == []
    with pytest.raises(ArgumentTypeError, match="async for item in"):
        asyncio.run(bay.context.iterate())
    asyncio.run(bay.aclose())


@pytest.mark.parametrize("direction", ["upload", "download"])
async def test_url_is_returned_and_not_in_repr(
    bay: AsyncAgentBay, scripted: Script, direction: str
) -> None:
    """The URL alone gives access to the file."""
    action = f"GetContextFile{direction.title()}Url"
    scripted.ok(action, {"Url": "https://store/f?sig=secret", "ExpireTime": 1_800_000_000})
    result = await getattr(bay.context, f"get_file_{direction}_url")("c-1", "/dir/f")
    assert scripted.forms(action) == [{"ContextId": "c-1", "FilePath": "/dir/f"}]
    assert (result.url, result.expire_time) == ("https://store/f?sig=secret", 1_800_000_000)
    assert "secret" not in repr(result)


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-15T08:00:00Z",
        "2027-01-15T09:00:00+01:00",
        "2027-01-15T08:00:00",
        "1800000000",
    ],
)
async def test_a_time_of_expiry_may_be_text(
    bay: AsyncAgentBay, scripted: Script, text: str
) -> None:
    """Without an offset it is UTC."""
    scripted.ok("GetContextFileUploadUrl", {"Url": "https://store/f", "ExpireTime": text})
    result = await bay.context.get_file_upload_url("c-1", "/f")
    assert (result.url, result.expire_time) == ("https://store/f", 1_800_000_000)


@pytest.mark.parametrize("data", [None, {}, {"Url": ""}])
async def test_an_answer_without_a_url_fails(
    bay: AsyncAgentBay, scripted: Script, data: object
) -> None:
    """There is no URL for the transfer."""
    scripted.ok("GetContextFileUploadUrl", data)
    result = await bay.context.get_file_upload_url("c-1", "/f")
    assert isinstance(result.error, BadAnswerError)
    assert result.request_id == "REQ-GetContextFileUploadUrl"


async def test_a_file_is_deleted(bay: AsyncAgentBay, scripted: Script) -> None:
    """The request has context and path."""
    scripted.ok("DeleteContextFile")
    assert (await bay.context.delete_file("c-1", "/f")).data is True
    assert scripted.forms("DeleteContextFile") == [{"ContextId": "c-1", "FilePath": "/f"}]


@pytest.mark.parametrize(
    "call",
    [
        lambda files: files.list_files("c-1", "/a/../b"),
        lambda files: files.list_files(" "),
        lambda files: files.list_files("c-1", page_number=0),
        lambda files: files.list_files("c-1", page_size=0),
        lambda files: files.list_files("c-1", max_results=0),
        lambda files: files.get_file_upload_url("c-1", "../x"),
        lambda files: files.get_file_download_url("c-1", ""),
        lambda files: files.delete_file("c-1", "/.."),
        lambda files: files.upload_file("c-1", "/../x", b""),
        lambda files: files.download_file("", "/x", "x"),
    ],
)
async def test_invalid_paths_ids_and_pages_are_rejected(
    bay: AsyncAgentBay, scripted: Script, call: Callable[[Any], Any]
) -> None:
    """Nothing is sent, and no path leaves the context."""
    with pytest.raises(InvalidArgumentError):
        await call(bay.context)
    assert scripted.requests == []


async def test_the_root_of_a_context_may_be_an_empty_path(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """It is sent as it is, as the official client does."""
    scripted.ok("DescribeContextFiles", [])
    assert (await bay.context.list_files("c-1", "")).entries == []
    (form,) = scripted.forms("DescribeContextFiles")
    assert form["ParentFolderPath"] == ""
