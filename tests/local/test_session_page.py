"""The page of a session for people."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")


async def look(api: Api, url: str, *, path: str = "/", method: str = "GET") -> tuple[int, str, str]:
    """Open a page as a browser does; return status, security policy and text."""
    host = urlsplit(url).netloc
    async with api.http.request(
        method, f"{api.service.endpoint}{path}", headers={"Host": host}
    ) as answer:
        policy = answer.headers.get("Content-Security-Policy", "")
        return answer.status, policy, await answer.text()


async def test_create_get_and_info_have_the_address_of_the_page(api: Api) -> None:
    """On a host of the session, with its resource."""
    created = (await api.ok("CreateMcpSession"))["Data"]
    url = created["ResourceUrl"]
    assert url.endswith(f"/?resourceId={created['ResourceId']}")
    assert (urlsplit(url).hostname or "").endswith(".localhost")
    for action in ("GetSession", "GetMcpResource"):
        assert (await api.ok(action, SessionId=created["SessionId"]))["Data"]["ResourceUrl"] == url
    other = (await api.ok("CreateMcpSession"))["Data"]["ResourceUrl"]
    assert urlsplit(other).hostname != urlsplit(url).hostname


async def test_the_page_says_what_the_session_is_and_lets_nothing_run(api: Api) -> None:
    """Its state is the present one."""
    created = (await api.ok("CreateMcpSession"))["Data"]
    for state in ("RUNNING", "PAUSED"):
        status, policy, text = await look(api, created["ResourceUrl"])
        assert (status, policy) == (200, "default-src 'none'; frame-ancestors 'none'")
        for part in (created["SessionId"], "linux_latest", f"State: {state}", "later version"):
            assert part in text
        await api.ok("PauseSessionAsync", SessionId=created["SessionId"])
        await api.reached(created["SessionId"], "PAUSED")


async def test_there_is_nothing_else_on_that_host(api: Api) -> None:
    """No other path, no action, and nothing after the end of the session."""
    created = (await api.ok("CreateMcpSession"))["Data"]
    assert (await look(api, created["ResourceUrl"], path="/healthz"))[0] == 404
    assert (await look(api, created["ResourceUrl"], method="POST"))[0] == 404
    await api.released(created["SessionId"])
    assert (await look(api, created["ResourceUrl"]))[0] == 404


async def test_a_host_that_is_not_signed_has_no_page(api: Api) -> None:
    """Nor does the host of another purpose."""
    created = (await api.ok("CreateMcpSession"))["Data"]
    host = urlsplit(created["ResourceUrl"]).hostname or ""
    forged = f"http://{host[:10]}{'0' if host[10] != '0' else '1'}{host[11:]}:1/"
    assert (await look(api, forged))[0] == 403
    link = (await api.ok("GetLink", SessionId=created["SessionId"], Port=30100))["Data"]["Url"]
    assert created["SessionId"] not in urlsplit(link).netloc
