"""The directories of deleted sessions are removed in the background."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until

from agentbay_local.sessions import removals as module
from agentbay_local.sessions.removals import Removals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
def resting() -> asyncio.Event:
    """Return whether no sandbox is starting; one is."""
    return asyncio.Event()


@pytest.fixture
async def removals(resting: asyncio.Event) -> AsyncIterator[Removals]:
    """Give the removals of a service."""
    one = Removals(resting)
    yield one
    await one.close()


def make(directory: Path, name: str = "s-1") -> Path:
    """Return a directory with a file."""
    made = directory / name
    made.mkdir()
    (made / "file").touch()
    return made


async def test_a_directory_is_out_of_the_way_at_once_and_removed_when_no_sandbox_starts(
    tmp_path: Path, removals: Removals, resting: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a session of the same name could have a new one."""
    monkeypatch.setattr(module, "_POSTPONED", 600)
    await removals.add(make(tmp_path))
    await removals.add(make(tmp_path))

    assert not (tmp_path / "s-1").exists()
    assert len(os.listdir(tmp_path)) == 2

    resting.set()
    await until(lambda: os.listdir(tmp_path) == [])


async def test_a_removal_waits_for_starts_for_a_limited_time(
    tmp_path: Path, removals: Removals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one start follows the other, the disk would fill."""
    monkeypatch.setattr(module, "_POSTPONED", 0.01)
    await removals.add(make(tmp_path))
    await until(lambda: os.listdir(tmp_path) == [])


async def test_closing_removes_what_is_left(
    tmp_path: Path, removals: Removals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for a start that hangs."""
    monkeypatch.setattr(module, "_POSTPONED", 600)
    for number in range(5):
        await removals.add(make(tmp_path, f"s-{number}"))
    await removals.close()

    assert os.listdir(tmp_path) == []


async def test_a_missing_directory_needs_no_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resting: asyncio.Event
) -> None:
    """A session that was never used has none, and takes no place in the queue."""
    monkeypatch.setattr(module, "_MOST", 1)
    removals = Removals(resting)
    for name in ("s-1", "s-2"):
        await asyncio.wait_for(removals.add(tmp_path / name), 30)
    await removals.close()

    assert os.listdir(tmp_path) == []


async def test_a_delete_waits_where_too_much_is_left_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resting: asyncio.Event
) -> None:
    """Otherwise sessions could be made and deleted more quickly than their files go."""
    monkeypatch.setattr(module, "_MOST", 2)
    monkeypatch.setattr(module, "_POSTPONED", 600)
    removals = Removals(resting)
    for name in ("s-1", "s-2"):
        await removals.add(make(tmp_path, name))
    last = asyncio.ensure_future(removals.add(make(tmp_path, "s-3")))
    await asyncio.wait([last], timeout=0.01)
    assert (tmp_path / "s-3").exists()

    resting.set()
    await last
    await removals.close()
    assert os.listdir(tmp_path) == []


async def test_a_large_directory_does_not_delay_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removals: Removals, resting: asyncio.Event
) -> None:
    """There is a second thread."""
    remove, go = module.remove_tree_now, threading.Event()

    def remove_slowly(path: Path) -> None:
        if path.name.startswith(".s-large"):
            assert go.wait(60)
        remove(path)

    monkeypatch.setattr(module, "remove_tree_now", remove_slowly)
    resting.set()
    await removals.add(make(tmp_path, "s-large"))
    await removals.add(make(tmp_path, "s-small"))
    await until(lambda: len(os.listdir(tmp_path)) == 1)

    assert os.listdir(tmp_path)[0].startswith(".s-large")
    go.set()


async def test_what_cannot_be_removed_is_logged_and_holds_up_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    resting: asyncio.Event,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its session is over, so no caller could be told."""

    def fail(_: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(module, "_MOST", 1)
    monkeypatch.setattr(module, "remove_tree_now", fail)
    removals = Removals(resting)
    resting.set()
    for name in ("s-1", "s-2"):
        await removals.add(make(tmp_path, name))
    await removals.close()

    assert caplog.text.count("cannot be removed: Operation not permitted") == 2


def test_a_removal_that_meets_the_end_of_the_process_says_nothing(
    tmp_path: Path, run_child: Callable[..., str]
) -> None:
    """An embedded service runs on until then, and removes its whole home."""
    make(tmp_path)
    output = run_child(
        f"""
        import asyncio, atexit, gc, pathlib, threading
        from agentbay_local.sessions.removals import Removals

        resting, ended, added = asyncio.Event(), threading.Event(), threading.Event()

        async def serve():
            removals = Removals(resting)
            await removals.add(pathlib.Path({str(tmp_path)!r}, "s-1"))
            added.set()
            await removals.finish()
            gc.collect()
            ended.set()

        def at_exit():
            loop.call_soon_threadsafe(resting.set)
            print(ended.wait(60))

        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True).start()
        added.wait()
        atexit.register(at_exit)
        """
    )

    assert output == "True"


async def test_a_directory_that_cannot_be_moved_is_an_error(
    tmp_path: Path, removals: Removals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the session stays, and its release is tried again."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    made = make(tmp_path)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(PermissionError):
        await removals.add(made)
