"""``list()``: awaited it returns one page, iterated it yields every session."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AgentBayError,
    ArgumentTypeError,
    AsyncAgentBay,
    CreateSessionParams,
    InvalidArgumentError,
    PageTokenError,
    ServiceError,
    SessionStatus,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.http.scripted import Script

    from agentbay_local import LocalService


def _pages(scripted: Script, *pages: tuple[str, str]) -> None:
    """Script pages: the ids of each, separated by blanks, and the token after it."""
    for ids, token in pages:
        entries = [{"SessionId": name, "SessionStatus": "RUNNING"} for name in ids.split()]
        scripted.ok("ListSession", entries, NextToken=token, TotalCount=9)


async def _walk(bay: AsyncAgentBay, **query: Any) -> list[str]:
    return [session.session_id async for session in bay.list(**query)]


async def _broken_walk(bay: AsyncAgentBay) -> tuple[list[str], AgentBayError | None]:
    """Return the sessions of an iteration, and the error that ended it."""
    seen: list[str] = []
    try:
        async for session in bay.list():
            seen.append(session.session_id)
    except AgentBayError as error:
        return seen, error
    return seen, None


async def test_nothing_is_sent_until_the_listing_is_used(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Creating a listing sends no request."""
    _ = bay.list()
    assert scripted.requests == []


async def test_awaiting_returns_the_first_page(bay: AsyncAgentBay, scripted: Script) -> None:
    """One request, ten sessions, and all fields of the page."""
    _pages(scripted, ("s-1 s-2", "t-2"))
    page = await bay.list()
    assert scripted.forms("ListSession") == [{"Labels": "{}", "MaxResults": "10"}]
    assert page.success
    assert page.session_ids == ["s-1", "s-2"]
    assert (page.next_token, page.total_count) == ("t-2", 9)
    assert [session.status for session in page.sessions] == ["RUNNING", "RUNNING"]


async def test_a_listing_can_be_awaited_twice(bay: AsyncAgentBay, scripted: Script) -> None:
    """Each time with a new request."""
    _pages(scripted, ("s-1", ""), ("s-2", ""))
    listing = bay.list()
    assert (await listing).session_ids == ["s-1"]
    assert (await listing.first()).session_ids == ["s-2"]


async def test_iterating_yields_every_session(bay: AsyncAgentBay, scripted: Script) -> None:
    """All pages, a hundred sessions each, until one has no token."""
    _pages(scripted, ("s-1 s-2", "t-2"), ("s-3", "t-3"), ("s-4", ""))
    assert await _walk(bay, labels={"a": "b"}) == ["s-1", "s-2", "s-3", "s-4"]
    first, second, third = scripted.forms("ListSession")
    assert first == {"Labels": '{"a":"b"}', "MaxResults": "100"}
    assert second == {**first, "NextToken": "t-2"}
    assert third == {**first, "NextToken": "t-3"}


