"""The pages for people: of the service, and of each session."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from agentbay_local import Fail
from agentbay_local.dashboard.session_facts import SessionFacts

from .websocket_client import connect, session_address

if TYPE_CHECKING:
    from tests.local.conftest import Api

    from agentbay_local import ManualClock

pytestmark = pytest.mark.usefixtures("sandboxed")

VIEWERS = 10


async def look(api: Api, url: str, *, path: str = "/", method: str = "GET") -> tuple[int, str, str]:
    """Open a page as a browser does; return status, security policy and text."""
    host = urlsplit(url).netloc
    async with api.http.request(
        method, f"{api.service.endpoint}{path}", headers={"Host": host}
    ) as answer:
        policy = answer.headers.get("Content-Security-Policy", "")
        return answer.status, policy, await answer.text()


async def facts(api: Api, url: str, query: str = "") -> dict[str, Any]:
    """Return the facts of a page."""
    status, _, text = await look(api, url, path=f"/facts{query}")
    assert status == 200
    found: dict[str, Any] = json.loads(text)
    return found


async def page_of(api: Api, session: str) -> str:
    """Return the address of the page of a session."""
    url: str = (await api.ok("GetSession", SessionId=session))["Data"]["ResourceUrl"]
    return url


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


async def test_pages_run_only_the_scripts_of_the_service(api: Api) -> None:
    """Every file that a page names is there, under the same policy, which allows nothing inline."""
    session = await page_of(api, await api.session())
    for url, script in ((session, "session.js"), (api.service.overview_url, "overview.js")):
        status, policy, text = await look(api, url)
        assert status == 200
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert script in text
        for name in (script, "dashboard.css", "tables.js"):
            assert (await look(api, url, path=f"/{name}"))[:2] == (200, policy)


async def test_looking_at_a_session_changes_nothing(api: Api) -> None:
    """No sandbox starts, and the page says that nothing has run."""
    session = await api.session()
    url = await page_of(api, session)
    found = await facts(api, url)
    assert found["sandbox"] is None
    assert (await look(api, url, path="/usage"))[2] == "null"
    overview = await facts(api, api.service.overview_url)
    (shown,) = (one for one in overview["sessions"] if one["id"] == session)
    assert (shown["started"], shown["page"]) == (False, url)


async def test_looking_at_a_session_does_not_keep_it(timed: Api, clock: ManualClock) -> None:
    """A page that stays open is no use of the session."""
    url = await page_of(timed, await timed.session(Timeout=60))
    await clock.aadvance(40)
    await facts(timed, url)
    await clock.aadvance(40)
    assert (await look(timed, url, path="/facts"))[0] == 410


async def test_the_page_of_a_session_that_has_ended_says_why(
    timed: Api, clock: ManualClock
) -> None:
    """To a person and to its script, for as long as the session is on record."""
    released, idle = await timed.session(), await timed.session(Timeout=60)
    urls = [await page_of(timed, session) for session in (released, idle)]
    await timed.released(released)
    await clock.aadvance(61)
    await timed.until(lambda: _has_ended(timed, idle))
    for url, reason in zip(urls, ("released by the client", "it was idle"), strict=True):
        status, policy, text = await look(timed, url)
        assert (status, "default-src 'none'" in policy) == (410, True)
        assert f"This session has ended: {reason}." in text
        status, _, text = await look(timed, url, path="/facts")
        assert (status, json.loads(text)) == (410, {"reason": reason})
    await clock.aadvance(25 * 3600)
    assert "no longer on record" in (await look(timed, urls[0]))[2]


async def _has_ended(api: Api, session: str) -> bool:
    return await api.code("GetSession", SessionId=session) != "ok"


async def test_viewers_of_one_page_share_the_work(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session is looked into once at a time, however many people look."""
    session = await api.session()
    await api.sh(session, "true")
    url = await page_of(api, session)
    looks: list[str] = []
    all_asked, asked = asyncio.Event(), 0
    look_into, collect = SessionFacts._look_into, SessionFacts.collect

    async def slow_look(self: Any, *arguments: Any) -> dict[str, Any]:
        looks.append(arguments[0].id)
        await all_asked.wait()
        return await look_into(self, *arguments)

    async def counted(self: Any, *arguments: Any) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked == VIEWERS:
            all_asked.set()
        return await collect(self, *arguments)

    monkeypatch.setattr(SessionFacts, "_look_into", slow_look)
    monkeypatch.setattr(SessionFacts, "collect", counted)
    found = await asyncio.gather(*(facts(api, url) for _ in range(VIEWERS)))
    assert looks == [session]
    assert all(one["sandbox"]["directory"] == "/home/wuying" for one in found)


