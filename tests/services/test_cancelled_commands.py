"""Commands and code whose caller is cancelled: nothing of them is left in the session."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agentbay_async import AsyncSession

_LIMIT = 50

_COMMANDS = {
    "command": "sleep {0}",
    # timeout(1) leads a process group of its own.
    "other group": "timeout 1000 sleep {0}",
    "background": "sleep {0} & wait",
}


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def service(request: pytest.FixtureRequest) -> Iterator[LocalService]:
    """Run a local service of each level of isolation."""
    with LocalService(isolation=request.param) as running:
        if not running.isolation.available:
            pytest.skip(running.isolation.reason)
        yield running


@pytest.fixture
async def session(service: LocalService) -> AsyncIterator[AsyncSession]:
    """Give a session of it that runs code."""
    async with (
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session(CreateSessionParams(image_id="code_latest")) as session,
    ):
        yield session


@pytest.fixture
def seconds() -> str:
    """Give a duration of some minutes by which the processes of this test are found."""
    return f"777.{uuid.uuid4().int % 10**12:012}"


def _runs(seconds: str) -> bool:
    """Return whether a process sleeps for exactly this long; sessions are seen from outside."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"sleep") and seconds.encode() in words:
            return True
    return False


async def _until(seconds: str, *, runs: bool) -> None:
    end = time.monotonic() + _LIMIT
    while _runs(seconds) is not runs:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def _cancelled(work: Any, seconds: str) -> None:
    task = asyncio.ensure_future(work)
    await _until(seconds, runs=True)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await _until(seconds, runs=False)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("command", list(_COMMANDS))
async def test_a_cancelled_command_is_killed(
    session: AsyncSession, seconds: str, command: str, direct: bool
) -> None:
    """With all that it started, whichever way it was called; the session goes on."""
    if not direct:
        session._api.access[session.session_id].link_url = ""
    line = _COMMANDS[command].format(seconds)
    line = _COMMANDS[command].format(seconds)
    # Through the API, a command must end within one request.
    work = session.command.run(line, timeout=600 if direct else 50)
    await _cancelled(work, seconds)
    assert (await session.command.run("echo well")).stdout == "well\n"


async def test_a_command_ends_with_the_scope_of_its_caller(
    session: AsyncSession, seconds: str
) -> None:
    """A time limit of anyio cancels it like any cancel."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(session.command.run, f"sleep {seconds}", 600_000)
            await _until(seconds, runs=True)
            scope.cancel()
    await _until(seconds, runs=False)


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelled_code_is_interrupted(
    session: AsyncSession, seconds: str, streamed: bool
) -> None:
    """With or without callbacks; the variables are kept."""
    code = f"x = 5\nimport subprocess\nsubprocess.run(['sleep', '{seconds}'])"
    callbacks: dict[str, Any] = {"on_stdout": print} if streamed else {}
    await _cancelled(session.code.run(code, timeout=600, **callbacks), seconds)
    assert (await session.code.run("x")).result == "5"


async def test_a_closed_stream_of_code_is_interrupted(session: AsyncSession, seconds: str) -> None:
    """Leaving the loop is enough."""
    code = f"import os\nprint('on', end='', flush=True)\nos.system('exec sleep {seconds}')"
    events: Any = session.code.stream(code, timeout=600)
    assert (await anext(events)).text == "on"
    await _until(seconds, runs=True)
    await events.aclose()
    await _until(seconds, runs=False)


_BLOCKING = """
import signal, sys
from agentbay import AgentBay
signal.signal(signal.SIGINT, signal.default_int_handler)
endpoint, key, session_id = sys.argv[1:]
with AgentBay(key, endpoint=endpoint) as bay:
    session = bay.get(session_id).session
    try:
        WORK
    except KeyboardInterrupt:
        print("interrupted")
"""


async def test_ctrl_c_ends_the_command(
    service: LocalService, session: AsyncSession, seconds: str
) -> None:
    """Of a blocking program, which goes on in its except block."""
    await _interrupted(service, session, seconds, "session.command.run('sleep {0}', timeout=600)")


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", ", on_stdout=print"])
async def test_ctrl_c_ends_the_code(
    service: LocalService, session: AsyncSession, seconds: str, more: str
) -> None:
    """With or without callbacks."""
    work = f"""session.code.run('import os; os.system("exec sleep {{0}}")', timeout=600{more})"""
    await _interrupted(service, session, seconds, work)


async def _interrupted(
    service: LocalService, session: AsyncSession, seconds: str, work: str
) -> None:
    arguments = (service.endpoint, service.api_key, session.session_id)
    code = _BLOCKING.replace("WORK", work.format(seconds))
    with subprocess.Popen(  # noqa: ASYNC220  # it starts at once
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            await _until(seconds, runs=True)
            child.send_signal(signal.SIGINT)
            await _until(seconds, runs=False)
            output, _ = await asyncio.to_thread(child.communicate, timeout=_LIMIT)
        finally:
            child.kill()
    assert (output, child.returncode) == ("interrupted\n", 0)
