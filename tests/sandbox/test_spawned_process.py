"""Processes that the service talks to while they run, and the directories they may read."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import (
    InvalidRequest,
    SandboxGone,
    SandboxOSError,
    SandboxPaused,
)
from agentbay_local.sandbox.host import programs
from agentbay_local.sandbox.host.programs import INTERPRETER, current_interpreter
from agentbay_local.sandbox.host.uids import private_uid

from .process_table import open_count, still_running, unique_sleep, until_open_at_most

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentbay_local.sandbox.base import Backend, Sandbox
    from agentbay_local.sandbox.host.pipes import Pipe


async def read_rest(pipe: Pipe) -> bytes:
    """Read to the end."""
    read = bytearray()
    while data := await asyncio.wait_for(pipe.read(), 20):
        read += data
    return bytes(read)


async def test_spawned_process_exchanges_lines(sandbox: Sandbox) -> None:
    """Any number of lines; the end of its input ends it."""
    script = "while read line; do echo got $line; done; echo end >&2; exit 4"
    async with await sandbox.spawn(script) as program:
        for word in (b"one", b"two"):
            await program.stdin.write(word + b"\n")
            assert await program.stdout.read() == b"got " + word + b"\n"
        program.stdin.close()

        assert await read_rest(program.stderr) == b"end\n"
        assert [await program.wait(), await program.wait()] == [4, 4]
        assert program.exited


async def test_megabytes_pass_in_both_directions_at_once(sandbox: Sandbox) -> None:
    """Neither side blocks the other, and every byte arrives in order."""
    data = os.urandom(3_000_000)
    async with await sandbox.spawn(["cat"]) as program:
        reading = asyncio.ensure_future(read_rest(program.stdout))
        await program.stdin.write(data)
        program.stdin.close()

        assert await reading == data


@contextlib.contextmanager
def socket_pairs(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Return connected sockets, closed afterwards."""
    made = [socket.socketpair() for _ in range(count)]
    yield made
    for pair in made:
        for end in pair:
            end.close()


async def test_passed_descriptors_start_at_three(sandbox: Sandbox) -> None:
    """In the given order, also with a long script."""
    filler = "#" * 200_000
    script = "for n in 3 4 5 6; do echo number $n >&$n; done\n"
    with socket_pairs(4) as made:
        fds = [far.fileno() for _, far in made]
        for text in (script, script + filler):
            async with await sandbox.spawn(text, fds=fds) as program:
                assert await program.wait() == 0
            received = [near.recv(100) for near, _ in made]
            assert received == [f"number {n}\n".encode() for n in range(3, 7)]
        with pytest.raises(InvalidRequest, match="fds"):
            await sandbox.spawn("true", fds=[*fds, fds[0]])


async def test_only_passed_descriptors_are_inherited(isolated: Sandbox) -> None:
    """A program has its streams and its extra descriptors, and none of other programs."""
    with socket_pairs(1) as ((_, far),):
        async with (
            await isolated.spawn(["sleep", "300"], fds=[far.fileno()]),
            await isolated.spawn("ls /proc/self/fd", fds=[far.fileno()]) as program,
        ):
            # The last is ls reading the directory.
            assert (await read_rest(program.stdout)).split() == [b"0", b"1", b"2", b"3", b"4"]


async def test_signals_reach_the_group_and_kill_the_whole_session(sandbox: Sandbox) -> None:
    """SIGINT can be caught; SIGKILL leaves no process."""
    script = "trap 'echo caught' INT; echo ready; while :; do sleep 0.05; done"
    async with await sandbox.spawn(script) as program:
        assert await program.stdout.read() == b"ready\n"
        program.signal(signal.SIGINT)
        assert await program.stdout.read() == b"caught\n"
        program.kill()
        assert await asyncio.wait_for(program.wait(), 10) == 137
        program.signal(signal.SIGINT)


