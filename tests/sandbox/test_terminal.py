"""Terminals: input, output, size, signals and end."""

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


async def read_rest(terminal: Terminal) -> bytes:
    """Read to the end."""
    output = bytearray()
    while data := await asyncio.wait_for(terminal.read(), 20):
        output += data
    return bytes(output)


async def read_until(terminal: Terminal, wanted: bytes) -> bytes:
    """Read until a text appears."""
    output = bytearray()
    while wanted not in output:
        data = await asyncio.wait_for(terminal.read(), 20)
        assert data, bytes(output)
        output += data
    return bytes(output)


async def test_program_has_a_controlling_terminal(
    sandbox: Sandbox,
) -> None:
    """With the requested size, variables and directory."""
    await sandbox.make_directory("place")
    script = "tty; stty size; echo $TERM $WORD; pwd; echo controlled > /dev/tty"
    async with await sandbox.terminal(
        script, columns=100, rows=30, cwd="place", env={"WORD": "word"}
    ) as terminal:
        output = (await read_rest(terminal)).decode()
        code = await terminal.wait()

    assert "/dev/pts/" in output
    assert "30 100\r\nxterm-256color word\r\n" in output
    assert "/home/wuying/place\r\ncontrolled\r\n" in output
    assert code == 0


async def test_shell_reads_input_and_returns_its_exit_code(
    sandbox: Sandbox,
) -> None:
    """It echoes lines; the exit code can be read any number of times."""
    async with await sandbox.terminal() as terminal:
        await terminal.write(b"echo one$((1+1))three\n")
        output = await read_until(terminal, b"one2three\r\n")
        await terminal.write(b"exit 7\n")
        codes = [await terminal.wait(), await terminal.wait()]

    assert b"echo one$((1+1))three" in output
    assert codes == [7, 7]


@pytest.mark.parametrize("size", [10, 4095, 4096, 5000, 65_536, 300_000])
async def test_output_survives_the_end_of_the_program(sandbox: Sandbox, size: int) -> None:
    """A late reader receives everything."""
    script = f"stty -opost; head -c {size} /dev/zero | tr '\\0' x; printf END"
    async with await sandbox.terminal(script) as terminal:
        if size < 4096:
            await terminal.wait()
        output = await read_rest(terminal)

    assert (len(output), output[-4:]) == (size + 3, b"xEND")


async def test_background_process_does_not_delay_the_end(
    sandbox: Sandbox,
) -> None:
    """The output from before the end is complete."""
    script = "stty -opost; trap '' HUP; sleep 300 & head -c 50000 /dev/zero; printf END"
    for _ in range(10):
        async with await sandbox.terminal(script) as terminal:
            output = await read_rest(terminal)
            assert (len(output), output[-3:]) == (50_003, b"END")
            assert await terminal.wait() == 0


async def test_resize_notifies_the_program(sandbox: Sandbox) -> None:
    """It receives SIGWINCH and reads the new size."""
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    async with await sandbox.terminal(script) as terminal:
        await read_until(terminal, b"ready")
        terminal.resize(111, 44)
        output = await read_rest(terminal)

    assert b"44 111" in output


async def test_interrupt_key_ends_the_command_and_not_the_shell(sandbox: Sandbox) -> None:
    """The terminal turns Ctrl-C into a signal to the foreground group."""
    async with await sandbox.terminal(["/bin/sh", "-i"], env={"PS1": "next> "}) as terminal:
        # Said by the program itself, which by then is the one in the foreground.
        await terminal.write(b"sh -c 'echo be\"\"gun; exec sleep 300'\n")
        await read_until(terminal, b"begun\r\n")
        await terminal.write(b"\x03")
        await read_until(terminal, b"next> ")
        await terminal.write(b"echo still $((1+1))\n")
        await read_until(terminal, b"still 2\r\n")


async def test_kill_ends_every_group_of_the_terminals_session(sandbox: Sandbox) -> None:
    """A shell with jobs has several groups."""
    sleep = unique_sleep()
    script = f"set -m; (trap '' HUP; {sleep}; {sleep}) & echo begun; {sleep}"
    async with await sandbox.terminal(script) as terminal:
        await read_until(terminal, b"begun")
        terminal.kill()
        code = await asyncio.wait_for(terminal.wait(), 10)
        terminal.kill()

    assert code == 137
    assert not (await sandbox.run(still_running(sleep), timeout=20)).timed_out


async def test_kill_ends_processes_that_fork_meanwhile(sandbox: Sandbox) -> None:
    """Each starts the next one in a new group, which a single scan would miss."""
    sleep = unique_sleep()
    script = f"set -m; echo begun; while :; do {sleep} & kill -9 $! && wait; done"
    async with await sandbox.terminal(f"({script}) & ({script}) & {script}") as terminal:
        await read_until(terminal, b"begun")
        terminal.kill()
        assert await asyncio.wait_for(terminal.wait(), 20) == 137

    assert not (await sandbox.run(still_running(sleep), timeout=20)).timed_out


async def test_several_terminals_do_not_mix(sandbox: Sandbox) -> None:
    """Each has the output of its program."""
    terminals = await asyncio.gather(*(sandbox.terminal(f"echo n{n}") for n in range(8)))
    output = await asyncio.gather(*(read_rest(terminal) for terminal in terminals))
    await asyncio.gather(*(terminal.close() for terminal in terminals))

    assert [f"n{n}\r\n".encode() for n in range(8)] == list(output)


async def test_terminal_ends_with_its_sandbox(sandbox: Sandbox) -> None:
    """Readers see the end, and waits raise the reason."""
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


async def test_terminal_rejects_invalid_sizes_missing_programs_and_paused_sessions(
    sandbox: Sandbox,
) -> None:
    """The error names the argument, and nothing is sent."""
    for columns, rows in ((0, 24), (80, 501), (True, 24), ("80", 24)):
        with pytest.raises(InvalidRequest, match=r"columns|rows"):
            await sandbox.terminal(columns=columns, rows=rows)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(SandboxOSError, match="no-such-program"):
        await sandbox.terminal(["no-such-program"])
    await sandbox.pause()
    with pytest.raises(SandboxPaused):
        await sandbox.terminal()


@pytest.mark.parametrize("kind", ["none", "two", "file", "pipe", "slave"])
def test_descriptor_that_is_not_a_terminal_is_rejected_and_closed(kind: str) -> None:
    """A hostile agent cannot make the service read another file."""
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
