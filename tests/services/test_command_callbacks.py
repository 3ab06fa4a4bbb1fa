"""Callbacks for the output of commands, in real sandboxes and in scripted sessions."""

from __future__ import annotations

import asyncio
import json
import queue
from typing import TYPE_CHECKING

import pytest

from agentbay import AgentBay
from agentbay_async import (
    AsyncAgentBay,
    CommandError,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay import Process
    from agentbay_async import AsyncProcess, AsyncSession
    from agentbay_local import LocalService

    from .machine import Machine

LIMIT = 60
SLEEP = "sleep 613"


@pytest.fixture
async def real(service: LocalService) -> AsyncIterator[AsyncSession]:
    """Give a session of a local service."""
    async with (
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session() as session,
    ):
        yield session


async def _is_running(session: AsyncSession, line: str) -> bool:
    return line in (await session.command.run("ps ax -o args")).stdout


async def test_a_command_passes_both_streams_on_and_keeps_them(real: AsyncSession) -> None:
    """The result is that of a command without callbacks; a callback may be a coroutine function."""
    out: list[str] = []
    err: list[str] = []

    async def on_stderr(text: str) -> None:
        await asyncio.sleep(0)
        err.append(text)

    line = "echo ü; cat; echo $A >&2; pwd; exit 3"
    result = await real.command.run(
        line, cwd="/tmp", envs={"A": "b c"}, on_stdout=out.append, on_stderr=on_stderr
    )
    assert ("".join(out), "".join(err)) == ("ü\n/tmp\n", "b c\n")
    assert (result.success, result.exit_code) == (False, 3)
    assert (result.stdout, result.stderr) == ("ü\n/tmp\n", "b c\n")
    with pytest.raises(CommandError, match="b c"):
        await real.command.run(line, envs={"A": "b c"}, on_stdout=out.append, check=True)


async def test_output_comes_while_the_command_runs(real: AsyncSession) -> None:
    """The callback may use the session: here the command waits for what it does."""
    line = "echo ready; until [ -e go ]; do sleep 0.05; done; echo went"
    got: list[str] = []

    async def on_stdout(text: str) -> None:
        got.append(text)
        if "ready" in text:
            (await real.file_system.write_file("go", "")).unwrap()

    result = await real.command.run(line, timeout=LIMIT, on_stdout=on_stdout)
    assert (result.stdout, "".join(got)) == ("ready\nwent\n", "ready\nwent\n")


async def test_a_command_with_callbacks_is_killed_when_its_time_is_over(
    real: AsyncSession,
) -> None:
    """Its error has the output that it wrote before."""
    got: list[str] = []
    line = f"echo before; {SLEEP}"
    result = await real.command.run(line, timeout=2, on_stdout=got.append)
    assert isinstance(result.error, CommandError)
    assert result.error.timed_out
    assert (result.exit_code, result.stdout, "".join(got)) == (124, "before\n", "before\n")
    assert not await _is_running(real, SLEEP)


@pytest.mark.parametrize("stream", [1, 2])
async def test_an_error_of_a_callback_ends_the_command(real: AsyncSession, stream: int) -> None:
    """It is raised by the call."""

    def fail(_text: str) -> None:
        raise RuntimeError("mine")

    line = f"echo now >&{stream}; {SLEEP}"
    with pytest.raises(RuntimeError, match="mine"):
        await real.command.run(line, timeout=LIMIT, on_stdout=fail, on_stderr=fail)
    assert not await _is_running(real, SLEEP)


async def test_a_cancelled_command_with_callbacks_is_killed(real: AsyncSession) -> None:
    """As one without callbacks is."""
    began = asyncio.Event()
    line = f"echo now; {SLEEP}"
    call = asyncio.create_task(
        real.command.run(line, timeout=LIMIT, on_stdout=lambda _text: began.set())
    )
    await asyncio.wait_for(began.wait(), LIMIT)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not await _is_running(real, SLEEP)


async def test_a_process_passes_on_both_streams_apart(real: AsyncSession) -> None:
    """Every byte has come when ``wait()`` returns, in spite of what goes on in the background.

    A callback that fails gets the rest.
    """
    out: list[bytes] = []
    err: list[bytes] = []

    async def on_stderr(chunk: bytes) -> None:
        err.append(chunk)
        raise RuntimeError("mine")

    process = await real.command.start(
        f"{SLEEP} & head -c 3000000 /dev/zero; printf 'a\\377' >&2; echo end; (exit 4)",
        on_stdout=out.append,
        on_stderr=on_stderr,
    )
    assert await process.wait(LIMIT) == 4
    assert b"".join(out) == bytes(3_000_000) + b"end\n"
    assert b"".join(err) == b"a\xff"
    with pytest.raises(InvalidArgumentError, match="on_stdout"):
        aiter(process)


async def test_standard_error_alone_may_have_a_callback(real: AsyncSession) -> None:
    """Then an iteration gets the rest, and the process its input."""
    err: list[bytes] = []
    line = "read a; echo $a; echo $a >&2; exit 5"
    process = await real.command.start(line, on_stderr=err.append)
    await process.send_stdin("hello\n")
    assert b"".join([chunk async for chunk in process]) == b"hello\n"
    assert (await process.wait(LIMIT), b"".join(err)) == (5, b"hello\n")
    assert not (await real.command.run("ls -A /tmp | grep agentbay-")).stdout


async def test_a_callback_may_wait_for_its_process(real: AsyncSession) -> None:
    """The process waits for no callback that waits for it."""
    ended = asyncio.Event()
    known: asyncio.Future[AsyncProcess] = asyncio.get_running_loop().create_future()

    async def on_stderr(_chunk: bytes) -> None:
        assert await (await known).wait() == 0
        ended.set()

    process = await real.command.start("echo x >&2", on_stderr=on_stderr)
    known.set_result(process)
    await asyncio.wait_for(ended.wait(), LIMIT)


def test_a_blocking_callback_may_wait_for_its_process(service: LocalService) -> None:
    """It runs in another thread, and asks from there."""
    known: queue.Queue[Process] = queue.Queue()
    codes: queue.Queue[int] = queue.Queue()
    with AgentBay(service.api_key, endpoint=service.endpoint) as bay, bay.session() as session:

        def on_stdout(_chunk: bytes) -> None:
            codes.put(known.get(timeout=LIMIT).wait())

        known.put(session.command.start("echo x; exit 6", on_stdout=on_stdout))
        assert codes.get(timeout=LIMIT) == 6


async def test_a_session_without_named_pipes_has_one_stream(real: AsyncSession) -> None:
    """Nothing is lost."""
    (await real.command.run("rm -rf /tmp/* && chmod 500 /tmp", check=True)).unwrap()
    out: list[bytes] = []
    err: list[bytes] = []
    process = await real.command.start(
        "echo out; echo err >&2", on_stdout=out.append, on_stderr=err.append
    )
    assert await process.wait(LIMIT) == 0
    assert (b"".join(out), err) == (b"out\nerr\n", [])


async def test_a_session_without_a_websocket_passes_the_output_on_at_the_end(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine
) -> None:
    """The command runs as without callbacks."""
    machine.offer(WsUrl="")
    answer = {"stdout": "out", "stderr": "err", "exit_code": 1}
    machine.tools["shell"] = lambda _args: json.dumps(answer)
    session = await join()
    got: list[str] = []
    result = await session.command.run("x", on_stdout=got.append, on_stderr=got.append)
    assert (result.exit_code, got) == (1, ["out", "err"])


async def test_a_session_has_no_root(linked: AsyncSession, machine: Machine) -> None:
    """The error says where what needs root belongs, before anything is sent."""
    for call in (linked.command.run, linked.command.start):
        with pytest.raises(InvalidArgumentError, match="one user, and no root") as raised:
            await call("apt-get install -y jq", user="root")
        assert "image" in raised.value.hint
    assert (machine.calls, machine.connections) == ([], [])


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_output_is_cut_at_the_limit_of_a_result(
    real: AsyncSession, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    """As without callbacks, which get all of it; the other stream is whole."""
    monkeypatch.setattr("agentbay_async.services._streamed_run.MAX_OUTPUT", 1000)
    got: dict[str, list[str]] = {"stdout": [], "stderr": []}
    line = "head -c 5000 /dev/zero | tr '\\0' x; printf other >&2"
    if stream == "stderr":
        line = f"{{ {line}\n}} 3>&1 1>&2 2>&3"
    callbacks = {f"on_{name}": pieces.append for name, pieces in got.items()}
    result = await real.command.run(line, timeout=LIMIT, **callbacks)
    assert (result.success, result.truncated) == (True, True)
    kept = {"stdout": result.stdout, "stderr": result.stderr}
    assert kept.pop(stream) == "x" * 1000
    assert [*kept.values()] == ["other"]
    assert "".join(got[stream]) == "x" * 5000


async def test_output_up_to_the_limit_is_whole(
    real: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Characters count, and a failure tells of a cut as well."""
    monkeypatch.setattr("agentbay_async.services._streamed_run.MAX_OUTPUT", 4)
    result = await real.command.run("printf üüüü", on_stdout=lambda _text: None)
    assert (result.stdout, result.truncated) == ("üüüü", False)
    result = await real.command.run("printf üüüüx; exit 3", on_stdout=lambda _text: None)
    assert (result.stdout, result.truncated, result.exit_code) == ("üüüü", True, 3)


@pytest.mark.parametrize("is_apart", [True, False])
async def test_a_process_without_a_network_has_a_hint(real: AsyncSession, is_apart: bool) -> None:
    """Once it has failed, by whichever way its output comes, and if that asks for a network."""
    on_stderr = (lambda _chunk: None) if is_apart else None
    line = "read x; echo Could not resolve host >&2; exit 6"
    process = await real.command.start(line, on_stderr=on_stderr)
    assert process.hint == ""
    await process.send_stdin("go\n")
    assert await process.wait(LIMIT) == 6
    assert "`agentbay local --allow-host HOST`" in process.hint
    for line in ("echo Could not resolve host >&2", "echo other >&2; exit 6"):
        process = await real.command.start(line, on_stderr=on_stderr)
        await process.wait(LIMIT)
        assert process.hint == ""