async def test_leaving_the_block_kills_the_program(sandbox: Sandbox) -> None:
    """Its pipes are closed, and its children are gone."""
    sleep = unique_sleep()
    async with await sandbox.spawn(f"{sleep} & {sleep}") as program:
        pass
    left = await sandbox.run(still_running(sleep), timeout=20)

    assert program.exited
    assert not left.timed_out
    assert program.stdout.fileno() == -1
    assert await program.stdout.read() == b""
    with pytest.raises(SandboxOSError, match="standard input"):
        await program.stdin.write(b"x")


async def test_writing_to_an_ended_program_raises(sandbox: Sandbox) -> None:
    """Nobody reads any more."""
    async with await sandbox.spawn("exec <&-; echo closed; sleep 300") as program:
        assert await program.stdout.read() == b"closed\n"
        with pytest.raises(SandboxOSError) as caught:
            await program.stdin.write(b"x" * 1_000_000)

    assert caught.value.errno == errno.EPIPE


async def test_close_wakes_readers_and_writers(sandbox: Sandbox) -> None:
    """A closed descriptor number could be reused under them."""
    program = await sandbox.spawn(["sleep", "300"])
    reading = asyncio.ensure_future(program.stdout.read())
    writing = asyncio.ensure_future(program.stdin.write(b"x" * 1_000_000))
    await asyncio.wait([reading, writing], timeout=0.05)
    await program.close()
    await program.close()

    assert await asyncio.wait_for(reading, 20) == b""
    with pytest.raises(SandboxOSError):
        await asyncio.wait_for(writing, 20)


async def test_program_that_cannot_be_started_leaves_nothing(sandbox: Sandbox) -> None:
    """The error names the missing program, and no descriptor stays open."""
    before = open_count()
    with pytest.raises(SandboxOSError, match="no-such-program"):
        await sandbox.spawn(["no-such-program"])
    with pytest.raises(SandboxOSError, match="/nowhere"):
        await sandbox.spawn(["true"], cwd="/nowhere")

    await until_open_at_most(before)


async def test_cancelled_start_is_undone(sandbox: Sandbox) -> None:
    """The started program is killed."""
    sleep = unique_sleep()
    for _ in range(10):
        starting = asyncio.ensure_future(sandbox.spawn(sleep.split()))
        await asyncio.sleep(0)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await starting).close()
    left = await sandbox.run(still_running(sleep), timeout=20)

    assert not left.timed_out


async def test_spawned_program_ends_with_its_sandbox(sandbox: Sandbox) -> None:
    """The pipes end and waits fail; a paused session starts nothing."""
    program = await sandbox.spawn(["sleep", "300"])
    await sandbox.pause()
    with pytest.raises(SandboxPaused):
        await sandbox.spawn(["true"])
    await sandbox.close()

    assert await read_rest(program.stdout) == b""
    with pytest.raises(SandboxGone):
        await program.wait()
    await program.close()


def spec(root: Path, **read_only: Path) -> SandboxSpec:
    """Return a specification with read-only directories, each below /opt by its last part."""
    mounted = {f"/opt/shown/{name}": path for name, path in read_only.items()}
    return SandboxSpec(root, private_uid(str(root)), read_only=mounted)


async def test_read_only_directory_can_be_read_and_not_written(
    isolating: None, tmp_path: Path
) -> None:
    """Also below a directory that only its owner may enter."""
    mounted = tmp_path / "closed" / "shown"
    mounted.mkdir(parents=True)
    (mounted / "f").write_text("text")
    (mounted / "f").chmod(0o666)
    mounted.chmod(0o777)
    mounted.parent.chmod(0o700)
    backend = BubblewrapBackend()
    async with await backend.start(spec(tmp_path / "root", here=mounted)) as sandbox:
        read = await sandbox.run("cat /opt/shown/here/f", timeout=10)
        write = await sandbox.run("echo x >> /opt/shown/here/f || rm /opt/shown/here/f", timeout=10)
    await backend.close()

    assert read.stdout == b"text"
    assert b"Read-only file system" in write.stderr
    assert (mounted / "f").read_text() == "text"


