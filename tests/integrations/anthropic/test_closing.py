"""Closing a toolset lets go of all that it has, also if it is interrupted; no session runs."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.tools import ToolsetClosedError
from tests.integrations.anthropic.conftest import TOOLSETS

from agentbay_integrations._blocking import LoopThread
from agentbay_integrations._sessions import BlockingSessionOwner, SessionOwner
from agentbay_integrations.anthropic import AgentBayBrowserToolset, AgentBayComputerToolset
from agentbay_integrations.anthropic._driver import BrowserDriver

if TYPE_CHECKING:
    from collections.abc import Callable

ASYNC = [AgentBayComputerToolset, AgentBayBrowserToolset]
BLOCKING = [make for (_, kind), make in TOOLSETS.items() if kind == "blocking"]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of what is closed, which is only written down."""
    names: list[str] = []

    def note(name: str) -> Callable[[object], None]:
        return lambda _: names.append(name)

    def note_later(name: str) -> Callable[[object], Any]:
        async def close(_: object) -> None:
            names.append(name)

        return close

    monkeypatch.setattr(BrowserDriver, "close", note_later("driver"))
    monkeypatch.setattr(SessionOwner, "close", note_later("owner"))
    monkeypatch.setattr(BlockingSessionOwner, "close", note("owner"))
    return names


def expected(toolset: Any) -> list[str]:
    """Return what a toolset has to close."""
    return ["driver", "owner"] if "browser" in toolset.toolset_name else ["owner"]


@pytest.mark.parametrize("make", ASYNC)
async def test_a_cancel_while_the_framework_closes_skips_nothing(
    closed: list[str], make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The framework waits for the members that run; what begins later makes no session."""
    waits = asyncio.Event()

    async def close(_: object) -> None:
        waits.set()
        await asyncio.Event().wait()

    toolset = make(confirm=lambda _: True)
    monkeypatch.setattr(make.__mro__[1], "close", close)
    closing = asyncio.create_task(toolset.close())
    await waits.wait()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert closed == expected(toolset)
    with pytest.raises(ToolsetClosedError, match="make another"):
        await toolset.execute(None, "wait", None)


@pytest.mark.parametrize("make", BLOCKING)
def test_ctrl_c_while_the_framework_closes_skips_nothing(
    closed: list[str], make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for the toolsets that block."""

    def close(_: object) -> None:
        raise KeyboardInterrupt

    toolset = make(confirm=lambda _: True)
    monkeypatch.setattr(make.__mro__[1], "close", close)
    with pytest.raises(KeyboardInterrupt):
        toolset.close()
    assert closed == expected(toolset)
    with pytest.raises(ToolsetClosedError, match="make another"):
        toolset.execute(None, "wait", None)


def test_ctrl_c_while_the_thread_ends_leaves_no_session(
    closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may wait for a while."""
    stop = LoopThread.stop

    def interrupted(thread: LoopThread) -> None:
        stop(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(LoopThread, "stop", interrupted)
    toolset = TOOLSETS["browser", "blocking"]()
    with pytest.raises(KeyboardInterrupt):
        toolset.close()
    assert closed == ["driver", "owner"]


def test_a_call_of_another_thread_ends_with_the_loop() -> None:
    """It would wait forever."""
    thread, runs, ended = LoopThread(), threading.Event(), []

    async def work() -> None:
        runs.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(thread.call, work())
        runs.wait()
        thread.stop()
        with pytest.raises(CancelledError):
            call.result(10)
    assert ended == ["cleaned up"]
