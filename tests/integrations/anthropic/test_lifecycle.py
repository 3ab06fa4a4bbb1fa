"""What a toolset makes is gone when it ends, however it ends; what it was given stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anthropic.tools import ToolsetContractError
from tests.browser.conftest import ORIGIN, serve
from tests.desktop.conftest import until
from tests.integrations.anthropic.conftest import TOOLSETS
from tests.integrations.anthropic.script import Caller, runner, scripted
from tests.integrations.anthropic.site import SITE

from agentbay_async import AsyncAgentBay
from agentbay_integrations.anthropic import (
    AgentBayBrowserToolset,
    AgentBayComputerToolset,
)

if TYPE_CHECKING:
    from tests.integrations.anthropic.conftest import Open

    from agentbay_async import AsyncSession
    from agentbay_local import LocalService


ROOT = Path(__file__).parents[3]


def playwrights() -> list[str]:
    """Return the processes of Playwright that this process has started."""
    mine = ["ps", "-ww", "-o", "args=", "--ppid", str(os.getpid())]
    found = subprocess.run(mine, capture_output=True, text=True).stdout.splitlines()
    return [line for line in found if "playwright" in line]


async def living(service: LocalService) -> set[str]:
    """Return the sessions of a service that runs on a thread."""
    return set(await asyncio.to_thread(service.living))


@pytest.mark.parametrize("family", ["computer", "browser"])
async def test_a_toolset_makes_one_session_and_deletes_it(
    service: LocalService, open_toolset: Open, family: str
) -> None:
    """The first member makes it, with labels; making the toolset alone does not."""
    before, tools = await living(service), playwrights()
    async with open_toolset(family, run="r-2") as call:
        assert await living(service) == before
        assert not (await call("wait", duration=0)).failed
        assert not (await call("screenshot")).failed
        async with AsyncAgentBay() as bay:
            labels = {"framework": "anthropic", "run": "r-2"}
            assert len([one async for one in bay.list(labels)]) == 1
    assert await living(service) == before
    assert playwrights() == tools


async def test_a_session_that_is_handed_in_stays_with_its_tabs(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """Another toolset finds them."""
    await serve(web_session, SITE)
    async with open_toolset("browser", web_session.session_id) as call:
        await call("navigate", url=f"{ORIGIN}/form.html")
    assert (await web_session.command.execute_command("true")).success
    async with open_toolset("browser", web_session.session_id) as call:
        [tab] = (await call("list_tabs")).state["tabs"]
        assert tab["title"] == "Form"


@pytest.mark.parametrize("make", [AgentBayComputerToolset, AgentBayBrowserToolset])
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_a_cancel_leaves_nothing(service: LocalService, make: Any, when: str) -> None:
    """Neither one that comes while the session is made, nor one while a member runs."""
    before, tools = await living(service), playwrights()
    inside = asyncio.Event()

    async def use() -> None:
        async with make(confirm=lambda _: True) as toolset:
            call = Caller(toolset)
            if when == "later":
                await call("screenshot")
            inside.set()
            await call("wait", duration=30)

    task = asyncio.create_task(use())
    await inside.wait()
    await asyncio.sleep(0)  # into the member
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await living(service) == before
    assert playwrights() == tools


async def test_a_cancel_while_playwright_starts_leaves_nothing(service: LocalService) -> None:
    """Its process runs then, and cannot be told yet to end."""
    before, tools = await living(service), playwrights()

    async def has_begun() -> bool:
        return await asyncio.to_thread(playwrights) != tools

    with anyio.CancelScope() as scope:
        async with AgentBayBrowserToolset() as toolset, anyio.create_task_group() as tasks:
            tasks.start_soon(Caller(toolset), "screenshot")
            await until(has_begun)
            scope.cancel()
    assert scope.cancelled_caught
    assert await living(service) == before
    assert playwrights() == tools


async def test_an_error_of_the_framework_leaves_nothing(service: LocalService) -> None:
    """A policy that answers wrongly ends the run."""
    before, tools = await living(service), playwrights()
    turns = [[("new_tab", {}), ("navigate", {"url": "about:blank"})]]

    async def run() -> None:
        made = AgentBayBrowserToolset(url_policy=lambda context, url: True)  # it must return None
        async with made as toolset, scripted(turns, [], "browser") as client:
            await runner(client, toolset).until_done()

    with pytest.raises(ToolsetContractError):
        await run()
    assert await living(service) == before
    assert playwrights() == tools


# Ctrl-C comes while the second member runs; the program waits in it.
PROGRAM = """
from agentbay_integrations.anthropic import *
from tests.integrations.anthropic.script import Caller

def confirm(context):
    print(context.member, flush=True)
    return True

with {make}(confirm=confirm) as toolset:
    for name, values in (("screenshot", {{}}), ("wait", {{"duration": 30}})):
        toolset.tool_result(Caller(toolset).block(name, values))
"""


@pytest.mark.parametrize("member", ["screenshot", "wait"])
@pytest.mark.parametrize("family", ["computer", "browser"])
async def test_ctrl_c_leaves_nothing(service: LocalService, family: str, member: str) -> None:
    """A blocking program that is interrupted deletes its session, also while it makes it."""
    before = await living(service)
    program = PROGRAM.format(make=TOOLSETS[family, "blocking"].__name__)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=PIPE, stderr=PIPE
    )
    assert child.stdout is not None
    while await child.stdout.readline() != f"{member}\n".encode():
        assert child.returncode is None

    async def is_made() -> bool:
        return await living(service) != before

    await until(is_made)
    child.send_signal(signal.SIGINT)
    _, errors = await child.communicate()
    assert errors.decode().strip().endswith("KeyboardInterrupt")
    assert "never" not in errors.decode()
    assert await living(service) == before


async def test_a_browser_that_was_killed_is_started_again(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """The model is told; the next call finds another browser, whose tabs have other names."""
    async with open_toolset("browser", web_session.session_id) as call:
        first = (await call("list_tabs")).active["tab_id"]
        await web_session.command.execute_command("pkill -9 chromium")

        async def is_back() -> bool:
            answer = await call("screenshot")
            return not answer.failed and answer.active["tab_id"] != first

        await until(is_back)


async def test_keys_are_released_after_a_cancel(web_session: AsyncSession) -> None:
    """The page sees that they go up."""
    await serve(web_session, SITE)
    async with AgentBayBrowserToolset(session=web_session) as toolset:
        call = Caller(toolset)
        await call("navigate", url=f"{ORIGIN}/pad.html")

        async def has(text: str) -> bool:
            # Another client: the toolset runs one member at a time.
            async with AgentBayBrowserToolset(session=web_session) as other:
                return text in (await Caller(other)("get_page_text")).text

        holding = asyncio.create_task(call("hold_key", text="shift", duration=30))
        await until(lambda: has("Shift"))
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding
        assert await has("up Shift")
