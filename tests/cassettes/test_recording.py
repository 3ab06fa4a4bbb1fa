"""A recorder passes everything on, and writes down everything but secrets."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, urlsplit

import aiohttp
import pytest

from agentbay_local import Cassette, Recorder
from agentbay_local.recording import tape

from . import planted
from .planted import Planted
from .program import use_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agentbay_async import AsyncAgentBay
    from agentbay_local import LocalService

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def secretive() -> AsyncIterator[Planted]:
    """Run the service that plants secrets."""
    async for running in Planted().run():
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the cassette."""
    return tmp_path / "cassette.jsonl"


@pytest.fixture
def recorder(secretive: Planted, path: Path) -> Recorder:
    """Return a recorder of that service, which is not started."""
    return Recorder(path, endpoint=secretive.endpoint, api_key=planted.API_KEY)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Provide a plain HTTP client."""
    async with aiohttp.ClientSession() as client:
        yield client


def read(path: Path) -> str:
    """Return the text of a cassette."""
    return path.read_text()


def exchanges(path: Path) -> list[dict[str, Any]]:
    """Return the exchanges of a cassette as they stand in the file."""
    lines = [json.loads(line) for line in read(path).splitlines()]
    return [line for line in lines if "exchange" in line]


async def use_all_channels(
    http: aiohttp.ClientSession, recorder: Recorder, key: str
) -> dict[str, Any]:
    """Send the key in the form, the query and the header, and use each URL of the answer."""
    bearer = quote_plus(f"Bearer {key}")
    headers = {"Content-Type": FORM, "Cookie": planted.COOKIE}
    form = f"Authorization={bearer}&Action=CreateMcpSession&Args={quote(planted.API_KEY)}"
    async with http.post(f"{recorder.endpoint}/", data=form, headers=headers) as answer:
        data: dict[str, Any] = (await answer.json())["Data"]
    query = f"Action=GetSession&Authorization={bearer}&SignatureNonce=17"
    await (await http.get(f"{recorder.endpoint}/?{query}")).read()
    headers = {"Authorization": f"Bearer {key}", "x-acs-action": "ListSession"}
    await (await http.post(f"{recorder.endpoint}/", headers=headers)).read()
    call = {"tool": "shell", "args": {"command": planted.API_KEY}, "token": data["Token"]}
    headers = {"X-Access-Token": data["Token"]}
    await (await http.post(f"{data['LinkUrl']}/callTool", json=call, headers=headers)).read()
    async with http.ws_connect(data["WsUrl"], headers=headers) as socket:
        await socket.send_str(json.dumps({"invocationId": "1", "data": planted.API_KEY}))
        data["frame"] = await socket.receive_json(timeout=30)
    await (await http.put(data["Url"], data=planted.API_KEY.encode())).read()
    data["file"] = await (await http.get(data["Url"])).read()
    return data


async def test_no_planted_secret_is_written(
    secretive: Planted, http: aiohttp.ClientSession, recorder: Recorder, path: Path
) -> None:
    """Keys and tokens, signed URLs and their parts, in every channel and in every encoding."""
    async with recorder:
        data = await use_all_channels(http, recorder, recorder.api_key)
        given_out = [data["LinkUrl"], data["WsUrl"], data["ResourceUrl"], data["Url"]]

    text = read(path)

    secrets = [*planted.ALL, recorder.api_key, secretive.endpoint, *given_out]
    secrets += [urlsplit(url).path for url in given_out if urlsplit(url).path != "/"]
    forms = {
        form
        for secret in secrets
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
    }
    assert [form for form in forms if form in text] == []
    assert "Cookie" not in text
    assert len(exchanges(path)) == 7
    # The tag is of the file with the key in it, and a client would compare it.
    put, fetched = [exchange["response"]["headers"] for exchange in exchanges(path)[-2:]]
    assert [name.lower() for name in (*put, *fetched) if "tag" in name.lower()] == []


async def test_everything_goes_through_the_recorder(
    secretive: Planted, http: aiohttp.ClientSession, recorder: Recorder
) -> None:
    """The service gets its own key in each place; URLs of answers lead to the recorder."""
    async with recorder:
        data = await use_all_channels(http, recorder, recorder.api_key)
        for name in ("LinkUrl", "WsUrl", "ResourceUrl", "Url"):
            assert urlsplit(data[name]).netloc == urlsplit(recorder.endpoint).netloc
        assert "resourceId=r-1" in data["ResourceUrl"]

    bearer = quote_plus(f"Bearer {planted.API_KEY}")
    create, get, listing, call, talk, put, fetch = secretive.seen
    assert create.startswith("POST / ")
    assert f"Authorization={bearer}&Action=CreateMcpSession" in create
    assert f"/?Action=GetSession&Authorization={bearer}&SignatureNonce=17" in get
    assert f"Bearer {planted.API_KEY}" in listing
    assert planted.TOKEN in call
    assert talk.endswith(planted.TOKEN)
    assert put.startswith(f"PUT /store/a.txt?Expires=1&Signature={planted.SIGNATURE}")
    assert fetch.startswith("GET /store/a.txt")
    assert data["file"] == b"\xff\x00" + planted.API_KEY.encode()
    assert data["frame"]["token"] == planted.TOKEN
    assert recorder.api_key not in "".join(secretive.seen)


async def test_a_cassette_shows_where_the_key_was_sent(
    http: aiohttp.ClientSession, recorder: Recorder, path: Path
) -> None:
    """Form, query or header; nonces are left out, so that two cassettes can be compared."""
    async with recorder:
        await use_all_channels(http, recorder, recorder.api_key)

    create, get, listing, call, *_ = [exchange["request"] for exchange in exchanges(path)]

    assert create["form"]["Authorization"] == "Bearer <api-key>"
    assert get["query"] == {"Action": "GetSession", "Authorization": "Bearer <api-key>"}
    assert listing["headers"]["Authorization"] == "Bearer <api-key>"
    assert call["target"].endswith("://<url-1>/callTool")
    assert call["headers"]["X-Access-Token"] == call["body"]["json"]["token"]


async def test_a_key_of_the_program_itself_is_passed_on_and_not_written(
    secretive: Planted, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A program may not take its key from the environment."""
    path = tmp_path / "cassette.jsonl"
    async with Recorder(path, endpoint=secretive.endpoint, api_key="akm-other") as recorder:
        await use_all_channels(http, recorder, "akm-hard-coded")

    assert "Bearer+akm-hard-coded" in secretive.seen[0]
    assert "akm-hard-coded" not in path.read_text()


