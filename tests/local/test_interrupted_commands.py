"""A command whose session ends or pauses, and one whose client hangs up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async.models.sync_policy import SyncPolicy
from agentbay_local.trees.selection import Selection

if TYPE_CHECKING:
    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")

RUNS = "test -n \"$(find /proc -maxdepth 2 -name cmdline -exec grep -al 'sleep.77[7]' {} +)\""


COMMANDS: dict[str, dict[str, Any]] = {
    "shell": {"command": "sleep 777", "timeout_ms": 600_000},
    "run_code": {
        "language": "python",
        "code": "import os; os.system('exec sleep 777')",
        "timeout_s": 600,
    },
}

every_command = pytest.mark.parametrize("tool", list(COMMANDS))


async def long_command(
    api: Api, session: str, tool: str
) -> asyncio.Task[tuple[int, dict[str, Any]]]:
    """Start a command that takes long, and wait until it runs."""
    task = asyncio.create_task(
        api.call("CallMcpTool", SessionId=session, Name=tool, Args=COMMANDS[tool])
    )
    await api.sh(session, f"until {RUNS}; do sleep 0.02; done")
    return task


@every_command
@pytest.mark.parametrize("action", ["DeleteSessionAsync", "ReleaseMcpSession"])
async def test_a_command_of_a_deleted_session_fails_like_a_later_call(
    api: Api, action: str, tool: str
) -> None:
    """The code is that of a session that is not found."""
    session = await api.session(ImageId="code_latest")
    command = await long_command(api, session, tool)
    await api.ok(action, SessionId=session)
    status, body = await asyncio.wait_for(command, 30)
    assert (status, body["Code"]) == (400, "InvalidMcpSession.NotFound")


@every_command
async def test_a_command_of_a_paused_session_says_so_at_once(api: Api, tool: str) -> None:
    """It does not wait for its own time limit, and it is ended when the session resumes."""
    session = await api.session(ImageId="code_latest")
    command = await long_command(api, session, tool)
    await api.ok("PauseSessionAsync", SessionId=session)
    status, body = await asyncio.wait_for(command, 30)
    assert (status, body["Code"]) == (400, "IncorrectSessionStatus")
    assert "The session is PAUSED; resume it" in body["Message"]
    await api.ok("ResumeSessionAsync", SessionId=session)
    await api.reached(session, "RUNNING")
    await api.sh(session, f"while {RUNS}; do sleep 0.02; done")


@every_command
async def test_a_command_ends_when_its_client_hangs_up(api: Api, tool: str) -> None:
    """Nothing of it is left in the session, which goes on."""
    session = await api.session(ImageId="code_latest")
    command = await long_command(api, session, tool)
    command.cancel()
    await asyncio.wait([command])
    await api.sh(session, f"while {RUNS}; do sleep 0.02; done")


async def test_a_change_is_finished_when_its_client_hangs_up(controlled_api: Api) -> None:
    """A release under way is not cut off in the middle."""
    transitions, journal = controlled_api.service.transitions, controlled_api.service.journal
    transitions.manual("delete")
    session = await controlled_api.session()
    release = asyncio.create_task(controlled_api.call("ReleaseMcpSession", SessionId=session))
    await controlled_api.reached(session, "DELETING")
    release.cancel()
    await asyncio.wait([release])
    assert transitions.finish("delete") == 1
    await controlled_api.reached(session, "FINISH")

    async def recorded() -> list[str]:
        return [entry.code for entry in journal if entry.action == "ReleaseMcpSession"]

    assert await controlled_api.until(recorded) == ["ok"]


def test_unfinished_files_of_clients_are_not_selected() -> None:
    """Whether at the top or below a directory; similar names are ordinary files."""
    selected = Selection(SyncPolicy())
    matches = selected.matcher()
    assert not matches(".agentbay-0123456789abcdef.part")
    assert not matches("a/.agentbay-0123456789abcdef.part")
    assert not matches("a/.agentbay-0123456789abcdef.part64")
    assert matches("a/agentbay-0.part")
    assert matches("a/.agentbay-0.parts")
