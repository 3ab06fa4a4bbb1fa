"""The WebSocket of a session: authentication, frames, streamed code and file watches."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from agentbay_local import LocalService
from agentbay_local.http.websocket import MAX_FRAME
from agentbay_local.websocket.connection import Connection
from agentbay_local.websocket.dispatcher import Dispatcher

from .websocket_client import (
    CODE,
    FILES,
    PTY,
    SessionAddress,
    WebSocketClient,
    connect,
    session_address,
    wait_closed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")


@pytest.fixture
async def address(api: Api) -> SessionAddress:
    """Return the address of a new session."""
    return await session_address(api)


@pytest.fixture
async def client(api: Api, address: SessionAddress) -> AsyncIterator[WebSocketClient]:
    """Return a connection to it."""
    async with connect(api, address) as one:
        yield one


async def handshake_status(api: Api, address: SessionAddress, **headers: str) -> int:
    """Try to connect, and return the HTTP status of the error."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await api.http.ws_connect(address.ws, headers={**address.headers, **headers})
    return caught.value.status


async def test_only_the_token_of_the_session_opens_it(api: Api, address: SessionAddress) -> None:
    """No other token does, and no web page can connect."""
    other = await session_address(api)
    for token in ("", "x", api.service.api_key, other.token):
        assert await handshake_status(api, address, **{"X-Access-Token": token}) == 401
    assert await handshake_status(api, address, Origin="http://127.0.0.1") == 403
    await api.released(address.session)
    assert await handshake_status(api, address) == 404


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "[" * 100_000, "{}", '{"invocationId":7}', '{"invocationId":""}', "\x00"],
    ids=lambda text: text[:10],
)
async def test_a_frame_without_an_invocation_id_is_dropped(
    client: WebSocketClient, text: str
) -> None:
    """The connection goes on."""
    await client.socket.send_str(text)
    await client.socket.send_bytes(text.encode() + b"\xff")
    assert await client.ask(PTY, "pty.list") == {"result": {"ptySessionIds": []}}


@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"target": "", "data": {}},
        {"target": PTY},
        {"target": PTY, "data": []},
        {"target": PTY, "data": "no json"},
        {"target": PTY, "data": {}},
        {"target": PTY, "data": {"method": 7}},
        {"target": PTY, "data": {"method": "pty.fly"}},
        {"target": PTY, "data": {"method": "pty.create", "params": {"cols": "x"}}},
        {"target": PTY, "data": {"method": "pty.create", "params": {"envs": {"A": 1}}}},
        {"target": CODE, "data": {"method": "fly"}},
        {"target": CODE, "data": {"method": "run_code", "params": {"code": 7}}},
        {"target": FILES, "data": {"method": "fly", "params": {"path": "/tmp"}}},
        {"target": FILES, "data": {"method": "subscribe_file_change", "params": {}}},
        {"target": "NOBODY", "data": {"method": "pty.list"}},
    ],
    ids=lambda rest: json.dumps(rest)[:50],
)
async def test_an_invalid_request_is_answered_with_an_error(
    client: WebSocketClient, rest: dict[str, Any]
) -> None:
    """A client would wait for the answer until its timeout otherwise."""
    await client.socket.send_str(json.dumps({"invocationId": "1", "source": "SDK", **rest}))
    assert (await client.answer("1"))["error"]


async def test_data_may_come_as_json_text(client: WebSocketClient) -> None:
    """Some clients encode it twice."""
    data = json.dumps({"method": "pty.list", "params": {}})
    frame = {"invocationId": "1", "source": "SDK", "target": PTY, "data": data}
    await client.socket.send_str(json.dumps(frame))
    assert await client.answer("1") == {"result": {"ptySessionIds": []}}