async def test_the_page_shows_files_processes_and_calls(api: Api) -> None:
    """As they are now; a directory can be chosen."""
    session = await api.session()
    await api.sh(session, "mkdir -p d && echo hello > 'd/a <b>.txt' && touch -d '@-9' old")
    # Until it becomes another program, a process has the arguments of its shell; then none.
    begun = "until tr '\\0' ' ' < /proc/$!/cmdline | grep -qx 'sleep 300 '; do :; done"
    await api.sh(session, f"sleep 300 > /dev/null 2>&1 & {begun}")
    url = await page_of(api, session)
    found = (await facts(api, url))["sandbox"]
    assert [one["command"] for one in found["processes"]] == ["sleep 300"]
    assert all(one["pid"] < 1000 for one in found["processes"])
    assert {"d": True, "old": False}.items() <= {
        one["name"]: one["directory"] for one in found["files"]["entries"]
    }.items()
    inner = (await facts(api, url, "?directory=/home/wuying/d"))["sandbox"]["files"]
    assert [(one["name"], one["size"]) for one in inner["entries"]] == [("a <b>.txt", 6)]
    lost = (await facts(api, url, "?directory=/nowhere"))["sandbox"]["files"]
    assert "/nowhere" in lost["error"]
    usage = json.loads((await look(api, url, path="/usage"))[2])
    assert 0 < usage["memory"][0] < usage["memory"][1]


async def test_the_page_shows_the_calls_of_its_session_alone(controlled_api: Api) -> None:
    """Each once, if the page asks with the number of the last answer."""
    api = controlled_api
    session, other = await api.session(), await api.session()
    await api.sh(other, "true")
    await api.sh(session, "true")
    url = await page_of(api, session)
    first = await facts(api, url)
    assert [(one["action"], one["name"]) for one in first["calls"]] == [
        ("CallMcpTool", "shell"),
        ("GetSession", ""),
    ]
    again = await facts(api, url, f"?after={first['next']}")
    assert again["calls"] == []
    assert await api.code("GetSession", SessionId="s-none") != "ok"
    overview = await facts(api, api.service.overview_url, f"?after={first['next']}")
    assert [(one["session"], one["code"] == "ok") for one in overview["calls"]] == [
        ("s-none", False)
    ]
    api.service.journal.clear()
    await api.sh(session, "true")
    assert len((await facts(api, url, f"?after={first['next']}"))["calls"]) == 1


async def test_the_page_shows_the_screens_of_terminals(api: Api) -> None:
    """As a person at the terminal sees them, whatever size its program claims."""
    address = await session_address(api, image="linux_latest")
    command = 'stty cols 65000 rows 65000; printf one; printf "\\r\\033[1mtwo\\n"; cat'
    async with connect(api, address) as client:
        await client.open(shell=f"/bin/sh -c '{command}'")
        url = await page_of(api, address.session)

        async def drawn() -> bool:
            (terminal,) = (await facts(api, url))["sandbox"]["terminals"]
            return bool(terminal["lines"] == ["two"] and not terminal["ended"])

        await api.until(drawn)


async def test_the_page_shows_a_program_that_fills_the_screen(api: Api) -> None:
    """Also what it has drawn long ago; when it ends, what was there before comes back."""
    address = await session_address(api, image="linux_latest")
    frame = r"printf '\033[?1049h\033[Hframe\033[2;1Hcount'"
    count = r"for n in $(seq 4000); do printf '\033[2;7H%d' $n; done"
    async with connect(api, address) as client:
        terminal = await client.open(shell="/bin/sh", cols=80, rows=24)
        await client.type(terminal, f"{frame}; {count}; read _; printf '\\033[?1049l'; cat\n")
        url = await page_of(api, address.session)

        async def lines() -> list[str]:
            (one,) = (await facts(api, url))["sandbox"]["terminals"]
            return list(one["lines"])

        async def drawn() -> bool:
            return await lines() == ["frame", "count 4000"]

        await api.until(drawn)
        await client.type(terminal, "\n")

        async def back() -> bool:
            return "frame" not in await lines() and "seq 4000" in "".join(await lines())

        await api.until(back)


async def give_input(api: Api, url: str, event: Any, **headers: str) -> tuple[int, str]:
    """Send what the page of a session sends; return status and text."""
    host = urlsplit(url).netloc
    sent = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
    async with api.http.post(
        f"{api.service.endpoint}/input", data=json.dumps(event), headers={**sent, **headers}
    ) as answer:
        return answer.status, await answer.text()


