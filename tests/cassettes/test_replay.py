"""A local service replays a cassette, and invents nothing."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from agentbay_async import NotRecordedError
from agentbay_local import Cassette, CassetteError, Drop, LocalService
from agentbay_local.http import replay

from .program import use_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agentbay_async import AsyncAgentBay
    from agentbay_local import Recorder

HEADER: dict[str, Any] = {
    "cassette": 1,
    "service": "example.com",
    "recorded": "2026-01-01T00:00:00Z",
}


def answered(action: str, data: object, **fields: str) -> dict[str, Any]:
    """Return the line of an action that succeeded."""
    body = {"Success": True, "Code": "ok", "RequestId": "r-1", "Data": data}
    return {
        "exchange": 1,
        "request": {"method": "POST", "target": "/", "form": {"Action": action, **fields}},
        "response": {"status": 200, "body": {"json": body}},
    }


def cassette_of(path: Path, *lines: dict[str, Any]) -> Path:
    """Write a cassette."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in (HEADER, *lines)))
    return path


@pytest.mark.usefixtures("sandboxed")
async def test_a_recorded_program_runs_again_without_the_service(
    recorder_at: Callable[[Path], Recorder],
    client_of: Callable[..., AsyncAgentBay],
    tmp_path: Path,
) -> None:
    """It sees the same; ids that its client draws are new, and the session's are the recorded."""
    path = tmp_path / "cassette.jsonl"
    async with recorder_at(path) as recorder, client_of(recorder) as bay:
        recorded = await use_everything(bay, tmp_path, "no-secret")

    async with LocalService(cassette=path) as service, client_of(service) as bay:
        assert await use_everything(bay, tmp_path, "no-secret") == recorded
        assert await service.aliving() == {}
        assert service.journal.find("CreateMcpSession", ok=True)
        assert service.journal.find("callTool", ok=True)


async def test_equal_requests_get_their_answers_in_order(
    client_of: Callable[..., AsyncAgentBay], tmp_path: Path
) -> None:
    """Each once: a state that changed while it was recorded changes again."""
    states = ["RUNNING", "PAUSED"]
    lines = [answered("GetSessionDetail", {"Status": state}, SessionId="s-1") for state in states]
    session = answered("GetSession", {"SessionId": "s-1", "Status": "RUNNING"}, SessionId="s-1")
    path = cassette_of(tmp_path / "c.jsonl", session, *lines)

    async with LocalService(cassette=path) as service, client_of(service) as bay:
        found = (await bay.get("s-1")).session
        assert [(await found.get_status()).status for _ in states] == states
        error = (await found.get_status()).error

    assert isinstance(error, NotRecordedError)
    assert "GetSessionDetail" in error.message
    assert "each of its 2 answers was given already" in error.message


async def test_a_request_that_was_not_recorded_is_refused_by_name(
    client_of: Callable[..., AsyncAgentBay], tmp_path: Path
) -> None:
    """With its parameters, and whether others were recorded."""
    line = answered("GetSession", {"SessionId": "s-1"}, SessionId="s-1")
    path = cassette_of(tmp_path / "c.jsonl", line)

    async with LocalService(cassette=path) as service, client_of(service) as bay:
        other = (await bay.get("s-2")).error
        unknown = (await bay.context.list()).error

    assert isinstance(other, NotRecordedError)
    assert 'GetSession {"SessionId": "s-2"}: the action was recorded with other' in other.message
    assert isinstance(unknown, NotRecordedError)
    assert "ListContexts" in unknown.message
    assert "nothing like it was recorded" in unknown.message
    assert (unknown.code, unknown.retryable) == ("NotRecorded", False)


async def test_values_that_a_client_draws_need_not_be_the_same(
    client_of: Callable[..., AsyncAgentBay], tmp_path: Path
) -> None:
    """But those that the service has given out do."""
    created, drawn, other = (f"s-{digit}a1b2c3d4e5f60718293" for digit in "012")
    lines = [answered("ListContexts", [{"Id": created}], MaxResults="10")]
    for session, status in ((created, "RUNNING"), (drawn, "PAUSED")):
        data = {"SessionId": session, "Status": status}
        lines.append(answered("GetSession", data, SessionId=session))
    path = cassette_of(tmp_path / "c.jsonl", *lines)

    async with LocalService(cassette=path) as service, client_of(service) as bay:
        assert (await bay.get(created)).session.status == "RUNNING"
        assert isinstance((await bay.get(created)).error, NotRecordedError)
        session = (await bay.get(other)).session
        assert (session.status, session.session_id) == ("PAUSED", other)


async def test_faults_the_journal_and_reset_work_on_a_replay(
    client_of: Callable[..., AsyncAgentBay], tmp_path: Path
) -> None:
    """A reset starts the cassette again."""
    path = cassette_of(tmp_path / "c.jsonl", answered("ListContexts", [], MaxResults="10"))
    async with LocalService(cassette=path) as service, client_of(service) as bay:
        service.faults.add(Drop(), "ListContexts", nth=1)
        assert (await bay.context.list()).success
        assert [entry.fault for entry in service.journal.find("ListContexts")] == ["drop", ""]
        assert isinstance((await bay.context.list()).error, NotRecordedError)
        await service.areset()
        assert (await bay.context.list()).success


def frame(sender: str, call: str, **data: object) -> dict[str, Any]:
    """Return the line of a frame."""
    return {"frame_of": 2, "from": sender, "body": {"json": {"invocationId": call, **data}}}


