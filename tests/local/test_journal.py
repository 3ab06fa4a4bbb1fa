"""The journal: entries, omissions and queries."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import aiohttp
import pytest

from agentbay_local import Entry, Journal
from agentbay_local.testing.journal import masked

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Api


def entry(action: str = "GetSession", code: str = "ok", fault: str = "") -> Entry:
    """Return an entry."""
    return Entry(
        time=1.0,
        action=action,
        form={},
        status=200,
        code=code,
        request_id="R",
        fault=fault,
        duration=0.1,
        connection="127.0.0.1:1",
    )


async def test_every_request_is_recorded_with_its_outcome(controlled_api: Api) -> None:
    """Also failed ones, and transfers by signed URLs."""
    context = await controlled_api.context("journal")
    await controlled_api.code("GetSession", SessionId="nowhere")
    await controlled_api.put(context, "folder/a.txt", b"1")
    journal = controlled_api.service.journal
    assert [(one.action, one.status, one.code) for one in journal] == [
        ("GetContext", 200, "ok"),
        ("GetSession", 400, "InvalidMcpSession.NotFound"),
        ("GetContextFileUploadUrl", 200, "ok"),
        ("PUT", 200, "ok"),
    ]
    created, refused, _, put = journal
    assert created.form["Name"] == "journal"
    assert put.form == {"ContextId": context, "FilePath": "folder/a.txt"}
    assert created.ok
    assert not refused.ok
    assert 0 < created.duration < 60
    assert created.connection.startswith("127.0.0.1:")
    assert abs(created.time - controlled_api.service.clock.time()) < 60


async def test_an_entry_has_the_request_id_of_the_client(controlled_api: Api) -> None:
    """The report of a failure leads to its entry."""
    body = await controlled_api.ok("ListContexts")
    assert [one.request_id for one in controlled_api.service.journal] == [body["RequestId"]]


async def test_the_journal_has_no_secrets(controlled_api: Api, tmp_path: Path) -> None:
    """Neither entries nor exports; a signed URL is a secret too."""
    context = await controlled_api.context()
    await controlled_api.put(context, "a", b"1")
    await controlled_api.call("ListContexts", Password="hunter2", ApiKey="hunter2")
    controlled_api.service.journal.export(tmp_path / "journal.jsonl")
    text = (tmp_path / "journal.jsonl").read_text() + repr(list(controlled_api.service.journal))
    assert controlled_api.service.api_key not in text
    assert "hunter2" not in text
    assert "/files/" not in text


async def test_a_cancelled_request_is_recorded(controlled_api: Api) -> None:
    """As one without an answer."""
    context = await controlled_api.context()
    body = await controlled_api.ok("GetContextFileUploadUrl", ContextId=context, FilePath="a")

    async def half() -> object:
        yield b"half"
        raise OSError("gone")

    with pytest.raises((OSError, aiohttp.ClientError)):
        await controlled_api.http.put(body["Data"]["Url"], data=half())
    (put,) = await controlled_api.service.journal.await_for("PUT")
    assert (put.status, put.code) == (0, "")


def test_entries_are_found_by_their_fields() -> None:
    """Conditions narrow each other."""
    journal = Journal()
    for one in (entry(), entry(code="X"), entry("ListSession", fault="drop"), entry("ListSession")):
        journal.add(one)
    assert len(journal.find("GetSession")) == 2
    assert len(journal.find(ok=True)) == 3
    assert len(journal.find("GetSession", ok=False)) == 1
    assert len(journal.find(code="X")) == 1
    assert len(journal.find("ListSession", fault="")) == 1
    assert len(journal.find(where=lambda one: one.fault == "drop")) == 1


def test_the_oldest_entries_are_dropped_and_counted() -> None:
    """The journal does not grow for ever."""
    journal = Journal(limit=3)
    for number in range(5):
        journal.add(entry(f"A{number}"))
    assert [one.action for one in journal] == ["A2", "A3", "A4"]
    assert (len(journal), journal.dropped) == (3, 2)
    journal.clear()
    assert (len(journal), journal.dropped) == (0, 0)


def test_a_test_waits_for_a_request_of_another_thread() -> None:
    """The request wakes it."""
    journal = Journal()
    thread = threading.Thread(target=lambda: [journal.add(entry()) for _ in range(2)])
    thread.start()
    assert len(journal.wait_for("GetSession", count=2, timeout=60)) == 2
    thread.join()


async def test_a_failed_wait_lists_the_recorded_requests() -> None:
    """In both forms."""
    journal = Journal()
    journal.add(entry())
    with pytest.raises(TimeoutError, match="1 of 2 requests GetSession"):
        journal.wait_for("GetSession", count=2, timeout=0.01)
    with pytest.raises(TimeoutError, match="0 of 1 requests ListSession"):
        await journal.await_for("ListSession", timeout=0.01)


def test_each_line_is_json_and_long_values_are_cut() -> None:
    """Half a surrogate pair in a form does not break the export."""
    form = masked({"Args": "x" * 5000, "Bad": "\ud800", "NextToken": "t", "AuthToken": "s"})
    assert len(form["Args"]) < 2100
    assert (form["NextToken"], form["AuthToken"]) == ("t", "***")
    journal = Journal()
    journal.add(Entry(1.0, "A", form, 200, "ok", "R", "", 0.1, ""))
    (line,) = journal.lines().encode().decode().splitlines()
    assert json.loads(line)["action"] == "A"
