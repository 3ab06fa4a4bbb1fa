"""``bay.context``: contexts by name and id, their pages, and clearing them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    APIError,
    ArgumentTypeError,
    AsyncAgentBay,
    ClearanceTimeoutError,
    Context,
    ContextListParams,
    ContextNotFoundError,
    InvalidArgumentError,
    PageTokenError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.conftest import InstantClock
    from tests.http.scripted import Script

    from agentbay_async import Result

_GONE = "Context.NotFound"
_RECORD = {
    "Id": "SdkCtx-1",
    "Name": "data",
    "State": "available",
    "OsType": "linux",
    "CreateTime": "2025-01-01",
    "LastUsedTime": "2025-01-02",
}


async def test_get_by_name_does_not_create(bay: AsyncAgentBay, scripted: Script) -> None:
    """The request says that it is a look-up only."""
    scripted.ok("GetContext", _RECORD)
    result = await bay.context.get("data")
    assert result.context == Context(
        "SdkCtx-1", "data", "2025-01-01", "2025-01-02", "available", "linux"
    )
    assert result.context_id == "SdkCtx-1"
    assert result.request_id == "REQ-GetContext"
    assert scripted.forms("GetContext") == [{"AllowCreate": "false", "Name": "data"}]


async def test_get_with_create_creates_a_missing_context(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Both spellings send the same, with the region."""
    scripted.ok("GetContext", _RECORD)
    await bay.context.get("data", create=True)
    await bay.context.create("data")
    wanted = {"AllowCreate": "true", "Name": "data", "LoginRegionId": "cn-hangzhou"}
    assert scripted.forms("GetContext") == [wanted, wanted]


async def test_get_by_id(bay: AsyncAgentBay, scripted: Script) -> None:
    """An id needs no name."""
    scripted.ok("GetContext", _RECORD)
    (await bay.context.get(context_id="SdkCtx-1")).unwrap()
    assert scripted.forms("GetContext") == [{"AllowCreate": "false", "ContextId": "SdkCtx-1"}]


@pytest.mark.parametrize("data", [None, {}, {"Id": "", "Name": "data"}])
async def test_an_empty_answer_is_a_missing_context(
    bay: AsyncAgentBay, scripted: Script, data: object
) -> None:
    """The service answers a failed look-up with success and no data."""
    scripted.ok("GetContext", data)
    result = await bay.context.get("data")
    assert isinstance(result.error, ContextNotFoundError)
    assert "'data'" in result.error_message
    for read in ("context", "context_id"):
        with pytest.raises(ContextNotFoundError):
            getattr(result, read)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"name": "a", "context_id": "b"},
        {"context_id": "b", "create": True},
        {"name": ""},
        {"name": " "},
        {"context_id": "a b"},
    ],
)
async def test_an_invalid_look_up_is_rejected(
    bay: AsyncAgentBay, scripted: Script, arguments: dict[str, Any]
) -> None:
    """Neither or both, blank, or an id with create: nothing is sent."""
    with pytest.raises(InvalidArgumentError):
        await bay.context.get(**arguments)
    assert scripted.requests == []


@pytest.mark.parametrize("arguments", [{"name": 5}, {"context_id": {}}, {"name": "a", "create": 1}])
async def test_a_look_up_of_the_wrong_type_is_rejected(
    bay: AsyncAgentBay, scripted: Script, arguments: dict[str, Any]
) -> None:
    """A dict as an id, or a number as a flag, raises."""
    with pytest.raises(ArgumentTypeError):
        await bay.context.get(**arguments)
    assert scripted.requests == []


