"""Terminals: what is typed arrives, what is shown comes out whole, and they end in time."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.errors import (
    InvalidRequest,
    MalformedReply,
    SandboxGone,
    SandboxOSError,
    SandboxPaused,
)
from agentbay_local.sandbox.host import replies
from agentbay_local.sandbox.host.agent_client import Reply

from .process_table import still_running, unique_sleep

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.sandbox.host.terminal import Terminal


async def rest(terminal: Terminal) -> bytes:
    """Read to the end."""
    shown = bytearray()
    while data := await asyncio.wait_for(terminal.read(), 20):
        shown += data
    return bytes(shown)


async def until(terminal: Terminal, wanted: bytes) -> bytes:
    """Read until something was shown."""
    shown = bytearray()
    while wanted not in shown:
        data = await asyncio.wait_for(terminal.read(), 20)
        assert data, bytes(shown)
        shown += data
    return bytes(shown)


async def test_program_on_a_terminal_has_a_name_size_variables_and_directory(
    sandbox: Sandbox,
) -> None:
    """It is a real terminal, of the wanted size, and the controlling one."""
    await sandbox.make_directory("place")
    script = "tty; stty size; echo $TERM $WORD; pwd; echo controlled > /dev/tty"
    async with await sandbox.terminal(
        script, columns=100, rows=30, cwd="place", env={"WORD": "word"}
    ) as terminal:
        shown = (await rest(terminal)).decode()
        code = await terminal.wait()

    assert "/dev/pts/" in shown
    assert "30 100\r\nxterm-256color word\r\n" in shown
    assert "/home/wuying/place\r\ncontrolled\r\n" in shown
    assert code == 0


async def test_what_is_typed_reaches_the_shell_and_its_exit_code_comes_back(
    sandbox: Sandbox,
) -> None:
    """A shell reads lines, echoes them, and says how it ended, as often as one asks."""
    async with await sandbox.terminal() as terminal:
        await terminal.write(b"echo one$((1+1))three\n")
        shown = await until(terminal, b"one2three\r\n")
        await terminal.write(b"exit 7\n")
        codes = [await terminal.wait(), await terminal.wait()]

    assert b"echo one$((1+1))three" in shown
    assert codes == [7, 7]


@pytest.mark.parametrize("size", [10, 4095, 4096, 5000, 65_536, 300_000])
async def test_no_byte_is_lost_when_the_program_ends_before_it_is_read(
    sandbox: Sandbox, size: int
) -> None:
    """Whatever was written before the end is shown, also to who reads late."""
    script = f"stty -opost; head -c {size} /dev/zero | tr '\\0' x; printf END"
    async with await sandbox.terminal(script) as terminal:
        if size < 4096:
            await terminal.wait()
        shown = await rest(terminal)

    assert (len(shown), shown[-4:]) == (size + 3, b"xEND")


async def test_end_is_shown_though_a_background_process_holds_the_terminal(
    sandbox: Sandbox,
) -> None:
    """Nobody waits for daemons; what a program wrote before its end is shown all the same."""
    script = "stty -opost; trap '' HUP; sleep 300 & head -c 50000 /dev/zero; printf END"
    for _ in range(10):
        async with await sandbox.terminal(script) as terminal:
            shown = await rest(terminal)
            assert (len(shown), shown[-3:]) == (50_003, b"END")
            assert await terminal.wait() == 0


async def test_resize_tells_the_program(sandbox: Sandbox) -> None:
    """It gets SIGWINCH and reads the new size."""
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    async with await sandbox.terminal(script) as terminal:
        await until(terminal, b"ready")
        terminal.resize(111, 44)
        shown = await rest(terminal)

    assert b"44 111" in shown


async def test_interrupt_key_ends_the_command_and_not_the_shell(sandbox: Sandbox) -> None:
    """The terminal turns Ctrl-C into a signal for what runs in the foreground."""
    async with await sandbox.terminal(["/bin/sh", "-i"], env={"PS1": "next> "}) as terminal:
        # Said by the program itself, which by then is the one in the foreground.
        await terminal.write(b"sh -c 'echo be\"\"gun; exec sleep 300'\n")
        await until(terminal, b"begun\r\n")
        await terminal.write(b"\x03")
        await until(terminal, b"next> ")
        await terminal.write(b"echo still $((1+1))\n")
        await until(terminal, b"still 2\r\n")


async def test_kill_ends_every_group_of_the_terminals_session(sandbox: Sandbox) -> None:
    """A shell with jobs has several groups; none is left."""
    sleep = unique_sleep()
    script = f"set -m; (trap '' HUP; {sleep}; {sleep}) & echo begun; {sleep}"
    async with await sandbox.terminal(script) as terminal:
        await until(terminal, b"begun")
        terminal.kill()
        code = await asyncio.wait_for(terminal.wait(), 10)
        terminal.kill()

    assert code == 137
    assert not (await sandbox.run(still_running(sleep), timeout=20)).timed_out


async def test_kill_ends_processes_that_fork_meanwhile(sandbox: Sandbox) -> None:
    """Each starts the next in a group of its own, which no single look at them would find."""
    sleep = unique_sleep()
    script = f"set -m; echo begun; while :; do {sleep} & kill -9 $! && wait; done"
    async with await sandbox.terminal(f"({script}) & ({script}) & {script}") as terminal:
        await until(terminal, b"begun")
        terminal.kill()
        assert await asyncio.wait_for(terminal.wait(), 20) == 137

    assert not (await sandbox.run(still_running(sleep), timeout=20)).timed_out


async def test_several_terminals_do_not_mix(sandbox: Sandbox) -> None:
    """Each shows its own program."""
    terminals = await asyncio.gather(*(sandbox.terminal(f"echo n{n}") for n in range(8)))
    shown = await asyncio.gather(*(rest(terminal) for terminal in terminals))
    await asyncio.gather(*(terminal.close() for terminal in terminals))

    assert [f"n{n}\r\n".encode() for n in range(8)] == list(shown)


async def test_terminal_ends_with_its_sandbox(sandbox: Sandbox) -> None:
    """Who reads sees the end; who waits is told why."""
    terminal = await sandbox.terminal(["sleep", "300"])
    reading = asyncio.ensure_future(terminal.read())
    waiting = asyncio.ensure_future(terminal.wait())
    await asyncio.sleep(0)
    await sandbox.close()

    assert await asyncio.wait_for(reading, 10) == b""
    with pytest.raises(SandboxGone):
        await waiting
    await terminal.close()
    with pytest.raises(SandboxOSError, match="terminal"):
        await terminal.write(b"x")
    with pytest.raises(SandboxOSError, match="terminal"):
        terminal.resize(10, 10)
    with pytest.raises(SandboxGone):
        await sandbox.terminal()


async def test_terminal_refuses_bad_sizes_missing_programs_and_paused_sessions(
    sandbox: Sandbox,
) -> None:
    """The argument is named, before anything is sent."""
    for columns, rows in ((0, 24), (80, 501), (True, 24), ("80", 24)):
        with pytest.raises(InvalidRequest, match=r"columns|rows"):
            await sandbox.terminal(columns=columns, rows=rows)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(SandboxOSError, match="no-such-program"):
        await sandbox.terminal(["no-such-program"])
    await sandbox.pause()
    with pytest.raises(SandboxPaused):
        await sandbox.terminal()


@pytest.mark.parametrize("kind", ["none", "two", "file", "pipe", "slave"])
def test_what_is_no_terminals_master_is_refused_and_closed(kind: str) -> None:
    """A lying agent cannot make the service read something else."""
    master, slave = os.openpty()
    read, write = os.pipe()
    file = os.open("/dev/null", os.O_RDWR)
    given = {
        "none": (),
        "two": (os.dup(master), os.dup(master)),
        "file": (os.dup(file),),
        "pipe": (os.dup(read),),
        "slave": (os.dup(slave),),
    }[kind]
    # The number of a terminal can be asked of its master only; the other end is refused too.
    with pytest.raises(MalformedReply):
        replies.take_terminal(Reply({}, given))
    for fd in given:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    for fd in (master, slave, read, write, file):
        os.close(fd)
