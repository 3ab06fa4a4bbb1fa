"""Regression tests for known bugs of other clients: lost input, changes and errors."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import AgentBayError, FileChange

from .machine import TOOLS, always_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncSession

    from .machine import Connection, Machine

    Join = Callable[[], Awaitable[AsyncSession]]


async def test_write_fits_the_channel_that_it_takes(join: Join, machine: Machine) -> None:
    """A tool without a server is called through the API, so in smaller chunks."""
    machine.offer(ToolList=json.dumps([tool for tool in TOOLS if "write" not in str(tool)]))
    machine.tools["write_file"] = lambda _args: "True"
    machine.tools["shell"] = lambda _args: json.dumps({"stdout": "verified", "exit_code": 0})
    session = await join()
    (await session.file_system.write_file("/f", '"' * 200_000)).unwrap()
    written = [call for call in machine.calls if call.tool == "write_file"]
    assert {call.channel for call in written} == {"api"}
    assert sum(len(call.args["content"]) for call in written) == 200_000
    # Quotes count twice on the wire.
    assert max(len(json.dumps(call.args)) for call in written) <= 63 * 1024
    assert len(written) > 400_000 // (63 * 1024)


async def test_input_on_a_lost_connection_raises(linked: AsyncSession, machine: Machine) -> None:
    """It is not dropped silently."""
    machine.methods["pty.create"] = always_answer({"result": {"ptySessionId": "p-1"}})
    pty = await linked.pty.create()
    machine.handshake_status = 503
    machine.connections[0].abort()
    with pytest.raises(AgentBayError):
        await asyncio.wait_for(pty.wait(), 10)
    with pytest.raises(AgentBayError):
        await pty.send_input("rm x\n")
    with pytest.raises(AgentBayError):
        await pty.resize(100, 30)
    assert not [frame for frame in machine.frames if frame["data"]["method"] == "pty.input"]


async def test_trailing_slash_of_a_watched_path_does_not_matter(
    join: Join, machine: Machine
) -> None:
    """The session may report ``/w`` for ``/w/``, or the reverse."""
    machine.tools["get_file_change"] = lambda _args: "[]"
    machine.methods["subscribe_file_change"] = always_answer({"phase": "end"})
    session = await join()
    changes: Any = session.file_system.watch("/w/")
    async with aclosing(changes):
        first = asyncio.create_task(anext(changes))
        await machine.wait_for_frame("subscribe_file_change")
        entry = {"eventType": "create", "path": "/w/a", "pathType": "file"}
        for path in ("/w", "/w/"):
            await machine.connections[0].push(
                "wuying_filesystem", {"eventType": "file_change", "path": path, "events": [entry]}
            )
        received = [await asyncio.wait_for(first, 20), await asyncio.wait_for(anext(changes), 20)]
    assert received == [FileChange("create", "/w/a", "file")] * 2


async def test_stopping_a_browser_keeps_the_terminals_connected(
    linked: AsyncSession, machine: Machine
) -> None:
    """They share a connection."""
    machine.tools["stopChrome"] = lambda _args: "True"
    machine.methods["pty.create"] = always_answer({"result": {"ptySessionId": "p-1"}})
    machine.methods["pty.input"] = _echoes
    pty = await linked.pty.create()
    (await linked.browser.destroy()).unwrap()
    await pty.send_input("hi")
    assert await asyncio.wait_for(anext(aiter(pty)), 20) == b"hi"
    assert len(machine.connections) == 1


async def _echoes(connection: Connection, frame: dict[str, Any]) -> None:
    params = frame["data"]["params"]
    data = {"eventType": "pty.output", **params}
    await connection.push("PTY_SERVER", data)


async def test_structured_error_is_preferred_to_its_summary(
    linked: AsyncSession, machine: Machine
) -> None:
    """A session may send both."""
    parts = {"name": "ZeroDivisionError", "value": "by zero", "traceback": ["line 1"]}
    answer = {"executionError": "ZeroDivisionError: by zero", "error": parts, "result": []}
    machine.tools["run_code"] = lambda _args: json.dumps(answer)
    error: Any = (await linked.code.run_code("1/0")).error
    assert (error.name, error.value, error.traceback) == (
        "ZeroDivisionError",
        "by zero",
        "line 1",
    )