@pytest.mark.usefixtures("sandboxed")
async def test_a_program_works_through_a_recorder_as_without(
    service: LocalService,
    recorder_at: Callable[[Path], Recorder],
    client_of: Callable[..., AsyncAgentBay],
    tmp_path: Path,
) -> None:
    """Actions, direct calls, frames and files; no key and no session's token is written."""
    path = tmp_path / "cassette.jsonl"
    async with client_of(service) as bay:
        expected = await use_everything(bay, tmp_path, service.api_key)
    async with recorder_at(path) as recorder, client_of(recorder) as bay:
        seen = await use_everything(bay, tmp_path, service.api_key)

    assert seen == expected
    text = path.read_text()
    assert service.api_key not in text
    assert service.endpoint not in text
    assert recorder.api_key not in text
    cassette = Cassette.read(path)
    assert cassette.is_complete
    targets = {exchange.request.target.partition(">")[2] for exchange in cassette.exchanges()}
    assert "/callTool" in targets
    assert {
        entry["from"] for line in text.splitlines() if "frame_of" in (entry := json.loads(line))
    }
    methods = {exchange.request.method for exchange in cassette.exchanges()}
    assert methods >= {"POST", "GET", "PUT"}


async def test_requests_name_the_region_of_the_user(
    secretive: Planted, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A client that is given an endpoint does not know it."""
    recorder = Recorder(
        tmp_path / "c.jsonl", endpoint=secretive.endpoint, api_key="k-1", region_id="eu-west-1"
    )
    async with recorder:
        form = {"Action": "CreateMcpSession", "LoginRegionId": "cn-hangzhou", "Name": "cn-hangzhou"}
        await (await http.post(f"{recorder.endpoint}/", data=form)).read()

    assert "LoginRegionId=eu-west-1&Name=cn-hangzhou" in secretive.seen[0]


async def test_redirects_of_a_url_stay_with_the_recorder(
    http: aiohttp.ClientSession, recorder: Recorder
) -> None:
    """Those to other servers do not."""
    async with recorder:
        data = await use_all_channels(http, recorder, recorder.api_key)
        own, other = [
            await http.get(
                data["Url"].replace("/store/a.txt", f"/moved/{kind}"), allow_redirects=False
            )
            for kind in ("own", "other")
        ]

    assert own.headers["Location"].startswith(f"{recorder.endpoint}/via/")
    assert own.headers["Location"].endswith("/store/b.txt")
    assert other.headers["Location"] == "https://elsewhere.example/"


async def test_a_page_of_a_session_is_found_below_localhost(
    service: LocalService, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Its host is a name that not every system knows."""
    recorder = Recorder(tmp_path / "c", endpoint=service.endpoint, api_key=service.api_key)
    async with recorder:
        form = {"Authorization": f"Bearer {recorder.api_key}", "Action": "CreateMcpSession"}
        async with http.post(f"{recorder.endpoint}/", data=form) as answer:
            data = (await answer.json())["Data"]
        async with http.get(data["ResourceUrl"]) as page:
            assert "AgentBay session" in await page.text()


async def test_large_bodies_are_counted_and_not_kept(
    secretive: Planted, http: aiohttp.ClientSession, recorder: Recorder, path: Path
) -> None:
    """The file itself arrives whole."""
    size = tape.MAX_BODY + 1
    async with recorder:
        data = await use_all_channels(http, recorder, recorder.api_key)
        async with http.put(data["Url"], data=BytesIO(b"x" * size)) as answer:
            assert answer.status == 200

    assert secretive.seen[-1].endswith("x" * size)
    body = exchanges(path)[-1]["request"]["body"]
    assert body["omitted"] == size
    assert len(read(path)) < size


async def test_a_recording_stops_at_its_limit_and_the_traffic_goes_on(
    secretive: Planted,
    http: aiohttp.ClientSession,
    recorder: Recorder,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The header of the cassette says so."""
    monkeypatch.setattr(tape, "MAX_TOTAL", 4000)
    async with recorder:
        await use_all_channels(http, recorder, recorder.api_key)

    assert len(secretive.seen) == 7
    assert len(exchanges(path)) < 7
    assert not Cassette.read(path).is_complete


async def test_a_service_that_does_not_answer_is_recorded_as_such(
    http: aiohttp.ClientSession, tmp_path: Path, unused_tcp_port: int
) -> None:
    """The client gets an error of HTTP, with no part of the URL in it."""
    path = tmp_path / "cassette.jsonl"
    endpoint = f"http://127.0.0.1:{unused_tcp_port}"
    recorder = Recorder(path, endpoint=endpoint, api_key="akm-1")
    async with recorder, http.post(f"{recorder.endpoint}/?Action=ListSession") as answer:
        assert answer.status == 502
        assert (await answer.json())["Success"] is False

    assert "failed" in exchanges(path)[0]["response"]


async def test_a_url_that_was_not_given_out_leads_nowhere(
    secretive: Planted, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Other users of the machine cannot send requests through a recorder."""
    recorder = Recorder(tmp_path / "c.jsonl", endpoint=secretive.endpoint, api_key="akm-1")
    async with recorder, http.get(f"{recorder.endpoint}/via/1-00/store/a.txt") as answer:
        assert answer.status == 404
    assert secretive.seen == []


def test_a_recorder_refuses_what_cannot_work(tmp_path: Path) -> None:
    """Before the program runs, not after."""
    with pytest.raises(ValueError, match="endpoint must be a URL"):
        Recorder(tmp_path / "c", endpoint="example.com", api_key="k")
    with pytest.raises(ValueError, match="api_key must not be blank"):
        Recorder(tmp_path / "c", endpoint="http://example.com", api_key=" ")
    missing = Recorder(tmp_path / "no" / "c", endpoint="http://127.0.0.1:1", api_key="k")
    with pytest.raises(FileNotFoundError):
        missing.start()


def test_a_recorder_runs_once_at_a_time(path: Path) -> None:
    """A second start would leave the first proxy running for good; stopping twice is no error."""
    recorder = Recorder(path, endpoint="http://127.0.0.1:1", api_key="k")
    with recorder, pytest.raises(RuntimeError, match="is running already"):
        recorder.start()
    recorder.stop()
    assert Cassette.read(path).is_complete
