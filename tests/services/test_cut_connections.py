"""Connections that break in the middle of a chunk: every wait ends, with a result or an error."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import AgentBayError, AsyncAgentBay, CreateSessionParams

from .cutting_proxy import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay_async import AsyncSession
    from agentbay_local import LocalService

_LIMIT = 50


@pytest.fixture
async def session(service: LocalService) -> AsyncIterator[AsyncSession]:
    """Give a session of it that runs code."""
    async with (
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session(CreateSessionParams(image_id="code_latest")) as session,
    ):
        yield session


@asynccontextmanager
async def _through_proxy(session: AsyncSession) -> AsyncIterator[CuttingProxy]:
    access = session._api.access[session.session_id]
    async with CuttingProxy(access.ws_url) as proxy:
        access.ws_url = proxy.url
        yield proxy


async def _process(session: AsyncSession) -> None:
    process = await session.command.start("echo one; read line; echo got $line; exit 3")
    await process.send_stdin("two\n")
    output = b"".join([chunk async for chunk in process])
    assert output == b"one\ngot two\n"
    assert await process.wait() == 3


async def _terminal(session: AsyncSession) -> None:
    pty = await session.pty.create(shell="/bin/sh")
    await pty.resize(100, 30)
    await pty.send_input("echo $((6 * 7)); exit 4\n")
    output = b"".join([chunk async for chunk in pty])
    assert b"42" in output
    assert await pty.wait() == 4


async def _code(session: AsyncSession) -> None:
    code = "print('one', flush=True)\nprint('two')"
    events = [event async for event in session.code.stream(code, timeout=20)]
    assert "".join(event.text for event in events if event.kind == "stdout") == "one\ntwo\n"


async def _watch(session: AsyncSession) -> None:
    (await session.command.run("mkdir -p /tmp/w")).unwrap()
    changes: Any = session.file_system.watch("/tmp/w", interval=0.05)
    async with aclosing(changes):
        first = asyncio.ensure_future(anext(changes))
        while not first.done():
            (await session.command.run("mktemp -p /tmp/w")).unwrap()
            await asyncio.wait([first], timeout=0.1)
        assert first.result().path.startswith("/tmp/w/")


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3, 4, 5])
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("use", [_process, _terminal, _code, _watch])
async def test_every_wait_ends_when_a_chunk_is_cut_in_half(
    session: AsyncSession,
    use: Callable[[AsyncSession], Awaitable[None]],
    direction: str,
    number: int,
) -> None:
    """Whichever chunk it is: either all is well, or the error is one of ours."""
    async with _through_proxy(session) as proxy:
        proxy.cut_at(direction, number)
        try:
            await asyncio.wait_for(use(session), _LIMIT)
        except AgentBayError:
            assert proxy.cut.is_set()


async def test_a_process_whose_start_is_cut_off_leaves_no_terminal(session: AsyncSession) -> None:
    """Its shell would wait for the command for ever."""
    async with _through_proxy(session) as proxy:
        proxy.cut_at("up", 3)
        with pytest.raises(AgentBayError):
            await asyncio.wait_for(session.command.start("sleep 777"), _LIMIT)
        assert proxy.cut.is_set()
        assert await session.pty.list() == []


async def test_a_terminal_whose_answer_is_cut_off_is_closed(session: AsyncSession) -> None:
    """Nobody knows its id, so nobody could ever close it."""
    async with _through_proxy(session) as proxy:
        # The first chunk is the handshake.
        proxy.cut_at("down", 2)
        with pytest.raises(AgentBayError):
            await asyncio.wait_for(session.pty.create(), _LIMIT)
        assert proxy.cut.is_set()
        await _until_no_terminal(session)


async def test_a_terminal_whose_caller_is_cancelled_is_closed(session: AsyncSession) -> None:
    """Whenever the cancel comes."""
    assert await session.pty.list() == []
    for steps in range(8):
        task = asyncio.ensure_future(session.pty.create(shell="/bin/sh"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, _LIMIT)
        await _until_no_terminal(session)


async def _until_no_terminal(session: AsyncSession) -> None:
    end = time.monotonic() + _LIMIT
    while await session.pty.list():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