async def test_planted_link_does_not_redirect_a_mount(isolating: None, tmp_path: Path) -> None:
    """A link of the session at a mount point is replaced at the next start."""
    mounted = tmp_path / "shown"
    mounted.mkdir()
    (mounted / "f").write_text("text")
    mounted.chmod(0o755)
    backend = BubblewrapBackend()
    for _ in range(2):
        async with await backend.start(spec(tmp_path / "root", here=mounted)) as sandbox:
            assert (await sandbox.run("cat /opt/shown/here/f", timeout=10)).stdout == b"text"
            plant = "mv shown was$$ && ln -s ../../oldroot/tmp shown"
            assert (await sandbox.run(plant, cwd="/opt", timeout=10)).exit_code == 0
    await backend.close()


async def test_python_of_the_service_runs_in_a_session(isolating: None, tmp_path: Path) -> None:
    """With its libraries and a directory of packages, anywhere on the host."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "shown_here.py").write_text("word = 'imported'")
    own = current_interpreter()
    mounted = {"/opt/packages": packages}
    if own.directory is not None:
        mounted[str(INTERPRETER)] = own.directory
    own = own.moved_to(INTERPRETER)
    code = "import sys, shown_here; print(shown_here.word, sys.version_info[:2], flush=True)"
    backend = BubblewrapBackend()
    specification = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)), read_only=mounted)
    async with await backend.start(specification) as sandbox:
        env = {"PYTHONPATH": "/opt/packages", **own.variables}
        async with await sandbox.spawn([str(own.program), "-c", code], env=env) as program:
            received = (await read_rest(program.stdout)).decode()
            read_stderr = await read_rest(program.stderr)
    await backend.close()

    assert (received, read_stderr) == (f"imported {tuple(sys.version_info[:2])}\n", b"")


async def test_agent_runs_on_the_python_of_the_service_where_the_system_has_none(
    isolating: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside namespaces, the directory of that Python does not have its own name."""
    monkeypatch.setattr(programs, "find_interpreter", current_interpreter)
    directory = current_interpreter().directory
    backend = BubblewrapBackend()
    async with await backend.start(spec(tmp_path / "root")) as sandbox:
        assert (await sandbox.run("echo $LD_LIBRARY_PATH", timeout=10)).stdout == b"\n"
        if directory is not None:
            assert (await sandbox.run(["ls", str(directory)], timeout=10)).exit_code == 2
    await backend.close()


@pytest.mark.parametrize("inside", ["/", "relative", "/opt/../etc", "/opt//x", "/usr/x", "/proc"])
async def test_invalid_read_only_path_is_rejected(tmp_path: Path, inside: str) -> None:
    """Nothing is started."""
    backend = BubblewrapBackend()
    with pytest.raises(InvalidRequest, match="read_only"):
        await backend.start(
            SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)), read_only={inside: tmp_path})
        )
    with pytest.raises(InvalidRequest, match="not a directory"):
        await backend.start(spec(tmp_path / "root", here=tmp_path / "nowhere"))
    await backend.close()


async def test_programs_leave_no_descriptor_behind(backend: Backend, tmp_path: Path) -> None:
    """Twenty starts at every level leak none in the service and none in the agent."""
    async with await backend.start(
        SandboxSpec(tmp_path / "r", private_uid(str(tmp_path)))
    ) as sandbox:

        async def once() -> None:
            async with await sandbox.spawn("cat") as program, await sandbox.terminal("true"):
                await program.stdin.write(b"x")

        await once()
        before = open_count()
        inside = await sandbox.run("ls /proc/$PPID/fd | wc -l", timeout=10)
        for _ in range(20):
            await once()
        await until_open_at_most(before)
        again = await sandbox.run("ls /proc/$PPID/fd | wc -l", timeout=10)
        # The agent may not have seen the end of the last one yet, here and before.
        assert int(again.stdout) < int(inside.stdout) + 20
    await backend.close()
