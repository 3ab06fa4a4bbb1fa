"""File operations inside a session."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.errors import InvalidRequest, SandboxOSError

if TYPE_CHECKING:
    from pathlib import Path

    from agentbay_local.sandbox.base import OpenMode, Sandbox

ODD = ["plain", "with space", "line\nbreak", "quote'\"", "-rf", "*", "ünï", "bad\udcff\udc80byte"]


async def write(sandbox: Sandbox, path: str, data: bytes, mode: OpenMode = "w") -> None:
    """Write a file of the session."""
    fd = await sandbox.open(path, mode)
    os.write(fd, data)
    os.close(fd)


async def read(sandbox: Sandbox, path: str) -> bytes:
    """Read a file of the session."""
    fd = await sandbox.open(path)
    data = os.read(fd, 1000)
    os.close(fd)
    return data


@pytest.mark.parametrize("name", ODD)
async def test_every_name_survives_the_round_trip(sandbox: Sandbox, name: str) -> None:
    """Create, list, describe, find, move and remove a file of any valid name."""
    await write(sandbox, f"d/{name}", b"x")

    assert [name] == [entry.name for entry in await sandbox.list("d")]
    assert name == (await sandbox.stat(f"d/{name}")).name
    assert [f"/home/wuying/d/{name}"] == list(await sandbox.search("d", "*"))
    await sandbox.move(f"d/{name}", f"d/{name}2")
    await sandbox.remove(f"d/{name}2")
    assert list(await sandbox.list("d")) == []


async def test_open_truncates_appends_and_reads(sandbox: Sandbox) -> None:
    """The three modes work as usual; missing parents are created for writing."""
    await write(sandbox, "/mnt/data/deep/f", b"first, longer")
    await write(sandbox, "/mnt/data/deep/f", b"new")
    await write(sandbox, "/mnt/data/deep/f", b"+more", "a")

    assert await read(sandbox, "/mnt/data/deep/f") == b"new+more"


async def test_commands_and_file_operations_see_the_same_files(sandbox: Sandbox) -> None:
    """File operations read the output of a command."""
    await sandbox.run("printf hello > f", timeout=10)

    assert await read(sandbox, "/home/wuying/f") == b"hello"


async def test_stat_describes_a_path(sandbox: Sandbox) -> None:
    """Size, permissions and kind are those of the file."""
    await sandbox.run(
        "printf 12345 > f; chmod 640 f; mkdir d; ln -s d l; ln -s nowhere x", timeout=5
    )
    file, directory, link, dangling = [await sandbox.stat(name) for name in ("f", "d", "l", "x")]

    assert (file.size, file.mode & 0o777, file.is_file, file.is_dir) == (5, 0o640, True, False)
    assert (directory.is_dir, directory.is_symlink) == (True, False)
    assert (link.is_dir, link.is_symlink) == (True, True)
    assert (dangling.is_dir, dangling.is_file, dangling.is_symlink) == (False, False, True)


async def test_owner_is_the_sessions_user_when_isolated(isolated: Sandbox) -> None:
    """Names are those of the session, not of the host."""
    home, system = await isolated.stat("."), await isolated.stat("/usr")

    assert (home.owner, home.group) == ("wuying", "wuying")
    assert system.owner == "nobody"


async def test_error_of_a_missing_file_has_errno_and_path(sandbox: Sandbox) -> None:
    """The path is returned as the caller wrote it."""
    for call in (sandbox.stat, sandbox.list, sandbox.open, sandbox.remove):
        with pytest.raises(SandboxOSError) as caught:
            await call("no/such")
        assert (caught.value.errno, caught.value.path) == (errno.ENOENT, "no/such")
    with pytest.raises(SandboxOSError, match="No such file or directory: gone"):
        await sandbox.move("gone", "here")


async def test_search_skips_excluded_directories(sandbox: Sandbox) -> None:
    """Only `*` and `?` are special; excluded directories are not entered."""
    for name in ("a.py", "b.txt", "d/c.py", "d/[x].py", "node/e.py"):
        await write(sandbox, f"s/{name}", b"")

    found = await sandbox.search("s", "*.py", excludes=["node"])
    literal = await sandbox.search("/home/wuying/s", "[x].p?")

    top = "/home/wuying/s"
    assert [f"{top}/a.py", f"{top}/d/[x].py", f"{top}/d/c.py"] == list(found)
    assert [f"{top}/d/[x].py"] == list(literal)


async def test_remove_needs_recursive_for_a_full_directory(sandbox: Sandbox) -> None:
    """A tree is removed only with `recursive`; links in it are not followed."""
    await sandbox.run("mkdir -p t/u keep; touch t/u/f keep/k; ln -s ../keep t/l", timeout=10)
    with pytest.raises(SandboxOSError) as caught:
        await sandbox.remove("t")
    await sandbox.remove("t", recursive=True)

    assert caught.value.errno == errno.ENOTEMPTY
    assert [entry.name for entry in await sandbox.list("keep")] == ["k"]


async def test_move_works_across_mounts_when_isolated(isolated: Sandbox) -> None:
    """A directory moves from /dev/shm to the disk."""
    await isolated.run("mkdir /dev/shm/d; echo 1 > /dev/shm/d/f", timeout=10)
    await isolated.move("/dev/shm/d", "/tmp/d")

    assert await read(isolated, "/tmp/d/f") == b"1\n"


@pytest.mark.parametrize("mode", ["r", "w", "a", "r+"])
async def test_open_rejects_a_fifo_without_waiting(sandbox: Sandbox, mode: OpenMode) -> None:
    """A FIFO without a peer is an error and does not block."""
    await sandbox.run("mkfifo p", timeout=10)

    with pytest.raises(SandboxOSError):
        await asyncio.wait_for(sandbox.open("p", mode), 10)


async def test_open_rejects_directories_and_devices(isolated: Sandbox) -> None:
    """Only regular files can be opened."""
    for path in ("/tmp", "/dev/null", "/dev/zero"):
        with pytest.raises(SandboxOSError):
            await isolated.open(path)


async def test_links_cannot_leave_the_session(isolated: Sandbox, tmp_path: Path) -> None:
    """Neither absolute links nor any number of `..` reach a file of the host."""
    secret = tmp_path / "secret"
    secret.write_text("host")
    up = "../" * 40
    await isolated.run(f"ln -s {secret} abs; ln -s {up}{secret} rel; ln -s / top", timeout=10)

    for path in ("abs", "rel", f"top{secret}", f"{up}{secret}", str(secret)):
        with pytest.raises(SandboxOSError) as caught:
            await isolated.open(path)
        assert caught.value.errno == errno.ENOENT


async def test_mount_point_can_be_created_in_a_live_session(
    isolated: Sandbox, tmp_path: Path
) -> None:
    """The layout on the host is the layout in the session."""
    await isolated.make_directory("/app/code/x")
    await write(isolated, "/app/code/x/f", b"1")

    assert (tmp_path / "root/app/code/x/f").read_bytes() == b"1"


async def test_opened_file_is_not_inherited_and_never_blocks(sandbox: Sandbox) -> None:
    """The descriptor is close-on-exec and non-blocking."""
    await write(sandbox, "f", b"")
    fd = await sandbox.open("f")
    try:
        assert (os.get_inheritable(fd), os.get_blocking(fd)) == (False, False)
    finally:
        os.close(fd)


async def test_large_listing_is_complete(sandbox: Sandbox) -> None:
    """An answer that is larger than a packet is sent in a file."""
    await sandbox.run(
        "mkdir many; cd many; seq -f 'file-with-a-long-name-%g' 3000 | xargs touch", timeout=30
    )

    assert len(await sandbox.list("many")) == 3000
    assert len(await sandbox.search("many", "*")) == 3000


async def test_slow_search_does_not_delay_a_quick_command(sandbox: Sandbox) -> None:
    """A search of the whole system and a command run concurrently."""
    walking = asyncio.ensure_future(sandbox.search("/", "no-such-name"))
    done = await sandbox.run("echo quick", timeout=10)

    assert done.stdout == b"quick\n"
    await walking


@pytest.mark.parametrize("path", ["", "a\0b", 5, None])
async def test_invalid_path_is_named(sandbox: Sandbox, path: object) -> None:
    """Nothing is sent for a path that no system accepts."""
    with pytest.raises(InvalidRequest, match="path: must"):
        await sandbox.stat(path)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InvalidRequest, match="mode: must"):
        await sandbox.open("f", "x")  # type: ignore[arg-type]  # wrong on purpose