@asynccontextmanager
async def replayed(
    directory: Path, *frames: dict[str, Any]
) -> AsyncIterator[tuple[LocalService, str]]:
    """Replay a WebSocket with these frames; provide the service and the URL."""
    session = {"SessionId": "s-1", "WsUrl": "wss://<url-1>"}
    opened = {
        "exchange": 2,
        "request": {"method": "GET", "target": "wss://<url-1>"},
        "response": {"status": 101},
    }
    lines = [answered("GetSession", session, SessionId="s-1"), opened, *frames]
    path = cassette_of(directory / "c.jsonl", *lines)
    async with LocalService(cassette=path) as service, aiohttp.ClientSession() as http:
        form = {"Authorization": f"Bearer {service.api_key}", "SessionId": "s-1"}
        async with http.post(f"{service.endpoint}/?Action=GetSession", data=form) as answer:
            yield service, (await answer.json(content_type=None))["Data"]["WsUrl"]


@pytest.fixture
async def talking(tmp_path: Path) -> AsyncIterator[tuple[LocalService, str]]:
    """Replay a WebSocket with two calls at once."""
    first, second = "a1" * 16, "b2" * 16
    frames = [
        frame("service", "", hello=1),
        frame("client", first, do="first"),
        frame("client", second, do="second"),
        frame("service", first, done="first"),
        frame("service", second, done="second"),
        frame("service", "", pushed=1),
    ]
    async with replayed(tmp_path, *frames) as pair:
        yield pair


async def test_frames_follow_those_of_the_client_about_the_same_call(
    talking: tuple[LocalService, str],
) -> None:
    """In whichever order the client sends its own, with the ids that it has drawn."""
    first, second = "c3" * 16, "d4" * 16
    async with aiohttp.ClientSession() as http, http.ws_connect(talking[1]) as socket:
        assert (await socket.receive_json(timeout=30))["hello"] == 1
        await socket.send_str(json.dumps({"invocationId": second, "do": "second"}))
        assert await socket.receive_json(timeout=30) == {"invocationId": second, "done": "second"}
        assert (await socket.receive_json(timeout=30))["pushed"] == 1
        await socket.send_str(json.dumps({"invocationId": first, "do": "first"}))
        assert await socket.receive_json(timeout=30) == {"invocationId": first, "done": "first"}


@pytest.mark.parametrize("method", ["pty.create", "pty.connect"])
async def test_output_of_a_terminal_waits_until_the_client_can_know_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """As in the service itself; official clients drop output for ids that they do not know."""
    monkeypatch.setattr(replay, "REGISTER_DELAY", 1.0)
    name, call = "a1" * 16, {"method": method, "params": {}}
    frames = [
        frame("client", name, data=call),
        frame("service", name, data={"result": {"ptySessionId": "p-1"}}),
        frame("service", "", data={"eventType": "pty.output"}),
    ]
    async with (
        replayed(tmp_path, *frames) as (_, url),
        aiohttp.ClientSession() as http,
        http.ws_connect(url) as socket,
    ):
        await socket.send_str(json.dumps({"invocationId": name, "data": call}))
        assert "result" in (await socket.receive_json(timeout=30))["data"]
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=0.3)
        assert (await socket.receive_json(timeout=30))["data"]["eventType"] == "pty.output"


async def test_a_frame_that_was_not_recorded_closes_its_connection(
    talking: tuple[LocalService, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The reason says so, and the log of the service has the frame."""
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(talking[1]) as socket:
            await socket.receive_json(timeout=30)
            await socket.send_str(json.dumps({"invocationId": "e5" * 16, "do": "third"}))
            closed = await socket.receive(timeout=30)
        assert (closed.data, "no answer" in str(closed.extra)) == (1008, True)
        assert "third" in caplog.text
        with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
            await http.ws_connect(talking[1])


async def test_the_url_of_a_replay_cannot_be_guessed(talking: tuple[LocalService, str]) -> None:
    """Other users of the machine do not get the recorded answers."""
    url = f"{talking[0].endpoint}/replay/wss-1-00"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 403


async def test_a_replay_wants_its_key(
    client_of: Callable[..., AsyncAgentBay], tmp_path: Path
) -> None:
    """As a service does."""
    path = cassette_of(tmp_path / "c.jsonl", answered("ListContexts", []))
    async with LocalService(cassette=path) as service:
        bay = client_of(service)
        service.api_key = "akm-other"
        async with client_of(service) as stranger, bay:
            assert (await stranger.context.list()).code == "NOT_LOGIN"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line is no header"),
        ("{}\n", "its first line is no header"),
        ("hello\n", "line 1: not a JSON object"),
        ('{"cassette": 2}\n', "has version 2 of the format; this release reads version 1"),
        ('{"cassette": 1}\n{"exchange": 1}\n', "line 2: not an exchange or a frame"),
        ('{"cassette": 1}\n{"exchange": 1, "request": {"form": 7}, "response": null}\n', "line 2"),
        ('{"cassette": 1}\n{"frame_of": 1, "from": "client", "body": 7}\n', "line 2"),
    ],
)
def test_a_file_that_is_no_cassette_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """When the service is made, with the line."""
    path = tmp_path / "c.jsonl"
    path.write_text(text)
    with pytest.raises(CassetteError, match=message):
        LocalService(cassette=path)


def test_a_cassette_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Everything that it holds comes back; nobody else may read the file."""
    line = answered("ListContexts", [{"Id": "c"}])
    frame = {"frame_of": 1, "from": "client", "body": {"text": "hi"}}
    unanswered = {"exchange": 2, "request": {"method": "GET", "target": "/"}, "response": None}
    path = cassette_of(tmp_path / "c.jsonl", line, frame, unanswered)
    cassette = Cassette.read(path)

    cassette.write(tmp_path / "copy.jsonl")

    assert Cassette.read(tmp_path / "copy.jsonl") == cassette
    assert (tmp_path / "copy.jsonl").read_text() == path.read_text()
    assert (tmp_path / "copy.jsonl").stat().st_mode & 0o077 == 0
