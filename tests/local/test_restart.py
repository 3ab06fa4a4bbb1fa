"""Restarts: what is kept, what is not, and the lock of a home."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest

from agentbay_local import LocalService
from agentbay_local.home import HomeInUseError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Api

READY = "AgentBay local service ready at "


async def test_contexts_outlive_a_restart_and_sessions_do_not(
    tmp_path: Path, api: Api, sandboxed: None
) -> None:
    """Files, names and page tokens are kept; sessions have ended."""
    kind = type(api)
    async with aiohttp.ClientSession() as http:
        async with LocalService(home=tmp_path) as first:
            old = kind(http, first)
            context = await old.context("kept")
            await old.put(context, "a.txt", b"kept")
            await old.context("second")
            token = (await old.ok("ListContexts", MaxResults=1))["NextToken"]
            session = await old.session(Labels={"a": "b"})
            await old.sh(session, "true")
        async with LocalService(home=tmp_path) as second:
            new = kind(http, second)
            assert await new.context("kept") == context
            assert await new.fetch(context, "a.txt") == b"kept"
            page = await new.ok("ListContexts", MaxResults=1, NextToken=token)
            assert [entry["Id"] for entry in page["Data"]] == [context]
            assert await new.status(session) == "FINISH"
            assert (await new.ok("ListSession"))["TotalCount"] == 0
            assert list((tmp_path / "sessions").iterdir()) == []


async def test_a_killed_service_leaves_no_process_and_its_successor_cleans_up(
    tmp_path: Path, api: Api, sandboxed: None
) -> None:
    """After SIGKILL the sandbox dies, and the next start removes its files."""
    command = [sys.executable, "-m", "agentbay_local", "--home", str(tmp_path), "--api-key", "k"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        session = await used_session(line.decode().removeprefix(READY).strip(), "k")
    finally:
        process.kill()
        await process.wait()
    assert os.listdir(tmp_path / "sessions") == [session]
    (tmp_path / "sessions/.s-deleted.1").mkdir()  # its session was deleted, and not yet its files
    async with LocalService(home=tmp_path) as successor, aiohttp.ClientSession() as http:
        again = type(api)(http, successor)
        assert await again.status(session) == "FINISH"
        assert os.listdir(tmp_path / "sessions") == []
    assert os.listdir(tmp_path / "running") == []


async def used_session(endpoint: str, key: str) -> str:
    """Create a session on another service and run a process that stays."""
    form = {"Authorization": f"Bearer {key}", "Name": "shell"}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{endpoint}/?Action=CreateMcpSession", data=form) as answer:
            form["SessionId"] = (await answer.json())["Data"]["SessionId"]
        form["Args"] = '{"command": "sleep 1000 >/dev/null 2>&1 & echo started"}'
        async with http.post(f"{endpoint}/?Action=CallMcpTool", data=form) as answer:
            assert "started" in await answer.text()
    return form["SessionId"]


async def test_two_services_on_one_home_are_impossible(tmp_path: Path) -> None:
    """The second fails with an error that names the home; the first continues."""
    async with LocalService(home=tmp_path) as first:
        with pytest.raises(HomeInUseError, match=str(tmp_path)):
            LocalService(home=tmp_path).start()
        async with aiohttp.ClientSession() as http, http.get(f"{first.endpoint}/healthz") as answer:
            assert answer.status == 200


async def test_a_port_in_use_is_an_error_and_leaves_nothing_locked(
    service: LocalService, tmp_path: Path
) -> None:
    """The home can be used at once."""
    port = int(service.endpoint.rpartition(":")[2])
    for _ in range(2):
        with pytest.raises(OSError, match="address already in use"):
            LocalService(home=tmp_path, port=port).start()


def test_a_blocking_service_starts_stops_and_starts_again(tmp_path: Path) -> None:
    """Its endpoint exists only while it runs."""
    one = LocalService(home=tmp_path)
    for _ in range(2):
        with one:
            assert one.endpoint.startswith("http://127.0.0.1:")
        with pytest.raises(RuntimeError, match="not running"):
            _ = one.endpoint


async def test_files_are_saved_when_a_service_with_a_home_is_stopped(
    tmp_path: Path, api: Api, sandboxed: None
) -> None:
    """A clean stop releases every session, with its uploads."""
    async with aiohttp.ClientSession() as http:
        async with LocalService(home=tmp_path) as first:
            old = type(api)(http, first)
            context = await old.context("kept")
            await old.sh(await old.mounted(context), "echo 1 > /mnt/data/a")
        async with LocalService(home=tmp_path) as second:
            assert await type(api)(http, second).fetch(context, "a") == b"1\n"


async def test_the_state_is_private_to_its_user(tmp_path: Path) -> None:
    """Other users cannot read labels, files or the secret."""
    async with LocalService(home=tmp_path / "home"):
        private = [tmp_path / "home", *(tmp_path / "home").iterdir()]
        assert [path.name for path in private if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(
    "arguments", [{"isolation": "perfect"}, {"port": 70000}, {"api_key": "  "}]
)
def test_invalid_arguments_are_rejected(arguments: dict[str, object]) -> None:
    """The message names the argument."""
    with pytest.raises(ValueError, match=next(iter(arguments))):
        LocalService(**arguments)  # type: ignore[arg-type]  # the point


def test_a_temporary_home_is_removed() -> None:
    """The directory for temporary files is unchanged."""
    with LocalService() as one:
        home = one.home
        assert (home / "state.db").exists()
    assert not home.exists()
