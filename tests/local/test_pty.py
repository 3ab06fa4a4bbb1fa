"""Terminals over the WebSocket: every subscriber receives every byte in order."""

from __future__ import annotations

import asyncio
import base64
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest

from agentbay_local.websocket import subscriber
from agentbay_local.websocket.connection import Connection, ConnectionLostError
from agentbay_local.websocket.pty_session import PtySession

from .websocket_client import (
    CODE,
    FILES,
    PTY,
    Output,
    SessionAddress,
    WebSocketClient,
    connect,
    join,
    session_address,
    wait_closed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.local.conftest import Api, HandClock

    from agentbay_local.sandbox.host.terminal import Terminal
    from agentbay_local.websocket.frames import Request

pytestmark = pytest.mark.usefixtures("sandboxed")

_KEPT = 1024 * 1024


@pytest.fixture
async def address(api: Api) -> SessionAddress:
    """Return the address of a new session."""
    return await session_address(api, image="linux_latest")


@pytest.fixture
async def client(api: Api, address: SessionAddress) -> AsyncIterator[WebSocketClient]:
    """Return a connection to it."""
    async with connect(api, address) as one:
        yield one


async def runs(client: WebSocketClient, command: str) -> str:
    """Open a terminal that runs one command, and return its id."""
    return await client.open(shell=f"/bin/sh -c '{command}'")


async def output_of(client: WebSocketClient, command: str) -> bytes:
    """Return the output of a command on a terminal."""
    pieces, _ = await client.read_to_end(await runs(client, command))
    return join(pieces)


async def test_a_terminal_echoes_runs_and_ends(client: WebSocketClient) -> None:
    """Output has the echo of the input, the output of the command, and then the exit code."""
    terminal = await client.open()
    await client.type(terminal, "echo $((40 + 2)); exit 3\n")
    pieces, code = await client.read_to_end(terminal)
    assert b"echo $((40 + 2))" in join(pieces)
    assert b"42\r\nexit\r\n" in join(pieces)
    assert code == 3


async def test_the_reply_comes_before_the_first_output(client: WebSocketClient) -> None:
    """However fast the program is; official clients drop output for unknown ids."""
    invocation = await client.send(PTY, "pty.create", shell="/bin/echo hi")
    first = await client.next(lambda frame: True)
    assert first["invocationId"] == invocation
    assert (await client.next_output(first["data"]["result"]["ptySessionId"])).data == b"hi\r\n"


async def test_output_waits_until_the_client_can_know_the_id(
    api: Api, address: SessionAddress, client: WebSocketClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that connects with an offset knows it already."""
    monkeypatch.setattr(subscriber, "REGISTER_DELAY", 3600)
    terminal = await client.open(shell="/bin/echo hi")
    async with connect(api, address) as other:
        await other.ask(PTY, "pty.connect", ptySessionId=terminal, offset=0)
        pieces, _ = await other.read_to_end(terminal)
    assert join(pieces) == b"hi\r\n"
    await client.ask(PTY, "pty.list")
    assert client.unread() == []


async def test_the_exit_comes_after_the_last_output(client: WebSocketClient) -> None:
    """Also for a program that writes megabytes and exits."""
    text = await output_of(client, "head -c 5000000 /dev/zero | tr \\\\0 x")
    assert text == b"x" * 5_000_000


async def test_a_terminal_has_the_requested_size(
    client: WebSocketClient,
) -> None:
    """It also has the directory and the variables."""
    script = "stty size; pwd; echo $TERM $A; tty"
    terminal = await client.open(
        shell=f"/bin/sh -c '{script}'", cols=101, rows=37, cwd="/tmp", envs={"A": "b c"}
    )
    pieces, _ = await client.read_to_end(terminal)
    assert join(pieces).decode().splitlines()[:3] == ["37 101", "/tmp", "xterm-256color b c"]
    assert join(pieces).decode().splitlines()[3].startswith("/dev/pts/")


async def test_a_terminal_has_the_variables_of_the_session(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """Variables of the request win."""
    envs = [{"key": "A", "value": "session"}, {"key": "B", "value": "session"}]
    await api.tool(address.session, "set_env", envs=envs)
    terminal = await client.open(shell="/bin/sh -c 'echo $A $B'", envs={"B": "own"})
    pieces, _ = await client.read_to_end(terminal)
    assert join(pieces) == b"session own\r\n"


async def test_a_new_size_reaches_the_program(client: WebSocketClient) -> None:
    """The program receives SIGWINCH."""
    terminal = await client.open(shell="/bin/bash --norc")
    await client.type(
        terminal, "trap 'stty size' WINCH; echo re''ady; while :; do read -t 1; done\n"
    )
    await client.until(terminal, b"ready")
    await client.send(PTY, "pty.resize", ptySessionId=terminal, cols=99, rows=11)
    await client.until(terminal, b"11 99")


async def test_binary_data_goes_both_ways(client: WebSocketClient) -> None:
    """As base64."""
    terminal = await client.open(
        shell="/bin/sh -c 'stty raw -echo; echo ready; head -c 4 | od -tx1'"
    )
    await client.until(terminal, b"ready")
    data = base64.b64encode(b"\xff\x00\x03\xe6").decode()
    await client.send(PTY, "pty.input", ptySessionId=terminal, encoding="base64", data=data)
    pieces, _ = await client.read_to_end(terminal)
    assert b"ff 00 03 e6" in b"".join(piece.data for piece in pieces)
    assert await output_of(client, r"printf \\346\\261\\211\\377") == b"\xe6\xb1\x89\xff"


async def test_input_keeps_its_order(client: WebSocketClient) -> None:
    """Over any number of frames."""
    terminal = await client.open(
        shell="/bin/sh -c 'stty raw -echo; echo ready; head -c 2000 | cat'"
    )
    await client.until(terminal, b"ready\n")
    text = "".join(f"{number:04}" for number in range(500))
    for start in range(0, len(text), 4):
        await client.type(terminal, text[start : start + 4])
    pieces, _ = await client.read_to_end(terminal)
    assert b"".join(piece.data for piece in pieces).decode() == text


async def test_open_terminals_are_listed(client: WebSocketClient) -> None:
    """Ended ones are not."""
    first, second = await client.open(), await client.open()
    assert (await client.ask(PTY, "pty.list"))["result"]["ptySessionIds"] == [first, second]
    await client.type(first, "exit\n")
    await client.read_to_end(first)
    assert (await client.ask(PTY, "pty.list"))["result"]["ptySessionIds"] == [second]


async def test_a_cancelled_create_is_undone(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """By the id of its request, from any connection, whether the create has come or not."""
    first = await client.send(PTY, "pty.create")
    assert "result" in await client.answer(first)
    async with connect(api, address) as other:
        await other.send(PTY, "cancel", first)
        await other.send(PTY, "cancel", "early")

        async def closed() -> bool:
            return not (await other.ask(PTY, "pty.list"))["result"]["ptySessionIds"]

        await api.until(closed)
    early = await client.send(PTY, "pty.create", "early")
    assert (await client.answer(early))["error"] == "It was cancelled"


async def test_a_terminal_whose_answer_cannot_be_sent_is_closed(
    api: Api, address: SessionAddress, client: WebSocketClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows its id."""
    reply = Connection.reply
    started = api.service.home / "sessions" / address.session / "home/wuying/started"

    async def is_started() -> bool:
        return started.exists()

    async def lose(self: Connection, request: Request, data: dict[str, Any]) -> None:
        if request.method == "pty.create":
            await api.until(is_started)
            raise ConnectionLostError
        await reply(self, request, data)

    async def is_closed() -> bool:
        running = await api.sh(address.session, "grep -lz sleep /proc/[0-9]*/comm | wc -l")
        return running == "0\n"

    monkeypatch.setattr(Connection, "reply", lose)
    shell = "/bin/sh -c 'touch /home/wuying/started; exec sleep 777'"
    await client.send(PTY, "pty.create", shell=shell)
    await api.until(is_started)
    await api.until(is_closed)
    assert (await client.ask(PTY, "pty.list"))["result"]["ptySessionIds"] == []


async def test_kill_ends_all_processes_of_a_terminal(client: WebSocketClient) -> None:
    """Also those that ignore other signals, and their children."""
    terminal = await runs(client, 'trap "" HUP TERM INT; echo on; sleep 1000 & wait; wait')
    await client.until(terminal, b"on")
    assert await client.ask(PTY, "pty.kill", ptySessionId=terminal) == {"result": {}}
    _, code = await client.read_to_end(terminal)
    assert code == 128 + 9
    assert await client.ask(PTY, "pty.kill", ptySessionId=terminal) == {"result": {}}


async def test_every_subscriber_receives_all_output(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """Earlier output comes first; every client can write."""
    terminal = await runs(client, "echo first; read x; echo got $x")
    await client.until(terminal, b"first\r\n")
    async with connect(api, address) as other:
        await other.ask(PTY, "pty.connect", ptySessionId=terminal)
        assert await other.until(terminal, b"first\r\n") == b"first\r\n"
        await other.type(terminal, "it\n")
        for one in (client, other):
            pieces, code = await one.read_to_end(terminal)
            assert join(pieces, len(b"first\r\n")) == b"it\r\ngot it\r\n"
            assert code == 0


async def test_a_reconnecting_client_loses_no_output(api: Api, address: SessionAddress) -> None:
    """It continues at its offset and receives no byte twice."""
    async with connect(api, address) as client:
        terminal = await runs(client, "stty -echo; echo 0123456789; read x; seq 1 1000; read x")
        next_output = await client.until(terminal, b"\r\n")
        await client.type(terminal, "\n")
    async with connect(api, address) as client:
        reply = await client.ask(PTY, "pty.connect", ptySessionId=terminal, offset=len(next_output))
        assert reply == {"result": {"ptySessionId": terminal}}
        await client.type(terminal, "\n")
        pieces, _ = await client.read_to_end(terminal)
    numbers = b"".join(b"%d\r\n" % number for number in range(1, 1001))
    assert join(pieces, len(next_output)) == numbers


async def test_a_client_that_connects_after_the_end_receives_it(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """With the output that is kept, and the exit code."""
    terminal = await runs(client, "echo done; exit 5")
    await client.read_to_end(terminal)
    async with connect(api, address) as late:
        await late.ask(PTY, "pty.connect", ptySessionId=terminal)
        pieces, code = await late.read_to_end(terminal)
    assert (join(pieces), code) == (b"done\r\n", 5)


@pytest.mark.slow
async def test_the_last_ended_terminals_are_kept(client: WebSocketClient) -> None:
    """Older ones are forgotten."""
    terminals = []
    for number in range(19):
        terminals.append(await client.open(shell=f"/bin/echo {number}"))
        await client.read_to_end(terminals[-1])
    assert terminals[1] in await client.error(PTY, "pty.connect", ptySessionId=terminals[1])
    await client.ask(PTY, "pty.connect", ptySessionId=terminals[2])
    pieces, _ = await client.read_to_end(terminals[2])
    assert join(pieces) == b"2\r\n"


async def test_connecting_twice_on_one_connection_replays_once(
    client: WebSocketClient,
) -> None:
    """Later output comes once."""
    terminal = await runs(client, "echo first; read x; echo last")
    await client.until(terminal, b"first\r\n")
    await client.ask(PTY, "pty.connect", ptySessionId=terminal)
    assert await client.next_output(terminal) == Output(0, b"first\r\n")
    await client.type(terminal, "\n")
    pieces, _ = await client.read_to_end(terminal)
    assert join(pieces, len(b"first\r\n")) == b"\r\nlast\r\n"


async def test_a_slow_client_misses_nothing(api: Api, address: SessionAddress) -> None:
    """The program waits for it."""
    async with connect(api, address) as slow, connect(api, address) as fast:
        terminal = await runs(slow, "read x; head -c 8000000 /dev/zero | tr \\\\0 x")
        await fast.ask(PTY, "pty.connect", ptySessionId=terminal)
        await fast.type(terminal, "\n")
        # All buffers are full long before the end.
        while sum(len(frame["data"].get("data", "")) for frame in fast.unread()) < 2 * _KEPT:
            await fast.ask(PTY, "pty.list")
        for one in (slow, fast):
            pieces, _ = await one.read_to_end(terminal)
            assert join(pieces) == b"\r\n" + b"x" * 8_000_000


async def test_a_program_without_subscribers_goes_on(api: Api, address: SessionAddress) -> None:
    """Its output is kept up to a bound; the offset says what was dropped."""
    async with connect(api, address) as client:
        terminal = await runs(
            client, "read x; head -c 5000000 /dev/zero | tr \\\\0 x; touch /tmp/end"
        )
        await client.type(terminal, "\n")
    await api.sh(address.session, "until test -e /tmp/end; do sleep 0.05; done")
    async with connect(api, address) as client:
        await client.ask(PTY, "pty.connect", ptySessionId=terminal)
        pieces, code = await client.read_to_end(terminal)
    text = join(pieces, 5_000_002 - _KEPT)
    assert (text, code) == (b"x" * _KEPT, 0)


async def test_a_background_process_does_not_keep_a_terminal_open(client: WebSocketClient) -> None:
    """The terminal ends with its program, and hangs up background processes."""
    assert await output_of(client, "sleep 1000 & echo done") == b"done\r\n"


@pytest.mark.parametrize(
    ("method", "params", "named"),
    [
        ("pty.create", {"cols": 0}, "columns"),
        ("pty.create", {"rows": 501}, "rows"),
        ("pty.create", {"cwd": "/no/such"}, "/no/such"),
        ("pty.create", {"shell": "/no/such"}, "/no/such"),
        ("pty.create", {"shell": "'"}, "shell"),
        ("pty.create", {"envs": {"A=B": "c"}}, "env"),
        ("pty.connect", {"ptySessionId": "pty-1"}, "pty-1"),
        ("pty.connect", {}, "ptySessionId"),
        ("pty.kill", {"ptySessionId": "pty-1"}, "pty-1"),
        ("pty.input", {"ptySessionId": "pty-1", "data": ""}, "pty-1"),
        ("pty.resize", {"ptySessionId": "pty-1", "cols": 1, "rows": 1}, "pty-1"),
    ],
)
async def test_an_invalid_request_is_an_error_that_names_its_argument(
    client: WebSocketClient, method: str, params: dict[str, object], named: str
) -> None:
    """The error has the argument or the id."""
    assert named in await client.error(PTY, method, **params)


async def test_invalid_input_and_sizes_are_errors(client: WebSocketClient) -> None:
    """The terminal goes on."""
    terminal = await client.open()
    wrong = {"encoding": "base64", "data": "?"}
    assert "data" in await client.error(PTY, "pty.input", ptySessionId=terminal, **wrong)
    assert "data" in await client.error(PTY, "pty.input", ptySessionId=terminal, data="\ud800")
    assert "rows" in await client.error(PTY, "pty.resize", ptySessionId=terminal, rows=0)
    await client.type(terminal, "exit 4\n")
    assert (await client.read_to_end(terminal))[1] == 4


async def test_terminals_end_with_their_session(
    api: Api, address: SessionAddress, client: WebSocketClient
) -> None:
    """Subscribers receive the exit before the connection closes."""
    terminal = await runs(client, "echo on; sleep 1000")
    await client.until(terminal, b"on")
    release = asyncio.create_task(api.released(address.session))
    assert await client.read_to_end(terminal) == ([], 128 + 9)
    assert await wait_closed(client) == aiohttp.WSCloseCode.OK
    await release


def tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks of the service, which runs on this loop, without those of aiohttp.

    Nor does the pause of the sweeper count: it begins anew with each session.
    """
    codes = {
        task: getattr(task.get_coro(), "cr_code", tasks.__code__) for task in asyncio.all_tasks()
    }
    return {
        task
        for task, code in codes.items()
        if "agentbay_local" in code.co_filename and code.co_name != "doze_until"
    }


async def test_no_task_outlives_a_session(timed: Api) -> None:
    """Open and ended terminals, watches and code all stop."""
    before = tasks()
    address = await session_address(timed)
    async with connect(timed, address) as client:
        await client.read_to_end(await client.open(shell="/bin/echo hi"))
        await client.open()
        watch = await client.send(FILES, "subscribe_file_change", path="/tmp")
        await client.answer(watch)
        await client.send(CODE, "run_code", language="python", code="while True: pass")
        hung_up = asyncio.create_task(wait_closed(client))
        await timed.released(address.session)
        await hung_up

    async def quiet() -> bool:
        return tasks() <= before

    await timed.until(quiet)


async def test_a_session_with_a_subscribed_terminal_is_not_idle(
    timed: Api, clock: HandClock
) -> None:
    """It becomes idle when the last subscriber disconnects."""
    address = await session_address(timed, await timed.session(Timeout=60))
    async with connect(timed, address) as client:
        await client.open()
        await clock.aadvance(600)
        await client.ask(PTY, "pty.list")
        assert await timed.status(address.session) == "RUNNING"

    async def over() -> bool:
        await clock.aadvance(61)
        return await timed.status(address.session) == "FINISH"

    await timed.until(over)


class _DeafTerminal:
    """A terminal that says nothing and that no kill ends."""

    async def read(self, _size: int) -> bytes:
        await asyncio.Event().wait()
        return b""

    def kill(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


async def test_a_close_that_is_cancelled_ends_all_tasks() -> None:
    """The service stops, and its loop with it."""
    others = asyncio.all_tasks()
    pty = PtySession("pty-1", "1", cast("Terminal", _DeafTerminal()), nullcontext, offline=False)
    pty.subscribe(Connection(cast("Any", None)), None)
    closing = asyncio.create_task(pty.close())
    await asyncio.sleep(0)
    pty.subscribe(Connection(cast("Any", None)), None)
    closing.cancel()
    left = asyncio.all_tasks() - others
    _, running = await asyncio.wait(left, timeout=30)
    assert not running
    assert not asyncio.all_tasks() - others