async def test_list_returns_one_page(bay: AsyncAgentBay, scripted: Script) -> None:
    """With its token and counts; entries without an id are skipped."""
    data = [_RECORD, {"Name": "no id"}]
    scripted.ok("ListContexts", data, NextToken="t-2", MaxResults=2, TotalCount=3)
    params = ContextListParams(max_results=2, next_token="t-1", session_id="s-1")
    result = await bay.context.list(params)
    assert scripted.forms("ListContexts") == [
        {"MaxResults": "2", "NextToken": "t-1", "SessionId": "s-1"}
    ]
    assert [context.name for context in result.contexts] == ["data"]
    assert (result.next_token, result.max_results, result.total_count) == ("t-2", 2, 3)


async def test_list_requests_ten_by_default(bay: AsyncAgentBay, scripted: Script) -> None:
    """Without contexts the page is empty."""
    scripted.ok("ListContexts")
    result = await bay.context.list()
    assert scripted.forms("ListContexts") == [{"MaxResults": "10"}]
    assert (result.contexts, result.next_token, result.total_count) == ([], "", None)


async def test_iterate_covers_every_page(bay: AsyncAgentBay, scripted: Script) -> None:
    """All contexts of the account."""
    scripted.ok("ListContexts", [{"Id": "c-1"}, {"Id": "c-2"}], NextToken="t-2")
    scripted.ok("ListContexts", [{"Id": "c-3"}])
    assert [context.id async for context in bay.context.iterate()] == ["c-1", "c-2", "c-3"]
    assert [one.get("NextToken") for one in scripted.forms("ListContexts")] == [None, "t-2"]


async def test_iterate_ends_if_a_token_repeats(bay: AsyncAgentBay, scripted: Script) -> None:
    """A service that loops does not loop the client."""
    for _ in range(2):
        scripted.ok("ListContexts", [{"Id": "c-1"}], NextToken="t-2")
    scripted.ok("ListContexts", [])
    with pytest.raises(PageTokenError):
        _ = [context async for context in bay.context.iterate()]
    assert len(scripted.requests) == 2


async def test_update_renames_a_context(bay: AsyncAgentBay, scripted: Script) -> None:
    """To the name in the changed copy."""
    scripted.ok("ModifyContext")
    context = Context("SdkCtx-1", "old")
    context.name = "new"
    assert (await bay.context.update(context)).data is True
    assert scripted.forms("ModifyContext") == [{"Id": "SdkCtx-1", "Name": "new"}]


@pytest.mark.parametrize("context", [Context("SdkCtx-1"), "SdkCtx-1"])
async def test_delete_accepts_a_context_or_its_id(
    bay: AsyncAgentBay, scripted: Script, context: Any
) -> None:
    """Both name the context."""
    scripted.ok("DeleteContext")
    assert (await bay.context.delete(context)).data is True
    assert scripted.forms("DeleteContext") == [{"Id": "SdkCtx-1"}]


