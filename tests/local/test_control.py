"""Test controls over HTTP, for tests in other processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local import LocalService, ManualClock

if TYPE_CHECKING:
    from tests.local.conftest import Api

ROUTES = [
    ("GET", "faults"),
    ("POST", "faults"),
    ("DELETE", "faults"),
    ("GET", "journal"),
    ("DELETE", "journal"),
    ("POST", "clock"),
    ("POST", "transitions"),
    ("POST", "finish"),
    ("POST", "reset"),
    ("GET", "status"),
]


async def ask(api: Api, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Send a request with the key; return the status and the document or its lines."""
    headers = {"Authorization": f"Bearer {api.service.api_key}"}
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    url = f"{api.service.endpoint}/_control/{path}"
    async with api.http.request(method, url, data=data, headers=headers) as answer:
        text = await answer.text()
        lines = answer.content_type == "application/x-ndjson"
        return answer.status, [json.loads(line) for line in text.splitlines()] if lines else (
            json.loads(text)
        )


@pytest.mark.parametrize(("method", "name"), ROUTES)
async def test_controls_need_the_key(controlled_api: Api, method: str, name: str) -> None:
    """Reading needs it too."""
    url = f"{controlled_api.service.endpoint}/_control/{name}"
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        async with controlled_api.http.request(method, url, headers=headers) as answer:
            assert (answer.status, (await answer.json())["Code"]) == (403, "NOT_LOGIN")


async def test_health_needs_no_key(controlled_api: Api) -> None:
    """Start scripts poll it."""
    async with controlled_api.http.get(f"{controlled_api.service.endpoint}/healthz") as answer:
        assert (await answer.json())["status"] == "ok"


async def test_faults_are_added_counted_and_removed(controlled_api: Api) -> None:
    """One rule or a list."""
    rule = {"effect": "fail", "code": "X", "action": "ListContexts", "nth": 1}
    status, rules = await ask(controlled_api, "POST", "faults", [rule, {"effect": "lag"}])
    assert (status, len(rules)) == (200, 2)
    assert await controlled_api.code("ListContexts") == "X"
    await ask(controlled_api, "POST", "faults", {"effect": "expire-token"})
    _, rules = await ask(controlled_api, "GET", "faults")
    assert [(one["effect"], one["hits"]) for one in rules] == [
        ("fail", 1),
        ("lag", 0),
        ("expire-token", 0),
    ]
    assert await ask(controlled_api, "DELETE", "faults") == (200, [])
    await controlled_api.ok("ListContexts")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", b"{"),
        ("faults", {"effect": "explode"}),
        ("transitions", {"pause": "later"}),
        ("transitions", {"restart": "manual"}),
        ("transitions", [1]),
        ("finish", {"kind": "restart"}),
        ("clock", {"advance": 1}),
        ("clock", b"x"),
    ],
)
async def test_invalid_requests_are_rejected(controlled_api: Api, path: str, body: object) -> None:
    """With an error of the protocol."""
    status, answer = await ask(controlled_api, "POST", path, body)
    assert (status, answer["Code"]) == (400, "InvalidParameter")
    assert answer["Message"]


async def test_the_journal_is_read_as_lines_and_cleared(controlled_api: Api) -> None:
    """All entries, or those of an action and an outcome."""
    await controlled_api.ok("ListContexts")
    await controlled_api.code("GetSession", SessionId="x")
    _, entries = await ask(controlled_api, "GET", "journal")
    assert [entry["action"] for entry in entries] == ["ListContexts", "GetSession"]
    _, entries = await ask(controlled_api, "GET", "journal?action=GetSession&ok=false")
    assert [entry["code"] for entry in entries] == ["InvalidMcpSession.NotFound"]
    assert await ask(controlled_api, "GET", "journal?action=GetSession&ok=true") == (200, [])
    await ask(controlled_api, "DELETE", "journal")
    assert await ask(controlled_api, "GET", "journal") == (200, [])


async def test_the_clock_is_moved_and_transitions_are_set(
    timed: Api, clock: ManualClock, sandboxed: None
) -> None:
    """A pause takes a minute, or waits until the test ends it."""
    before = clock.time()
    await ask(timed, "POST", "transitions", {"pause": 60})
    session = await timed.session()
    await timed.ok("PauseSessionAsync", SessionId=session)
    await ask(timed, "POST", "clock", {"advance": 59})
    assert await timed.status(session) == "PAUSING"
    assert (await ask(timed, "POST", "clock", {"advance": 2}))[1] == {"time": before + 61}
    assert await timed.status(session) == "PAUSED"
    await ask(timed, "POST", "transitions", {"resume": "manual", "pause": "immediate"})
    await timed.ok("ResumeSessionAsync", SessionId=session)
    await clock.aadvance(1)
    assert await ask(timed, "POST", "finish", {"kind": "resume"}) == (200, {"finished": 1})
    await timed.reached(session, "RUNNING")


async def test_a_reset_drops_everything(api: Api) -> None:
    """Only of this service."""
    async with LocalService() as service:
        own = type(api)(api.http, service)
        await own.context("c")
        assert await ask(own, "POST", "reset") == (200, {})
        assert (await own.ok("ListContexts"))["TotalCount"] == 0


async def test_requests_of_web_pages_are_rejected(controlled_api: Api) -> None:
    """Even with the key."""
    headers = {"Authorization": f"Bearer {controlled_api.service.api_key}", "Origin": "http://evil"}
    url = f"{controlled_api.service.endpoint}/_control/reset"
    async with controlled_api.http.post(url, headers=headers) as answer:
        assert answer.status == 403
