"""``list()``: awaited it is one page, iterated it is every session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AgentBayError,
    ArgumentTypeError,
    AsyncAgentBay,
    InvalidArgumentError,
    PageTokenError,
    ServiceError,
    SessionStatus,
)

if TYPE_CHECKING:
    from tests.http.scripted import Script


def _pages(scripted: Script, *pages: tuple[str, str]) -> None:
    """Script pages: the ids on each, separated by blanks, and the token after it."""
    for ids, token in pages:
        entries = [{"SessionId": name, "SessionStatus": "RUNNING"} for name in ids.split()]
        scripted.ok("ListSession", entries, NextToken=token, TotalCount=9)


async def _walk(bay: AsyncAgentBay, **query: Any) -> list[str]:
    return [session.session_id async for session in bay.list(**query)]


async def _broken_walk(bay: AsyncAgentBay) -> tuple[list[str], AgentBayError | None]:
    """Return the sessions that a walk came to, and what ended it."""
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
    """Making a listing is free."""
    _ = bay.list()
    assert scripted.requests == []


async def test_awaited_it_is_the_first_page(bay: AsyncAgentBay, scripted: Script) -> None:
    """One request, ten sessions, and all that the page says."""
    _pages(scripted, ("s-1 s-2", "t-2"))
    page = await bay.list()
    assert scripted.forms("ListSession") == [{"Labels": "{}", "MaxResults": "10"}]
    assert page.success
    assert page.session_ids == ["s-1", "s-2"]
    assert (page.next_token, page.total_count) == ("t-2", 9)
    assert [session.status for session in page.sessions] == ["RUNNING", "RUNNING"]


async def test_a_listing_can_be_awaited_twice(bay: AsyncAgentBay, scripted: Script) -> None:
    """Each time it is asked anew."""
    _pages(scripted, ("s-1", ""), ("s-2", ""))
    listing = bay.list()
    assert (await listing).session_ids == ["s-1"]
    assert (await listing.first()).session_ids == ["s-2"]


async def test_iterated_it_is_every_session(bay: AsyncAgentBay, scripted: Script) -> None:
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
    """Whoever stops on the first page does not pay for the second."""
    _pages(scripted, ("s-1 s-2", "t-2"), ("s-3", ""))
    walk = aiter(bay.list())
    assert [(await anext(walk)).session_id for _ in range(2)] == ["s-1", "s-2"]
    assert len(scripted.requests) == 1


async def test_no_session_is_seen_twice(bay: AsyncAgentBay, scripted: Script) -> None:
    """Pages shift while one walks; a session that is on two of them comes once."""
    _pages(scripted, ("s-1 s-2", "t-2"), ("s-2 s-3", ""))
    assert await _walk(bay) == ["s-1", "s-2", "s-3"]


async def test_an_empty_page_in_the_middle_does_not_end_the_walk(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Only a missing token is the end."""
    _pages(scripted, ("s-1", "t-2"), ("", "t-3"), ("s-2", ""))
    assert await _walk(bay) == ["s-1", "s-2"]


async def test_a_repeated_token_ends_the_walk_with_an_error(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """A service that goes in circles does not make the client go in circles."""
    _pages(scripted, ("s-1", "t-2"), ("s-2", "t-3"), ("s-3", "t-2"), ("s-4", ""))
    seen, error = await _broken_walk(bay)
    assert isinstance(error, PageTokenError)
    assert seen == ["s-1", "s-2", "s-3"]
    assert len(scripted.requests) == 3


async def test_a_failed_page_raises_in_the_walk(bay: AsyncAgentBay, scripted: Script) -> None:
    """A walk that ended early without an error would pass for a complete one."""
    _pages(scripted, ("s-1", "t-2"))
    scripted.fail("ListSession", "ServiceUnavailable", status=503)
    seen, error = await _broken_walk(bay)
    assert isinstance(error, ServiceError)
    assert seen == ["s-1"]


async def test_a_failed_first_page_is_a_failed_result(bay: AsyncAgentBay, scripted: Script) -> None:
    """Awaited, the listing reports; reading its sessions raises the reason."""
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


async def test_a_page_is_reached_through_those_before_it(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The protocol knows tokens only; filters go along on the way."""
    _pages(scripted, ("s-1", "t-2"), ("s-2", "t-3"), ("s-3", "t-4"))
    page = await bay.list(page=3, limit=1, image_id="code_latest")
    assert page.session_ids == ["s-3"]
    asked = scripted.forms("ListSession")
    assert [one.get("NextToken") for one in asked] == [None, "t-2", "t-3"]
    assert {(one["MaxResults"], one["ImageId"]) for one in asked} == {("1", "code_latest")}


async def test_a_walk_may_begin_at_a_page(bay: AsyncAgentBay, scripted: Script) -> None:
    """Iterated, a page number is where the walk begins."""
    _pages(scripted, ("s-1", "t-2"), ("s-2", "t-3"), ("s-3", ""))
    assert await _walk(bay, page=2, limit=1) == ["s-2", "s-3"]


async def test_a_page_beyond_the_last_is_a_failed_result(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The message says which page is the last."""
    _pages(scripted, ("s-1", "t-2"), ("s-2", ""))
    page = await bay.list(page=4)
    assert isinstance(page.error, PageTokenError)
    assert page.error_message == "there is no page 4; page 2 is the last"


async def test_an_expired_token_is_told_apart(bay: AsyncAgentBay, scripted: Script) -> None:
    """A token that the service no longer knows gives an error of its own."""
    scripted.fail("ListSession", "InvalidParameter.NextToken", "the token has expired")
    assert isinstance((await bay.list()).error, PageTokenError)


@pytest.mark.parametrize("status", ["paused", "PAUSED", SessionStatus.PAUSED])
async def test_filters_are_sent(bay: AsyncAgentBay, scripted: Script, status: Any) -> None:
    """A state may be given in any case, as text or as a member."""
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
async def test_a_query_that_cannot_be_meant_raises_at_once(
    bay: AsyncAgentBay, scripted: Script, query: Any, kind: type[Exception], named: str
) -> None:
    """Not when it is awaited, but where it was written."""
    with pytest.raises(kind, match=named):
        _ = bay.list(**query)
    assert scripted.requests == []