async def test_deleting_a_missing_context_is_a_success(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The caller wanted it gone."""
    scripted.fail("DeleteContext", _GONE)
    result = await bay.context.delete("SdkCtx-1")
    assert result.data is True
    assert result.request_id == "REQ-DeleteContext"


async def test_clear_waits_until_the_files_are_gone(
    bay: AsyncAgentBay, scripted: Script, clock: InstantClock
) -> None:
    """Until the state is available again."""
    scripted.ok("ClearContext")
    for state in ("clearing", "pre-available", "clearing", "available"):
        scripted.ok("GetContext", {"Id": "c-1", "State": state})
    result = await bay.context.clear("c-1", timeout=timedelta(minutes=1), poll_interval=0.06)
    assert result.data == "available"
    assert scripted.forms("ClearContext") == [{"Id": "c-1"}]
    assert clock.sleeps == [0.02, 0.035, 0.06]


async def test_clear_does_not_take_a_missing_state_for_the_end(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The context may still be clearing."""
    scripted.ok("ClearContext")
    scripted.ok("GetContext", {"Id": "c-1"})
    scripted.ok("GetContext", {"Id": "c-1", "State": "available"})
    assert (await bay.context.clear("c-1")).data == "available"


async def test_clear_times_out(bay: AsyncAgentBay, scripted: Script) -> None:
    """The error has a special class and the timeout."""
    scripted.ok("ClearContext")
    scripted.ok("GetContext", {"Id": "c-1", "State": "clearing"})
    result = await bay.context.clear("c-1", timeout=10)
    assert isinstance(result.error, ClearanceTimeoutError)
    assert "c-1" in result.error_message
    assert "10 s" in result.error_message


async def test_clear_reports_a_rejected_start(bay: AsyncAgentBay, scripted: Script) -> None:
    """A missing context cannot be cleared, and is not polled."""
    scripted.fail("ClearContext", _GONE)
    assert isinstance((await bay.context.clear("c-1")).error, ContextNotFoundError)
    assert scripted.actions == ["ClearContext"]


async def test_clear_reports_a_context_that_disappears(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """It does not count as cleared."""
    scripted.ok("ClearContext")
    scripted.fail("GetContext", _GONE)
    assert isinstance((await bay.context.clear("c-1")).error, ContextNotFoundError)


async def test_clearing_can_be_started_and_polled_separately(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Start it, and query the state later."""
    scripted.ok("ClearContext")
    scripted.ok("GetContext", {"Id": "c-1", "State": "available"})
    assert (await bay.context.start_clear("c-1")).data == "clearing"
    assert (await bay.context.clear_async("c-1")).data == "clearing"
    assert (await bay.context.get_clear_status("c-1")).data == "available"


_CALLS: dict[str, Callable[[AsyncAgentBay], Coroutine[Any, Any, Result[Any]]]] = {
    "GetContext": lambda bay: bay.context.get("data"),
    "ListContexts": lambda bay: bay.context.list(),
    "ModifyContext": lambda bay: bay.context.update(Context("c-1", "n")),
    "DeleteContext": lambda bay: bay.context.delete("c-1"),
    "ClearContext": lambda bay: bay.context.start_clear("c-1"),
    "DescribeContextFiles": lambda bay: bay.context.list_files("c-1"),
    "GetContextFileUploadUrl": lambda bay: bay.context.get_file_upload_url("c-1", "/f"),
    "GetContextFileDownloadUrl": lambda bay: bay.context.get_file_download_url("c-1", "/f"),
    "DeleteContextFile": lambda bay: bay.context.delete_file("c-1", "/f"),
}


@pytest.mark.parametrize("action", _CALLS)
@pytest.mark.parametrize("status", [200, 400])
async def test_an_error_is_a_failed_result_of_every_method(
    bay: AsyncAgentBay, scripted: Script, action: str, status: int
) -> None:
    """HTTP 200 with ``Success: false`` is always a failure."""
    scripted.fail(action, "Some.Code", "the reason", status=status)
    result = await _CALLS[action](bay)
    assert not result.success
    with pytest.raises(APIError, match="the reason"):
        result.unwrap()


@pytest.mark.parametrize(
    "call",
    [
        lambda bay: bay.context.update("c-1"),
        lambda bay: bay.context.delete({"id": "c-1"}),
        lambda bay: bay.context.delete(None),
        lambda bay: bay.context.list({"max_results": 5}),
        lambda bay: bay.context.clear("c-1", timeout="5"),
        lambda bay: bay.context.start_clear(5),
    ],
)
async def test_values_of_the_wrong_type_are_rejected(
    bay: AsyncAgentBay, scripted: Script, call: Callable[[AsyncAgentBay], Any]
) -> None:
    """Nothing is sent."""
    with pytest.raises(ArgumentTypeError):
        await call(bay)
    assert scripted.requests == []


@pytest.mark.parametrize("name", ["", "  "])
async def test_update_needs_a_name(bay: AsyncAgentBay, scripted: Script, name: str) -> None:
    """A blank name is an error."""
    with pytest.raises(InvalidArgumentError, match=r"context\.name"):
        await bay.context.update(Context("c-1", name))
    assert scripted.requests == []