async def test_frames_have_a_maximum_size(api: Api, client: WebSocketClient) -> None:
    """A frame beyond it closes its connection, and no other."""
    code = f"len('{'x' * 1_500_000}')"
    frames = await client.frames(await client.send(CODE, "run_code", language="python", code=code))
    assert frames[0]["result"]["mime"] == {"text/plain": "1500000"}

    address = await session_address(api)
    async with connect(api, address) as greedy, connect(api, address) as modest:
        with suppress(ConnectionError):
            await greedy.socket.send_str("x" * (MAX_FRAME + 1))
        await wait_closed(greedy)
        assert "result" in await modest.ask(PTY, "pty.list")


async def test_requests_run_concurrently(client: WebSocketClient) -> None:
    """A slow request does not delay another one."""
    slow = await client.send(
        CODE, "run_code", language="python", code="input_ = 1\nwhile True: pass"
    )
    assert await client.ask(PTY, "pty.list") == {"result": {"ptySessionIds": []}}
    assert slow not in {frame["invocationId"] for frame in client.unread()}


async def test_the_number_of_open_requests_is_limited(client: WebSocketClient) -> None:
    """Requests beyond the limit fail at once; the open ones go on."""
    arguments = {"language": "python", "code": "while True: pass"}
    await client.send(CODE, "run_code", timeoutS=5, **arguments)
    sent = [await client.send(CODE, "run_code", **arguments) for _ in range(300)]
    assert "256" in (await client.answer(sent[-1]))["error"]
    assert "256" in await client.error(PTY, "pty.list")


async def test_code_streams_its_output_and_errors(client: WebSocketClient) -> None:
    """In order; the last frame has the status."""
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7"

    good = await client.frames(await client.send(CODE, "run_code", language="python", code=code))
    bad = await client.frames(await client.send(CODE, "run_code", language="python", code="1 / 0"))

    for kind, text in (("stdout", "out\n"), ("stderr", "err\n")):
        chunks = [frame["chunk"] for frame in good if frame.get("eventType") == kind]
        assert "".join(chunks) == text
    assert good[-2]["result"] == {"isMainResult": True, "mime": {"text/plain": "42"}}
    assert (good[-1]["phase"], good[-1]["status"]) == ("end", "finished")
    assert good[-1]["executionCount"] == 1
    assert bad[-2]["error"]["code"] == "ZeroDivisionError"
    assert (bad[-1]["status"], bad[-1]["executionCount"]) == ("failed", 2)
    assert "ZeroDivisionError" in bad[-1]["executionError"]


async def test_frames_of_output_are_smaller_than_a_mebibyte(client: WebSocketClient) -> None:
    """Official clients disconnect at larger ones; a control character takes six bytes."""
    code = "print('\\x01' * 1_000_000, end='')\nraise ValueError('\\x01' * 300_000)"
    frames = await client.frames(await client.send(CODE, "run_code", language="python", code=code))
    for kind, count in (("stdout", 1_000_000), ("stderr", 300_000)):
        chunks = [frame["chunk"] for frame in frames if frame.get("eventType") == kind]
        assert "".join(chunks).count("\x01") == count
        assert max(len(json.dumps(chunk)) for chunk in chunks) < 2**20 - 1000


async def test_a_timeout_ends_the_stream_and_keeps_the_state(client: WebSocketClient) -> None:
    """The next execution finds the variables."""
    await client.frames(await client.send(CODE, "run_code", language="python", code="x = 7"))
    slow = "while True: pass"
    stream = await client.send(CODE, "run_code", language="python", code=slow, timeoutS=1)
    late = await client.frames(stream)
    assert late[-1]["timedOut"] is True
    after = await client.frames(await client.send(CODE, "run_code", language="python", code="x"))
    assert after[0]["result"]["mime"] == {"text/plain": "7"}


async def test_disconnecting_interrupts_the_code(api: Api, address: SessionAddress) -> None:
    """The kernel is free for the next call at once."""
    code = "print('began', end='', flush=True)\nwhile True: pass"
    async with connect(api, address) as client:
        stream = await client.send(CODE, "run_code", language="python", code=code, timeoutS=3600)
        assert (await client.answer(stream))["chunk"] == "began"
    is_error, text = await api.tool(address.session, "run_code", language="python", code="1 + 1")
    assert not is_error
    assert json.loads(text)["executionError"] == ""


