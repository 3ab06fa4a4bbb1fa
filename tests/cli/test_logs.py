"""``agentbay logs``, and programs that ``agentbay exec -d`` leaves in the background."""

from __future__ import annotations

import json
import os
import signal
import threading
from email.message import Message
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

from agentbay_cli import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay import AgentBay, Session
    from agentbay_local import LocalService

    Run = Callable[..., Any]


@pytest.fixture
def session(bay: AgentBay) -> Session:
    """Return a session."""
    return bay.create().session


def test_the_calls_of_a_session_are_listed(agentbay: Run, session: Session, bay: AgentBay) -> None:
    """With their outcomes, and those of no other session."""
    other = bay.create().session
    other.keep_alive()
    session.keep_alive()
    session.command.run("false")
    done = agentbay("logs", session.session_id)
    assert done.code == 0, done.err
    calls = [line.split()[1] for line in done.out.splitlines()]
    assert calls.count("RefreshSessionIdleTime") == 1
    rows = [
        json.loads(line) for line in agentbay("logs", session.session_id, "--json").out.splitlines()
    ]
    assert set(rows[0]) == {"time", "call", "outcome", "seconds"}
    assert any(row["call"].endswith(" shell") for row in rows)


def test_new_calls_are_followed_until_ctrl_c(
    agentbay: Run, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is shown once."""
    waits = []

    def wait(_seconds: float) -> None:
        waits.append(1)
        if len(waits) == 1:
            session.keep_alive()
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(logs, "sleep", wait)
    done = agentbay("logs", "-f", session.session_id)
    assert (done.code, done.out.count("RefreshSessionIdleTime")) == (130, 1)


def test_a_program_goes_on_in_the_background_and_its_output_is_kept(
    agentbay: Run, session: Session
) -> None:
    """As docker has it: ``exec -d`` prints an id, ``logs`` shows the output."""
    name = session.session_id
    words = ["sh", "-c", "echo begun; until [ -e go ]; do sleep 0.05; done; echo ended"]
    process = agentbay("exec", "-d", name, "--", *words).out.strip()
    assert process in [one.pty_session_id for one in session.pty.list()]
    assert agentbay("exec", name, "touch", "go").code == 0
    done = agentbay("logs", name, "--process", process)
    assert (done.code, done.out) == (0, "begun\nended\n")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["exec", "-d", "-i", "s-1", "cat"], "in the background takes no -i"),
        (["exec", "-d", "--timeout", "1s", "s-1", "cat"], "in the background takes no -i"),
        (["logs", "s-1", "--process", "p", "--json"], "as it comes"),
        (["port", "s-1", "30100", "--local", "0", "--websocket"], "leave --websocket out"),
        (["run", "--allow-host", "pypi.org", "--keep", "--", "env"], "agentbay local start"),
        (["run", "--allow-host", "pypi.org", "--", "env"], "endpoint='local'"),
        (["mcp", "--allow-host", "pypi.org"], "endpoint='local'"),
    ],
)
def test_what_does_not_go_together_is_refused(
    agentbay: Run, user: LocalService, given: list[str], told: str
) -> None:
    """Before anything is sent."""
    done = agentbay(*given)
    assert (done.code in (2, 125), told in done.err, len(user.journal)) == (True, True, 0)


def test_a_service_without_calls_names_the_processes(
    agentbay: Run, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that run can be shown."""
    process = session.command.start("sleep 600")
    monkeypatch.setattr(logs, "control_of", lambda _endpoint: None)
    done = agentbay("logs", session.session_id)
    assert (done.code, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert "only the local service does" in line
    assert f"({process.process_id}), add --process ID" in line
    assert f"agentbay open {session.session_id}" in line
    process.kill()


def test_a_service_without_calls_and_terminals_names_the_cure(
    agentbay: Run, session: Session, monkeypatch: pytest.MonkeyPatch, user: LocalService
) -> None:
    """As the cloud, with a session of which nothing runs in the background."""
    monkeypatch.setattr(logs, "control_of", lambda _endpoint: None)
    done = agentbay("logs", session.session_id)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "that agentbay exec -d started, add --process ID" in done.err


@pytest.mark.parametrize(("status", "told"), [(404, "add --process ID"), (500, "HTTP Error 500")])
def test_another_service_on_this_machine_is_told_like_the_cloud(
    agentbay: Run,
    session: Session,
    user: LocalService,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    told: str,
) -> None:
    """A tunnel to the cloud, for example; another failure is not taken for that."""

    def ask(name: str, **_query: object) -> None:
        raise HTTPError(f"{user.endpoint}/_control/{name}", status, "no", Message(), None)

    monkeypatch.setattr(logs, "control_of", lambda _endpoint: ask)
    done = agentbay("logs", session.session_id)
    assert (done.code, done.out, told in done.err) == (2, "", True)


def test_only_services_of_this_machine_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have no such address, and should not get the key there."""
    from agentbay_cli.client import control_of

    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-x")
    assert control_of("https://agentbay.example.com") is None
    assert control_of("http://127.0.0.2:8080") is not None


def test_a_port_is_forwarded_until_ctrl_c(
    agentbay: Run, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests, their bodies and WebSockets reach the program in the session."""
    from agentbay_cli import ports

    seen: dict[str, Any] = {}
    session.file_system.write_file("server.py", SERVER).unwrap()
    process = session.command.start("exec python3 server.py")
    assert session.command.run("until curl -s localhost:30100; do sleep 0.1; done").success
    show = ports.print_row

    def told(columns: Any, row: Any, **more: Any) -> None:
        show(columns, row, **more)
        threading.Thread(target=_visit, args=(row[0], seen)).start()

    monkeypatch.setattr(ports, "print_row", told)
    done = agentbay("port", session.session_id, "30100", "--local", "0")
    assert (done.code, done.out.startswith("http://127.0.0.1:")) == (130, True)
    assert seen["get"] == (200, "GET /a%20b?c=d 127.0.0.1")
    assert seen["post"] == (201, "x" * 300_000)
    assert seen["other name"] == 421
    assert seen["socket"] == ["echo one", b"echo two"]
    process.kill()
    assert seen["page"] == 200


def _visit(url: str, seen: dict[str, Any]) -> None:
    import asyncio

    try:
        asyncio.run(_visit_all(url, seen))
    finally:
        os.kill(os.getpid(), signal.SIGINT)


async def _visit_all(url: str, seen: dict[str, Any]) -> None:
    import aiohttp

    page = {"Upgrade-Insecure-Requests": "1", "Sec-Fetch-Mode": "navigate", "Origin": url}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client:
        async with client.get(f"{url}/a%20b?c=d") as answer:
            seen["get"] = answer.status, await answer.text()
        async with client.post(f"{url}/post", data=b"x" * 300_000) as answer:
            seen["post"] = answer.status, await answer.text()
        async with client.get(url, headers=page) as answer:
            seen["page"] = answer.status
        async with client.get(url, headers={"Host": "evil.example"}) as answer:
            seen["other name"] = answer.status
        async with client.ws_connect(f"{url}/socket") as socket:
            await socket.send_str("one")
            first = await socket.receive_str()
            await socket.send_bytes(b"two")
            seen["socket"] = [first, await socket.receive_bytes()]


SERVER = """
from aiohttp import web

async def socket(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        if isinstance(message.data, str):
            await ws.send_str("echo " + message.data)
        else:
            await ws.send_bytes(b"echo " + message.data)
    return ws

async def post(request):
    return web.Response(status=201, text=(await request.read()).decode())

async def get(request):
    name = request.host.partition(":")[0]
    return web.Response(text=f"GET {request.raw_path} {name}")

app = web.Application(client_max_size=10**6)
app.router.add_get("/socket", socket)
app.router.add_post("/post", post)
app.router.add_get("/{rest:.*}", get)
web.run_app(app, host="127.0.0.1", port=30100, print=None)
"""
