"""Faults as a client sees them: the answer, the effect and the journal."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from agentbay_async import AsyncAgentBay, PageTokenError, ThrottledError
from agentbay_local import (
    Delay,
    Drop,
    ExpireToken,
    Fail,
    FailTask,
    Garbage,
    Lag,
    LocalService,
    ManualClock,
    Repeat,
    Slow,
    StickTask,
    Throttle,
    Truncate,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.local.conftest import Api

    Asleep = Callable[[ManualClock, int], Awaitable[None]]

PATIENCE = 60.0


async def contexts(api: Api) -> int:
    """Return the number of contexts."""
    return int((await api.ok("ListContexts"))["TotalCount"])


async def lost(api: Api, name: str) -> aiohttp.ClientError:
    """Request a new context, receive no answer, and return the failure."""
    with pytest.raises(aiohttp.ClientError) as caught:
        await api.call("GetContext", Name=name, AllowCreate=True)
    return caught.value


async def known(api: Api, name: str) -> bool:
    """Return whether there is a context with that name."""
    return (await api.call("GetContext", Name=name))[1]["Success"] is True


async def test_a_failure_has_any_code_and_status(controlled_api: Api) -> None:
    """The action is not carried out."""
    controlled_api.service.faults.add(Fail("Some.Code", 418, "No tea."), "GetContext", nth=1)
    status, body = await controlled_api.call("GetContext", Name="f1", AllowCreate=True)
    assert status == 418
    assert (body["Code"], body["Message"], body["Success"]) == ("Some.Code", "No tea.", False)
    assert body["RequestId"]
    assert not await known(controlled_api, "f1")


async def test_a_repeated_request_is_handled_twice(controlled_api: Api) -> None:
    """The client gets one answer, and the journal has one entry."""
    controlled_api.service.faults.add(Repeat(), "CreateMcpSession", nth=1)
    labels = '{"made": "twice"}'
    created = (await controlled_api.ok("CreateMcpSession", Labels=labels))["Data"]["SessionId"]
    found = await controlled_api.ok("ListSession", Labels=labels)
    listed = [entry["SessionId"] for entry in found["Data"]]
    assert len(listed) == 2
    assert created in listed
    assert [one.fault for one in controlled_api.service.journal.find("CreateMcpSession")] == [
        "repeat"
    ]


@pytest.mark.parametrize("own", [False, True])
async def test_throttling_has_a_retry_after(controlled_api: Api, own: bool) -> None:
    """In seconds in one header, in milliseconds in the other; our client reads both."""
    controlled_api.service.faults.add(Throttle(7, own_header=own), "ListContexts", nth=1)
    controlled_api.service.faults.add(Throttle(2, own_header=own))
    form = {"Authorization": f"Bearer {controlled_api.service.api_key}"}
    url = f"{controlled_api.service.endpoint}/?Action=ListContexts"
    async with controlled_api.http.post(url, data=form) as answer:
        assert answer.status == 429
        name, value = ("x-acs-retry-after", "7000") if own else ("Retry-After", "7")
        assert answer.headers[name] == value
    clock = ManualClock(auto=True)
    client = AsyncAgentBay(
        controlled_api.service.api_key, endpoint=controlled_api.service.endpoint, clock=clock
    )
    async with client as bay:
        error = (await bay.context.list()).error
        assert isinstance(error, ThrottledError)
        assert error.retry_after == 2


@pytest.mark.parametrize("reset", [False, True])
async def test_a_request_dropped_before_the_action_has_no_effect(
    controlled_api: Api, reset: bool
) -> None:
    """The connection ends without an answer."""
    controlled_api.service.faults.add(Drop(reset=reset), "GetContext", nth=1)
    name = f"before-{reset}"
    error = await lost(controlled_api, name)
    assert isinstance(error, aiohttp.ClientOSError if reset else aiohttp.ServerDisconnectedError)
    assert not await known(controlled_api, name)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_request_dropped_after_the_action_has_its_effect(
    controlled_api: Api, reset: bool
) -> None:
    """The client cannot know."""
    controlled_api.service.faults.add(Drop(committed=True, reset=reset), "GetContext", nth=1)
    name = f"after-{reset}"
    await lost(controlled_api, name)
    assert await known(controlled_api, name)
    entry = controlled_api.service.journal.find("GetContext", fault="drop")[0]
    assert (entry.status, entry.code, entry.ok) == (0, "", False)


async def test_a_truncated_answer_is_shorter_than_its_length(controlled_api: Api) -> None:
    """The action is carried out."""
    controlled_api.service.faults.add(Truncate(), "GetContext", nth=1)
    error = await lost(controlled_api, "cut")
    assert isinstance(error, aiohttp.ClientPayloadError)
    assert await known(controlled_api, "cut")


async def test_a_large_answer_can_be_truncated(controlled_api: Api, sandboxed: None) -> None:
    """Its length is that of the whole."""
    session = await controlled_api.session()
    controlled_api.service.faults.add(Truncate(), "CallMcpTool", nth=1)
    long = "head -c 1000000 /dev/zero | tr '\\0' x"
    with pytest.raises(aiohttp.ClientPayloadError, match=r"not enough data|not completed"):
        await controlled_api.tool(session, "shell", command=long)


async def test_garbage_comes_with_status_200(controlled_api: Api) -> None:
    """The action is carried out."""
    controlled_api.service.faults.add(Garbage("<html>"), "GetContext", nth=1)
    with pytest.raises(aiohttp.ContentTypeError):
        await controlled_api.call("GetContext", Name="garbage", AllowCreate=True)
    assert await known(controlled_api, "garbage")
    assert controlled_api.service.journal.find(fault="garbage")[0].status == 200


async def test_a_delay_and_a_slow_answer_take_their_time(
    timed: Api, clock: ManualClock, asleep: Asleep
) -> None:
    """On the clock of the service; the answer is complete in the end."""
    timed.service.faults.add(Delay(30), nth=1)
    timed.service.faults.add(Slow(30, pieces=3), nth=2)
    for _ in range(2):
        call = asyncio.create_task(timed.ok("ListContexts"))
        await asleep(clock, 1)
        await clock.aadvance(29)
        assert not call.done()
        await clock.aadvance(2)
        assert (await asyncio.wait_for(call, PATIENCE))["TotalCount"] == 0


async def test_a_page_token_expires(controlled_api: Api) -> None:
    """Our client raises a special error type."""
    for _ in range(2):
        await controlled_api.context()
    token = (await controlled_api.ok("ListContexts", MaxResults=1))["NextToken"]
    controlled_api.service.faults.add(ExpireToken(), times=2)
    code = await controlled_api.code("ListContexts", MaxResults=1, NextToken=token)
    assert code == "InvalidParameter.NextToken"
    async with AsyncAgentBay(
        controlled_api.service.api_key, endpoint=controlled_api.service.endpoint
    ) as bay:
        from agentbay_async import ContextListParams

        params = ContextListParams(max_results=1, next_token=token)
        assert isinstance((await bay.context.list(params)).error, PageTokenError)
    await controlled_api.ok("ListContexts", MaxResults=1, NextToken=token)


async def test_a_lagging_label_index_omits_new_sessions(
    timed: Api, clock: ManualClock, sandboxed: None
) -> None:
    """Listings without labels and look-ups have them."""
    timed.service.faults.add(Lag(10), "ListSession")
    session = await timed.session(Labels={"a": "b"})
    seen = [(await timed.ok("ListSession", Labels={"a": "b"}))["TotalCount"]]
    assert (await timed.ok("ListSession"))["TotalCount"] == 1
    assert await timed.status(session) == "RUNNING"
    await clock.aadvance(11)
    page = await timed.ok("ListSession", Labels={"a": "b"})
    seen += [page["TotalCount"], len(page["Data"])]
    assert seen == [0, 1, 1]


async def test_a_transfer_of_files_fails(controlled_api: Api, sandboxed: None) -> None:
    """The task has the reason; the next one succeeds."""
    context = await controlled_api.context()
    controlled_api.service.faults.add(FailTask("the disk is on fire"), "upload", nth=1)
    session = await controlled_api.mounted(context)
    await controlled_api.sh(session, "echo 1 > /mnt/data/a")
    for expected in (["the disk is on fire"], [None, "the disk is on fire"]):
        await controlled_api.ok("SyncContext", SessionId=session)
        tasks = await controlled_api.settled(session, TaskType="upload")
        errors = [task.get("errorMessage") for task in tasks]
        assert sorted(errors, key=str) == sorted(expected, key=str)
    assert await controlled_api.fetch(context, "a") == b"1\n"
    await controlled_api.released(session)


async def test_a_stuck_transfer_delays_the_release(controlled_api: Api, sandboxed: None) -> None:
    """Until the service is reset."""
    context = await controlled_api.context()
    session, other = await controlled_api.mounted(context), await controlled_api.mounted(context)
    controlled_api.service.faults.add(StickTask(), "upload", where={"SessionId": session})
    await controlled_api.ok("SyncContext", SessionId=session)
    await controlled_api.ok("DeleteSessionAsync", SessionId=session)
    await controlled_api.released(other)
    tasks = await controlled_api.tasks(session, TaskType="upload")
    assert all(task["status"] not in ("Success", "Failed") for task in tasks)
    assert await controlled_api.status(session) == "DELETING"
    await controlled_api.service.areset()


async def test_an_upload_to_a_url_breaks_off(controlled_api: Api) -> None:
    """The context is unchanged, and the next upload is complete."""
    context = await controlled_api.context()
    await controlled_api.put(context, "a", b"old")
    content = bytes(300_000)
    controlled_api.service.faults.add(
        Truncate(100_000), "PUT", where={"ContextId": context, "FilePath": "a"}
    )
    body = await controlled_api.ok("GetContextFileUploadUrl", ContextId=context, FilePath="a")
    with pytest.raises(aiohttp.ClientError):
        async with controlled_api.http.put(body["Data"]["Url"], data=io.BytesIO(content)):
            pass
    controlled_api.service.faults.clear()
    assert await controlled_api.fetch(context, "a") == b"old"
    await controlled_api.put(context, "a", content)
    assert await controlled_api.fetch(context, "a") == content


@pytest.mark.parametrize("at", [0, 100_000])
async def test_a_download_from_a_url_breaks_off(controlled_api: Api, at: int) -> None:
    """Its length was announced, so the client detects it."""
    context = await controlled_api.context()
    await controlled_api.put(context, "a", bytes(300_000))
    controlled_api.service.faults.add(Truncate(at), "GET", nth=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await controlled_api.fetch(context, "a")
    assert len(await controlled_api.fetch(context, "a")) == 300_000


async def test_an_upload_can_be_rejected_or_lose_its_answer(controlled_api: Api) -> None:
    """A committed upload stays."""
    context = await controlled_api.context()
    fault = controlled_api.service.faults.add(Fail("InternalError", 500), "PUT", nth=1)
    # aiohttp sends a PUT again on its own when a connection in use turns out to be gone.
    controlled_api.service.faults.add(Drop(committed=True), "PUT", when=lambda _: fault.seen > 1)
    body = await controlled_api.ok("GetContextFileUploadUrl", ContextId=context, FilePath="a")
    url = body["Data"]["Url"]
    async with controlled_api.http.put(url, data=b"1") as answer:
        assert answer.status == 500
    with pytest.raises(aiohttp.ClientError):
        await controlled_api.http.put(url, data=b"2")
    assert await controlled_api.fetch(context, "a") == b"2"


async def test_rules_of_a_file_apply_at_once(api: Api, tmp_path: Path) -> None:
    """Also in a service that is running already."""
    path = tmp_path / "faults.json"
    async with LocalService(faults=path) as service:
        own = type(api)(api.http, service)
        await own.ok("ListContexts")
        path.write_text(json.dumps([{"effect": "fail", "code": "X", "nth": 1}]))
        assert await own.code("ListContexts") == "X"
        await own.ok("ListContexts")


async def test_a_predicate_sees_the_form_of_a_request(controlled_api: Api) -> None:
    """Without the key."""
    seen: list[Any] = []
    controlled_api.service.faults.add(Fail(), when=lambda call: bool(seen.append(call)))
    await controlled_api.ok("ListContexts", MaxResults=3)
    assert [(call.action, dict(call.form)) for call in seen] == [
        ("ListContexts", {"Action": "ListContexts", "MaxResults": "3"})
    ]