@pytest.mark.usefixtures("python_only")
async def test_code_needs_an_installed_language(client: WebSocketClient) -> None:
    """The error names the language."""
    refused = await client.error(CODE, "run_code", language="java", code="1")
    assert "java is not installed" in refused


async def test_every_image_runs_code(api: Api) -> None:
    """The default one too."""
    async with connect(api, await session_address(api, image="linux_latest")) as plain:
        frames = await plain.frames(await plain.send(CODE, "run_code", language="python", code="7"))
    assert frames[0]["result"]["mime"] == {"text/plain": "7"}


async def test_code_sees_the_variables_of_the_session(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """Also those that are set after the kernel has started."""
    code = "import os; os.environ.get('COLOUR')"
    for colour in ("red", "blue"):
        await api.tool(address.session, "set_env", envs=[{"key": "COLOUR", "value": colour}])
        frames = await client.frames(
            await client.send(CODE, "run_code", language="python", code=code)
        )
        assert frames[0]["result"]["mime"] == {"text/plain": f"'{colour}'"}


async def watches(client: WebSocketClient, path: str) -> None:
    """Subscribe to the changes below a path."""
    invocation = await client.send(FILES, "subscribe_file_change", path=path)
    assert (await client.answer(invocation))["phase"] == "end"


async def events(client: WebSocketClient, count: int) -> list[tuple[str, str]]:
    """Return the next changes that are pushed."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        push = await client.push("file_change")
        found += [(event["eventType"], event["path"]) for event in push["events"]]
    return found


async def test_changes_are_pushed_to_all_subscribers(api: Api, address: SessionAddress) -> None:
    """Each change once: a new file is created and modified, an overwritten one modified."""
    async with connect(api, address) as client, connect(api, address) as other:
        await api.sh(address.session, "mkdir /tmp/w; echo old > /tmp/w/old")
        await watches(client, "/tmp/w/")
        await watches(other, "/tmp/w")
        # Renamed into place, because a write is two changes if the service looks in between.
        await api.sh(address.session, "cd /tmp; echo a > a; echo newer > b; mv a w/a; mv b w/old")

        expected = [("create", "/tmp/w/a"), ("modify", "/tmp/w/a"), ("modify", "/tmp/w/old")]
        assert sorted(await events(client, 3)) == expected
        assert sorted(await events(other, 3)) == expected


async def test_an_event_has_the_path_as_the_client_wrote_it(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """Official clients compare the strings."""
    await watches(client, "/tmp/")
    await api.sh(address.session, "echo a > /tmp/a")
    assert (await client.push("file_change"))["path"] == "/tmp/"


async def test_pushed_changes_are_not_repeated_by_the_tool(
    api: Api, address: SessionAddress
) -> None:
    """After a disconnection, the tool returns the missed changes and nothing else."""
    ask = ("get_file_change",)
    await api.tool(address.session, *ask, path="/tmp")
    async with connect(api, address) as client:
        await watches(client, "/tmp")
        await api.sh(address.session, "mkdir /tmp/pushed")
        assert await events(client, 1) == [("create", "/tmp/pushed")]
        # When the second event comes, the service has recorded the first one.
        await api.sh(address.session, "mkdir /tmp/too")
        await events(client, 1)
    await api.sh(address.session, "mkdir /tmp/missed")
    _, text = await api.tool(address.session, *ask, path="/tmp")
    paths = {event["path"] for event in json.loads(text)}
    assert paths - {"/tmp/too"} == {"/tmp/missed"}


async def test_unsubscribing_ends_the_events_of_a_path(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """Other paths go on."""
    await api.sh(address.session, "mkdir /tmp/a /tmp/b")
    await watches(client, "/tmp/a")
    await watches(client, "/tmp/b")
    await client.ask(FILES, "unsubscribe_file_change", path="/tmp/a")
    await api.sh(address.session, "mkdir /tmp/a/x; mkdir /tmp/b/x")
    assert await events(client, 1) == [("create", "/tmp/b/x")]


async def test_many_changes_come_in_several_frames(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """Official clients disconnect at frames of 1 MiB."""
    await api.sh(address.session, "mkdir /tmp/many")
    await watches(client, "/tmp/many")
    await api.sh(address.session, "cd /tmp/many && seq 2500 | xargs touch")
    found = set[str]()
    while len(found) < 2500:
        events = (await client.push("file_change"))["events"]
        assert 0 < len(events) <= 1000
        found.update(event["path"] for event in events)


async def test_a_missing_path_cannot_be_watched(client: WebSocketClient) -> None:
    """The error names it."""
    assert "/no/such" in await client.error(FILES, "subscribe_file_change", path="/no/such")


async def test_the_connections_of_a_session_end_with_it(api: Api, address: SessionAddress) -> None:
    """All of them, and none of another session."""
    async with (
        connect(api, address) as client,
        connect(api, address) as second,
        connect(api, await session_address(api)) as other,
    ):
        hung_up = asyncio.gather(wait_closed(client), wait_closed(second))
        await api.released(address.session)
        assert set(await hung_up) == {aiohttp.WSCloseCode.OK}
        assert "result" in await other.ask(PTY, "pty.list")


@pytest.mark.slow
async def test_a_client_that_does_not_read_does_not_keep_its_session(
    api: Api, address: SessionAddress
) -> None:
    """Its connection is cut, because it cannot even be sent the goodbye."""
    async with connect(api, address) as client:
        peer: socket.socket = client.socket.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # More than the buffers of both sides hold.
        code = "for _ in range(15): print('x' * 2**20)"
        await client.send(CODE, "run_code", language="python", code=code)
        await api.tool(address.session, "run_code", language="python", code="'after it'")
        await asyncio.wait_for(api.released(address.session), 30)


async def test_a_stopping_service_closes_its_connections(api: Api) -> None:
    """At once, without waiting for the clients."""
    async with LocalService() as service:
        mine = type(api)(api.http, service)
        address = await session_address(mine)
        client = WebSocketClient(
            await api.http.ws_connect(address.ws, headers=address.headers, autoclose=False)
        )
        await client.open()
        hung_up = asyncio.create_task(wait_closed(client))
    assert await hung_up == aiohttp.WSCloseCode.OK


async def test_requests_to_a_paused_session_fail(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """The connection stays open and works again after the resume."""
    await api.ok("PauseSessionAsync", SessionId=address.session)
    await api.reached(address.session, "PAUSED")
    assert "PAUSED" in await client.error(PTY, "pty.create")
    await api.ok("ResumeSessionAsync", SessionId=address.session)
    await api.reached(address.session, "RUNNING")
    assert await client.open()


async def test_the_token_is_in_no_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Also after invalid frames and failed authentication."""
    caplog.set_level(logging.DEBUG)
    address = await session_address(api)
    async with connect(api, address) as client:
        await client.socket.send_str("{")
        await client.ask("NOBODY", "pty.list")
    await handshake_status(api, address, **{"X-Access-Token": address.token[:-1]})
    assert address.token not in caplog.text


async def test_a_request_that_never_started_is_closed() -> None:
    """Python warns about a coroutine that was never awaited."""

    async def nothing() -> None:
        return

    class Idle:
        def handle(self, connection: object, request: object) -> Coroutine[Any, Any, None]:
            return work

    work = nothing()
    dispatcher = Dispatcher(Connection(lambda text: nothing()), {"IDLE": Idle()}, {})
    await dispatcher.dispatch(json.dumps({"invocationId": "1", "target": "IDLE", "data": {}}))
    await dispatcher.close()
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
