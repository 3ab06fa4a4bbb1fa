"""Commands as frameworks run them: any length, both streams, an end when they are cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import AsyncAgentBay, InvalidArgumentError
from agentbay_integrations._commands import FinishedCommand, run_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_async import AsyncSession, CommandResult
    from agentbay_local import LocalService


@pytest.fixture
async def session(service: LocalService) -> AsyncIterator[AsyncSession]:
    """Give a session."""
    async with AsyncAgentBay() as bay, bay.session() as session:
        yield session


@pytest.fixture(params=["own address", "no own address"])
def either(
    request: pytest.FixtureRequest, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> AsyncSession:
    """Give a session with an address of its own, and one whose requests may not be long."""
    if request.param == "no own address":
        kind = type(session.command)
        original = kind.run

        async def run(self: object, command: str, *args: Any, **options: Any) -> CommandResult:
            if options.get("timeout", 0) > 0.5:
                raise InvalidArgumentError("timeout must be at most 0.5 seconds")
            return await original(self, command, *args, **options)

        monkeypatch.setattr(kind, "run", run)
        monkeypatch.setattr("agentbay_integrations._commands._ONE_REQUEST", 0.5)
    return session


async def test_a_command_without_a_limit_has_both_streams_and_an_exit_code(either: AsyncSession):
    """Its input is empty, its variables are its own, and what is not text is replaced."""
    line = "cat; pwd; printf '\\377'; echo \"$A $AGENTBAY_PROGRAM\" >&2; exit 3"

    done = await run_command(either, line, cwd="/tmp", envs={"A": "it's"})

    assert done == FinishedCommand("/tmp\n\ufffd", "it's \n", 3)
    assert (await either.command.run("ls -d /tmp/agentbay-* | wc -l")).stdout == "0\n"


async def test_a_command_whose_time_is_over_keeps_its_output(either: AsyncSession):
    """It is killed; nothing of it is left."""
    short = await run_command(either, "echo so far; echo bad >&2; sleep 3600", timeout=1)

    assert (short.stdout, short.exit_code, short.timed_out) == ("so far\n", 124, True)
    assert short.stderr.startswith("bad\n")
    assert (await either.command.run("pgrep -c sleep")).stdout == "0\n"


async def test_a_cancelled_command_ends(either: AsyncSession):
    """In both ways to run it."""
    line = "echo $$ >/tmp/new; mv /tmp/new /tmp/pid; exec sleep 3600"
    running = asyncio.create_task(run_command(either, line))
    await either.command.run("until [ -e /tmp/pid ]; do sleep 0.01; done", check=True)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await either.command.run("while kill -0 $(cat /tmp/pid); do sleep 0.01; done", check=True)
    assert (await either.command.run("ls -d /tmp/agentbay-* | wc -l")).stdout == "0\n"


async def test_output_that_the_session_throws_away_is_noticed(either: AsyncSession):
    """A stream may have 16 MiB."""
    done = await run_command(either, "head -c 17000000 /dev/zero | tr '\\0' x")

    assert done.truncated
    assert len(done.stdout) < 17_000_000


async def test_what_is_no_command_is_refused(session: AsyncSession):
    """The library's own check says which argument is wrong, whatever the limit."""
    with pytest.raises(InvalidArgumentError, match="command"):
        await run_command(session, "")
    with pytest.raises(InvalidArgumentError, match="timeout"):
        await run_command(session, "true", timeout=-1)


def test_a_model_sees_the_end_of_long_streams():
    """Errors come last; what is left out is said."""
    done = FinishedCommand("a" * 20, "no\n", 1)

    assert done.text(5) == "[15 characters left out]\naaaaa\nno\n"
    assert FinishedCommand("", "no", 1).text(5) == "no"
