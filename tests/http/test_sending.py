"""Requests as they are sent: method, URL, headers, form."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from agentbay_async import CreateSessionParams, __version__

if TYPE_CHECKING:
    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay, AsyncSession

pytestmark = pytest.mark.usefixtures("over_http")


async def test_the_query_names_action_format_version_time_and_nonce(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The five common parameters are in the query, and nothing else."""
    scripted.ok("ListContexts", [])
    await bay.context.list()
    query = scripted.requests[0].query
    assert sorted(query) == ["Action", "Format", "SignatureNonce", "Timestamp", "Version"]
    assert (query["Action"], query["Format"]) == ("ListContexts", "json")
    assert query["Version"] == "2025-05-06"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", query["Timestamp"])
    assert re.fullmatch(r"[0-9a-f]{32}", query["SignatureNonce"])


async def test_two_requests_never_share_a_nonce(bay: AsyncAgentBay, scripted: Script) -> None:
    """A gateway may reject repeated nonces."""
    scripted.ok("ListContexts", [])
    for _ in range(3):
        await bay.context.list()
    assert len({one.query["SignatureNonce"] for one in scripted.requests}) == 3


async def test_the_headers_name_action_version_and_client(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """With the name of the library as user agent."""
    scripted.ok("ListContexts", [])
    await bay.context.list()
    headers = scripted.requests[0].headers
    assert headers["x-acs-action"] == "ListContexts"
    assert headers["x-acs-version"] == "2025-05-06"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert f"agentbay-python/{__version__}" in headers["User-Agent"]


async def test_the_key_is_sent_in_the_form_and_never_in_the_url(
    session: AsyncSession, scripted: Script, api_key: str
) -> None:
    """URLs end up in access logs."""
    scripted.ok("GetSessionDetail", {"Status": "RUNNING"})
    scripted.ok("SyncContext")
    scripted.ok("GetContextInfo", {})
    scripted.ok("DescribeSessionContexts", [])
    await session.get_status()
    await session.context.sync()
    assert "SyncContext" in scripted.actions
    for one in scripted.requests:
        assert parse_qs(one.body.decode())["Authorization"] == [f"Bearer {api_key}"]
        assert api_key not in one.url
        assert "Authorization" not in one.headers


async def test_get_session_detail_sends_its_parameters_in_the_query(
    session: AsyncSession, scripted: Script
) -> None:
    """Unlike most actions."""
    scripted.ok("GetSessionDetail", {"Status": "RUNNING"})
    await session.get_status()
    assert scripted.requests[0].query["SessionId"] == "s-1"
    assert scripted.forms("GetSessionDetail") == [{}]


@pytest.mark.parametrize("text", ["a b+c&d=e%20", "grüße 你好 🎉", "line\nbreak\t"])
async def test_any_text_arrives_unchanged(bay: AsyncAgentBay, scripted: Script, text: str) -> None:
    """Form encoding keeps every character of a label."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1"})
    (await bay.create(CreateSessionParams(labels={"note": text}))).unwrap()
    assert json.loads(scripted.forms("CreateMcpSession")[0]["Labels"])["note"] == text


async def test_a_path_in_the_endpoint_is_kept(bays: Bays, scripted: Script) -> None:
    """For a service behind a path prefix."""
    scripted.ok("ListContexts", [])
    bay = bays(endpoint=f"{scripted.endpoint}/behind/a/proxy/")
    (await bay.context.list()).unwrap()
    assert scripted.requests[0].url.startswith("/behind/a/proxy/?Format=json")


async def test_text_that_is_not_utf_8_is_rejected_before_anything_is_sent(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Half a surrogate pair, as in undecodable file names."""
    with pytest.raises(ValueError, match="name") as caught:
        await bay.context.get("broken-\udc80")
    assert type(caught.value).__module__ == "agentbay_async.errors"
    assert scripted.requests == []