async def control_page_of(api: Api, session: str) -> str:
    """Return the address that allows input, which the overview has."""
    listed = (await facts(api, api.service.overview_url))["sessions"]
    (url,) = (one["control"] for one in listed if one["id"] == session)
    assert isinstance(url, str)
    return url


async def test_a_page_that_allows_input_types_into_terminals(api: Api) -> None:
    """That which only shows does not, nor does it say where the other one is."""
    address = await session_address(api, image="linux_latest")
    async with connect(api, address) as client:
        opened = await client.open(shell="/bin/sh -c 'read line; echo got $line; cat'")
        shown, controlled = (
            await page_of(api, address.session),
            await control_page_of(api, address.session),
        )
        (terminal,) = (await facts(api, controlled))["sandbox"]["terminals"]
        event = {"to": "terminal", "id": terminal["id"], "text": "hello\r"}
        assert (await facts(api, shown))["input"] is False
        assert (await facts(api, controlled))["input"] is True
        assert urlsplit(controlled).hostname not in (await look(api, shown, path="/facts"))[2]
        assert (await give_input(api, shown, event))[0] == 405
        assert await give_input(api, controlled, event) == (200, '{"error": ""}')

        async def drawn() -> bool:
            (one,) = (await facts(api, controlled))["sandbox"]["terminals"]
            return "got hello" in one["lines"]

        await api.until(drawn)
    assert opened


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Content-Type": "text/plain"}],
)
async def test_pages_of_others_give_no_input(api: Api, headers: dict[str, str]) -> None:
    """They can send a request anywhere, but not one like this."""
    url = await control_page_of(api, await api.session())
    assert (await give_input(api, url, {"to": "desktop"}, **headers))[0] == 403


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ([], "The input must be"),
        ({"to": "else"}, "The input must be"),
        ({"to": "terminal", "id": "none", "text": "x"}, "This terminal has ended"),
        ({"to": "desktop", "do": "click_mouse"}, "The desktop of this session does not run"),
        ({"to": "browser", "do": "click"}, "The browser of this session does not run"),
        ({"to": "terminal", "id": "none", "text": "x" * 200_000}, "more than"),
    ],
)
async def test_input_that_leads_nowhere_is_an_error(api: Api, event: Any, said: str) -> None:
    """Nothing starts for it."""
    session = await api.session()
    url = await control_page_of(api, session)
    assert said in (await give_input(api, url, event))[1]
    assert (await facts(api, url))["sandbox"] is None


async def test_the_overview_shows_contexts_and_faults(controlled_api: Api) -> None:
    """A context has the number of its version; a fault its strikes."""
    api, service = controlled_api, controlled_api.service
    context = await api.context("data")
    await api.put(context, "/a.txt", b"1")
    service.faults.add(Fail(), "ListContexts", times=1)
    await api.call("ListContexts")
    found = await facts(api, service.overview_url)
    (shown,) = (one for one in found["contexts"] if one["id"] == context)
    assert (shown["name"], shown["version"]) == ("data", "1")
    (fault,) = found["faults"]
    assert (fault["action"], fault["hits"]) == ("ListContexts", 1)


async def test_there_is_nothing_else_on_these_hosts(api: Api) -> None:
    """No other path, no action, and nothing after the end of the session."""
    created = (await api.ok("CreateMcpSession"))["Data"]
    for url in (created["ResourceUrl"], api.service.overview_url):
        assert (await look(api, url, path="/healthz"))[0] == 404
        assert (await look(api, url, path="/__init__.py"))[0] == 404
        assert (await look(api, url, method="POST"))[0] == 405
        assert (await look(api, url, path="/facts?after=x"))[0] == 404
    await api.released(created["SessionId"])
    assert (await look(api, created["ResourceUrl"]))[0] == 410


@pytest.mark.parametrize("name", ["session", "overview"])
async def test_a_host_that_is_not_signed_has_no_page(api: Api, name: str) -> None:
    """Nor does the host of another purpose."""
    created = (await api.ok("CreateMcpSession"))["Data"]
    pages = {"session": created["ResourceUrl"], "overview": api.service.overview_url}
    host = urlsplit(pages[name]).hostname or ""
    forged = f"http://{host[:10]}{'0' if host[10] != '0' else '1'}{host[11:]}:1/"
    assert (await look(api, forged))[0] == 403
    link = (await api.ok("GetLink", SessionId=created["SessionId"], Port=30100))["Data"]["Url"]
    assert created["SessionId"] not in urlsplit(link).netloc
