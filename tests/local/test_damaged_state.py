"""A state file that is empty, missing, foreign or damaged; no file of a context is lost."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import aiohttp
import pytest

from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.local.conftest import Api


async def fill(home: Path, api: Api) -> str:
    """Run a service that stores one file in a context; return the id of the context."""
    async with aiohttp.ClientSession() as http, LocalService(home=home) as service:
        one = type(api)(http, service)
        context = await one.context("notes")
        await one.put(context, "a.txt", b"precious")
        return context


def empty(file: Path) -> None:
    """Leave a file without content."""
    file.write_bytes(b"")


def replace_by_another(file: Path) -> None:
    """Replace the state with that of another service, which has no contexts."""
    file.unlink()
    with LocalService(home=file.parent / "other"):
        pass
    (file.parent / "other/state.db").rename(file)


@pytest.mark.parametrize("spoil", [empty, os.unlink, replace_by_another])
async def test_files_without_a_row_are_set_aside_and_reported(
    tmp_path: Path, api: Api, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    """The service starts and logs it, and the files are in lost+found."""
    context = await fill(tmp_path, api)
    spoil(tmp_path / "state.db")
    caplog.clear()
    for _ in range(2):
        async with LocalService(home=tmp_path):
            kept = tmp_path / "lost+found" / context / "current/tree/a.txt"
            assert kept.read_bytes() == b"precious"
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"contexts without a row in state.db: 1; their files are now in {tmp_path / 'lost+found'}"
    ]


def truncate(file: Path) -> None:
    """Cut a file within its second page."""
    os.truncate(file, 6000)


def damage_page(file: Path) -> None:
    """Overwrite one page after the first with random bytes."""
    with file.open("r+b") as stream:
        stream.seek(2 * 4096)
        stream.write(os.urandom(4096))


def belong_to_another_program(file: Path) -> None:
    """Replace the state with a valid database of another program."""
    file.unlink()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE bookmark (url TEXT)")


@pytest.mark.parametrize("spoil", [truncate, damage_page, belong_to_another_program])
async def test_a_damaged_file_is_an_error_at_the_start(
    tmp_path: Path, api: Api, spoil: Callable[[Path], None]
) -> None:
    """The error has the file and the remedy; nothing is changed, and the remedy works."""
    context = await fill(tmp_path, api)
    file = tmp_path / "state.db"
    spoil(file)
    with pytest.raises(sqlite3.DatabaseError, match=r"state\.db: .*move the file away"):
        async with LocalService(home=tmp_path):
            pass
    assert (tmp_path / "contexts" / context / "current/tree/a.txt").read_bytes() == b"precious"
    file.rename(tmp_path / "old.db")
    async with LocalService(home=tmp_path):
        kept = tmp_path / "lost+found" / context / "current/tree/a.txt"
        assert kept.read_bytes() == b"precious"


async def test_the_command_line_names_the_damaged_file(tmp_path: Path, api: Api) -> None:
    """``agentbay local`` exits with 2 and prints one sentence."""
    await fill(tmp_path, api)
    damage_page(tmp_path / "state.db")
    command = [sys.executable, "-m", "agentbay_local", "--home", str(tmp_path)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert f"the state of the service cannot be used: {tmp_path / 'state.db'}" in done.stderr
    assert "Traceback" not in done.stderr
