"""A full disk: commands and deletes succeed, the service starts, and errors have the reason."""

from __future__ import annotations

import io
import os
import subprocess
from typing import TYPE_CHECKING

import aiohttp
import pytest

from agentbay_local import LocalService
from agentbay_local.store import NewSession, StateFullError, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.local.conftest import Api

FULL = "InsufficientStorage"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 16 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts anything")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=755", "tmpfs", str(disk)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine does not mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Write until no byte is free."""
    with (disk / "filling").open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


async def test_a_session_that_fills_the_disk_can_clean_up_and_be_deleted(
    small_disk: Path, api: Api, sandboxed: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Its commands are answered, ``rm`` frees space, and a delete ends it."""
    async with LocalService(home=small_disk) as service, aiohttp.ClientSession() as http:
        one = type(api)(http, service)
        session = await one.session(Timeout=600)
        for _ in range(2):
            await one.sh(session, "cat /dev/zero > big; true")
            for _ in range(30):
                await one.sh(session, "true")
            await one.sh(session, "rm big")
        await one.sh(session, "cat /dev/zero > big; true")
        await one.ok("ReleaseMcpSession", SessionId=session)
        assert await one.status(session) == "FINISH"
        await one.sh(await one.session(), "echo 1 > small")
    assert "more than the 16 MiB of the disk" in caplog.text


async def test_writes_fail_and_deletes_succeed_on_a_full_disk(
    small_disk: Path, api: Api, sandboxed: None
) -> None:
    """Writes have a clear error, never status 500; reads succeed too."""
    async with LocalService(home=small_disk) as service, aiohttp.ClientSession() as http:
        one = type(api)(http, service)
        context = await one.context("notes")
        session = await one.session(Timeout=600)
        await one.sh(session, "true")
        failures = []
        for number in range(2000):
            fill(small_disk)
            status, body = await one.call("CreateMcpSession", Labels={"number": f"{number:060}"})
            if not body["Success"]:
                failures.append((status, body["Code"], body["Message"]))
                fill(small_disk)
                if len(failures) > 1:
                    break
        assert {failure[:2] for failure in failures} == {(400, FULL)}
        assert f"{small_disk} has no room" in failures[0][2]
        assert (await one.ok("ListContexts"))["Data"][0]["Id"] == context
        await one.sh(session, "true")
        await one.ok("DeleteSessionAsync", SessionId=session)


async def test_deletes_that_free_nothing_succeed_on_a_full_disk(
    small_disk: Path, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a free byte and without ballast; they last when there is room again."""
    async with aiohttp.ClientSession() as http:
        async with LocalService(home=small_disk) as service:
            one = type(api)(http, service)
            session, context = await one.session(Timeout=600), await one.context("notes")
            for _ in range(2):  # the service may write with what the first filling has left
                (small_disk / "ballast").unlink(missing_ok=True)
                fill(small_disk)
                await one.call("SetLabel", SessionId=session, Labels={"a": "b" * 5000})
            await one.ok("DeleteSessionAsync", SessionId=session)
            await one.reached(session, "FINISH")
            await one.ok("DeleteContext", Id=context)
            assert "The rows are kept in memory until there is room" in caplog.text
            (small_disk / "filling").unlink()
            await one.session()
        async with LocalService(home=small_disk) as service:
            assert (await type(api)(http, service).ok("ListContexts"))["Data"] == []


async def test_an_upload_to_a_full_disk_says_so(small_disk: Path, api: Api) -> None:
    """With a status that clients do not repeat."""
    async with LocalService(home=small_disk) as service, aiohttp.ClientSession() as http:
        one = type(api)(http, service)
        context = await one.context("notes")
        url = (await one.ok("GetContextFileUploadUrl", ContextId=context, FilePath="a"))["Data"]
        async with http.put(url["Url"], data=io.BytesIO(bytes(17_000_000))) as answer:
            assert (answer.status, (await answer.json())["Code"]) == (400, FULL)
        assert await one.names(context) == []


async def test_a_start_on_a_full_disk_can_read_and_delete(
    small_disk: Path, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a free byte and without ballast; deleted contexts stay deleted."""
    async with aiohttp.ClientSession() as http:
        async with LocalService(home=small_disk) as service:
            one = type(api)(http, service)
            kept, large = await one.context("kept"), await one.context("large")
            await one.put(large, "a", bytes(2_000_000))
        (small_disk / "ballast").unlink()
        fill(small_disk)
        async with LocalService(home=small_disk) as service:
            one = type(api)(http, service)
            assert "The rows are kept in memory until there is room" in caplog.text
            assert len((await one.ok("ListContexts"))["Data"]) == 2
            await one.ok("DeleteContext", Id=large)
        async with LocalService(home=small_disk) as service:
            contexts = (await type(api)(http, service).ok("ListContexts"))["Data"]
            assert [entry["Id"] for entry in contexts] == [kept]


def test_a_full_database_raises_its_own_error_and_keeps_its_rows(tmp_path: Path) -> None:
    """Inside a transaction and outside; the ballast is released, and reads succeed."""
    store = Store.open(tmp_path / "state.db")
    try:
        store.contexts.add("c-1", "one", 0.0)
        ballast = tmp_path / "ballast"
        assert ballast.stat().st_blocks * 512 >= 2 * 1024 * 1024
        # SQLite reports a full disk when a file reaches this limit.
        store._database.execute("PRAGMA max_page_count=1")
        with pytest.raises(StateFullError, match="has no room"):
            store.contexts.add("c-2", "n" * 30000, 0.0)
        assert not ballast.exists()
        new = NewSession("s-1", "i", {"a": "b" * 20000}, 0.0, None, None)
        with pytest.raises(StateFullError):
            store.sessions.add([(new, None)])
        assert store.sessions.get("s-1") is None
        assert store.contexts.get("c-1") is not None
        assert store.contexts.remove("c-1")
    finally:
        store.close()
