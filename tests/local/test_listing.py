"""Listings of sessions: filters, pages, tokens."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")


@pytest.fixture
def run() -> str:
    """Return a label value that only this test uses."""
    return uuid.uuid4().hex


async def pages(api: Api, **fields: Any) -> list[dict[str, Any]]:
    """Return the bodies of all pages."""
    found = [await api.ok("ListSession", **fields)]
    while token := found[-1]["NextToken"]:
        found.append(await api.ok("ListSession", NextToken=token, **fields))
    return found


async def test_all_labels_must_match(api: Api, run: str) -> None:
    """A filter with two labels finds the session that has both."""
    both = await api.session(Labels={"run": run, "tier": "web"})
    await api.session(Labels={"run": run, "tier": "db"})
    body = await api.ok("ListSession", Labels={"run": run, "tier": "web"})
    assert [entry["SessionId"] for entry in body["Data"]] == [both]
    assert body["TotalCount"] == 1


async def test_values_match_exactly_and_with_their_case(api: Api, run: str) -> None:
    """Neither a part of a value nor another case matches."""
    await api.session(Labels={"run": run, "tier": "Web"})
    for near in ("web", "We", "Web "):
        assert (await api.ok("ListSession", Labels={"run": run, "tier": near}))["Data"] == []


async def test_pages_show_every_session_once_and_the_same_total(api: Api, run: str) -> None:
    """Seven sessions in pages of three."""
    made = [await api.session(Labels={"run": run}) for _ in range(7)]
    bodies = await pages(api, Labels={"run": run}, MaxResults=3)
    listed = [entry["SessionId"] for body in bodies for entry in body["Data"]]
    assert listed == made[::-1]
    assert [len(body["Data"]) for body in bodies] == [3, 3, 1]
    assert {body["TotalCount"] for body in bodies} == {7}
    assert {body["MaxResults"] for body in bodies} == {3}


async def test_pages_stay_complete_while_sessions_come_and_go(api: Api, run: str) -> None:
    """A new session does not shift a page, and a released one leaves no gap."""
    made = [await api.session(Labels={"run": run}) for _ in range(4)]
    first = await api.ok("ListSession", Labels={"run": run}, MaxResults=2)
    await api.session(Labels={"run": run})
    await api.released(made[3])
    token = first["NextToken"]
    second = await api.ok("ListSession", Labels={"run": run}, MaxResults=2, NextToken=token)
    assert [entry["SessionId"] for entry in second["Data"]] == [made[1], made[0]]


async def test_the_last_page_has_an_empty_token_even_when_it_is_full(api: Api, run: str) -> None:
    """No client requests an empty page."""
    for _ in range(2):
        await api.session(Labels={"run": run})
    assert (await api.ok("ListSession", Labels={"run": run}, MaxResults=2))["NextToken"] == ""


@pytest.mark.parametrize("size", [0, -1, 101])
async def test_a_page_size_out_of_range_is_rejected(api: Api, size: int) -> None:
    """The bounds are 1 and 100."""
    assert await api.code("ListSession", MaxResults=size) == "InvalidParameter"


async def test_a_token_of_another_listing_is_rejected(api: Api, run: str) -> None:
    """A token belongs to its filter."""
    for _ in range(2):
        await api.session(Labels={"run": run})
    body = await api.ok("ListSession", Labels={"run": run}, MaxResults=1)
    code = await api.code("ListSession", Labels={"run": "other"}, NextToken=body["NextToken"])
    assert code == "InvalidParameter.NextToken"


@pytest.mark.parametrize("token", ["x", "e30.abc", "é", "." * 50, "A" * 5000])
async def test_an_unsigned_token_is_rejected(api: Api, token: str) -> None:
    """Any text that the service has not signed."""
    assert await api.code("ListSession", NextToken=token) == "InvalidParameter.NextToken"


async def test_image_and_status_filter(api: Api, run: str) -> None:
    """Both filters narrow a listing."""
    plain = await api.session(Labels={"run": run})
    code = await api.session(Labels={"run": run}, ImageId="code_latest")
    await api.ok("PauseSessionAsync", SessionId=plain)
    await api.reached(plain, "PAUSED")
    paused = await api.ok("ListSession", Labels={"run": run}, Status="PAUSED")
    imaged = await api.ok("ListSession", Labels={"run": run}, ImageId="code_latest")
    assert [entry["SessionId"] for entry in paused["Data"]] == [plain]
    assert paused["Data"][0]["SessionStatus"] == "PAUSED"
    assert [entry["SessionId"] for entry in imaged["Data"]] == [code]


async def test_an_unknown_status_is_rejected(api: Api) -> None:
    """A typing error must not look like an empty account."""
    assert await api.code("ListSession", Status="SLEEPING") == "InvalidParameter"


async def test_a_released_session_is_not_listed(api: Api, run: str) -> None:
    """It is gone from the listing as soon as its release is accepted."""
    session = await api.session(Labels={"run": run})
    await api.ok("DeleteSessionAsync", SessionId=session)
    assert (await api.ok("ListSession", Labels={"run": run}))["Data"] == []


async def test_new_labels_replace_the_old_ones_in_listings(api: Api, run: str) -> None:
    """At once."""
    session = await api.session(Labels={"run": run, "old": "1"})
    await api.ok("SetLabel", SessionId=session, Labels={"run": run, "new": "1"})
    assert (await api.ok("ListSession", Labels={"run": run, "old": "1"}))["TotalCount"] == 0
    assert (await api.ok("ListSession", Labels={"run": run, "new": "1"}))["TotalCount"] == 1
    labels = (await api.ok("GetLabel", SessionId=session))["Data"]["Labels"]
    assert labels == f'{{"run":"{run}","new":"1"}}'


@pytest.mark.parametrize(
    "labels",
    [
        {"": "x"},
        {"  ": "x"},
        {"a": ""},
        {"a": "  "},
        {"k" * 300: "x"},
        {"a": "v" * 5000},
        {str(number): "x" for number in range(101)},
        {"a": "\ud800"},
    ],
)
@pytest.mark.parametrize("action", ["CreateMcpSession", "SetLabel"])
async def test_invalid_labels_are_rejected(api: Api, labels: dict[str, str], action: str) -> None:
    """Blank, too long, too many or malformed ones; the error names them."""
    session = await api.session()
    status, body = await api.call(action, SessionId=session, Labels=labels)
    assert (status, body["Code"]) == (400, "InvalidParameter")
    assert "Labels" in body["Message"]


async def test_labels_keep_any_text(api: Api) -> None:
    """Emoji, quotes and line breaks are unchanged."""
    labels = {"名前": "値 🚀", 'q"uote': "line\nbreak\t\\"}
    session = await api.session(Labels=labels)
    answer = (await api.ok("GetLabel", SessionId=session))["Data"]["Labels"]
    assert json.loads(answer) == labels