async def test_pages_are_fetched_only_when_they_are_needed(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Stopping on the first page sends one request."""
    _pages(scripted, ("s-1 s-2", "t-2"), ("s-3", ""))
    walk = aiter(bay.list())
    assert [(await anext(walk)).session_id for _ in range(2)] == ["s-1", "s-2"]
    assert len(scripted.requests) == 1


async def test_no_session_is_yielded_twice(bay: AsyncAgentBay, scripted: Script) -> None:
    """Pages can shift; a session on two of them is yielded once."""
    _pages(scripted, ("s-1 s-2", "t-2"), ("s-2 s-3", ""))
    assert await _walk(bay) == ["s-1", "s-2", "s-3"]


async def test_an_empty_page_does_not_end_the_iteration(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Only a missing token does."""
    _pages(scripted, ("s-1", "t-2"), ("", "t-3"), ("s-2", ""))
    assert await _walk(bay) == ["s-1", "s-2"]


async def test_a_repeated_token_is_an_error(bay: AsyncAgentBay, scripted: Script) -> None:
    """A service that loops does not loop the client."""
    _pages(scripted, ("s-1", "t-2"), ("s-2", "t-3"), ("s-3", "t-2"), ("s-4", ""))
    seen, error = await _broken_walk(bay)
    assert isinstance(error, PageTokenError)
    assert seen == ["s-1", "s-2", "s-3"]
    assert len(scripted.requests) == 3


async def test_a_failed_page_raises_during_the_iteration(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """An early end without an error would look complete."""
    _pages(scripted, ("s-1", "t-2"))
    scripted.fail("ListSession", "ServiceUnavailable", status=503)
    seen, error = await _broken_walk(bay)
    assert isinstance(error, ServiceError)
    assert seen == ["s-1"]


async def test_a_failed_first_page_is_a_failed_result(bay: AsyncAgentBay, scripted: Script) -> None:
    """Reading its sessions raises the error."""
    scripted.fail("ListSession", "ServiceUnavailable", status=503)
    page = await bay.list()
    assert not page.success
    for read in ("sessions", "session_ids", "next_token", "total_count", "max_results"):
        with pytest.raises(ServiceError):
            getattr(page, read)
    with pytest.raises(ServiceError):
        list(page)
    with pytest.raises(ServiceError):
        len(page)


async def test_a_page_number_is_reached_by_tokens(bay: AsyncAgentBay, scripted: Script) -> None:
    """The protocol has tokens only; each request has the filters."""
    _pages(scripted, ("s-1", "t-2"), ("s-2", "t-3"), ("s-3", "t-4"))
    page = await bay.list(page=3, limit=1, image_id="code_latest")
    assert page.session_ids == ["s-3"]
    queries = scripted.forms("ListSession")
    assert [one.get("NextToken") for one in queries] == [None, "t-2", "t-3"]
    assert {(one["MaxResults"], one["ImageId"]) for one in queries} == {("1", "code_latest")}


async def test_an_iteration_may_start_at_a_page(bay: AsyncAgentBay, scripted: Script) -> None:
    """With the page number."""
    _pages(scripted, ("s-1", "t-2"), ("s-2", "t-3"), ("s-3", ""))
    assert await _walk(bay, page=2, limit=1) == ["s-2", "s-3"]


async def test_a_page_beyond_the_last_is_a_failed_result(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The message has the number of the last page."""
    _pages(scripted, ("s-1", "t-2"), ("s-2", ""))
    page = await bay.list(page=4)
    assert isinstance(page.error, PageTokenError)
    assert page.error_message == "there is no page 4; page 2 is the last"


async def test_an_expired_token_has_its_own_error(bay: AsyncAgentBay, scripted: Script) -> None:
    """The service does not know the token any more."""
    scripted.fail("ListSession", "InvalidParameter.NextToken", "the token has expired")
    assert isinstance((await bay.list()).error, PageTokenError)


@pytest.mark.parametrize("status", ["paused", "PAUSED", SessionStatus.PAUSED])
async def test_filters_are_sent(bay: AsyncAgentBay, scripted: Script, status: Any) -> None:
    """A status may have any case, as text or as a member."""
    scripted.ok("ListSession", [])
    await bay.list({"a": "b", "c": "d"}, limit=3, status=status, image_id="linux_latest")
    (form,) = scripted.forms("ListSession")
    assert json.loads(form.pop("Labels")) == {"a": "b", "c": "d"}
    assert form == {"MaxResults": "3", "Status": "PAUSED", "ImageId": "linux_latest"}


@pytest.mark.parametrize(
    ("query", "kind", "named"),
    [
        ({"status": "SLEEPING"}, InvalidArgumentError, "status"),
        ({"status": ""}, InvalidArgumentError, "status"),
        ({"status": 3}, ArgumentTypeError, "status"),
        ({"page": 0}, InvalidArgumentError, "page"),
        ({"page": "2"}, ArgumentTypeError, "page"),
        ({"limit": 0}, InvalidArgumentError, "limit"),
        ({"limit": True}, ArgumentTypeError, "limit"),
        ({"image_id": " "}, InvalidArgumentError, "image_id"),
        ({"labels": {"": "x"}}, InvalidArgumentError, "labels"),
        ({"labels": ["a"]}, ArgumentTypeError, "labels"),
    ],
)
async def test_an_invalid_query_raises_at_once(
    bay: AsyncAgentBay, scripted: Script, query: Any, kind: type[Exception], named: str
) -> None:
    """In `list()`, not when it is awaited."""
    with pytest.raises(kind, match=named):
        _ = bay.list(**query)
    assert scripted.requests == []


async def _in_a_task_group(coroutine: Any) -> Any:
    # Python 3.10 has no task groups; their method makes tasks in the same way.
    if not hasattr(asyncio, "TaskGroup"):
        return await asyncio.create_task(coroutine)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(coroutine)
    return task.result()


@pytest.mark.parametrize(
    "start", [asyncio.create_task, asyncio.ensure_future, asyncio.gather, _in_a_task_group]
)
async def test_a_listing_can_be_started_like_a_coroutine(
    bay: AsyncAgentBay, scripted: Script, start: Callable[[Any], Awaitable[Any]]
) -> None:
    """As programs start what other clients return from ``list``."""
    scripted.ok("ListSession", [{"SessionId": "s-1"}])
    found = await start(bay.list())
    (page,) = found if isinstance(found, list) else (found,)
    assert page.session_ids == ["s-1"]


async def test_a_listing_that_was_started_can_be_cancelled(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The request ends."""
    scripted.hang("ListSession")
    listing = asyncio.create_task(bay.list())
    await scripted.arrival("ListSession")
    listing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listing


def test_asyncio_run_takes_bulk_runs_and_listings(local_service: LocalService) -> None:
    """A script of one line needs no function of its own."""
    bay = AsyncAgentBay(local_service.api_key, endpoint=local_service.endpoint)
    made = asyncio.run(bay.create_many(CreateSessionParams(), 2))
    assert len(made.sessions) == 2
    assert len(asyncio.run(bay.list()).session_ids) == 2
    assert asyncio.run(bay.delete_many(made.sessions)).success
    asyncio.run(bay.close())
