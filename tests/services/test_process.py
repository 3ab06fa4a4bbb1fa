"""Background processes: the start line, the output, standard input and the exit code."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
import termios
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import InvalidArgumentError, PtyNotConnectedError, SessionError

from .machine import always_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncProcess, AsyncSession

    from .machine import Connection, Machine

_HEAD = r"$ stty -echo; printf '\001agentbay\002'; exec" + "\r\n\x01agentbay\x02"


def _runs(machine: Machine, *texts: str, code: int = 0, offset: int | None = None) -> None:
    async def reply(connection: Connection, frame: dict[str, Any]) -> None:
        more = {} if offset is None else {"offset": offset}
        for text in texts:
            await connection.push(
                "PTY_SERVER",
                {"eventType": "pty.output", "ptySessionId": "p-1", "data": text, **more},
            )
            more = {}
        await connection.push(
            "PTY_SERVER", {"eventType": "pty.exit", "ptySessionId": "p-1", "exitCode": code}
        )

    async def attach(connection: Connection, frame: dict[str, Any]) -> None:
        await connection.answer(frame, {"result": {"ptySessionId": "p-1"}})
        await reply(connection, frame)

    machine.methods["pty.create"] = always_answer({"result": {"ptySessionId": "p-1"}})
    machine.methods["pty.input"] = reply
    machine.methods["pty.connect"] = attach


async def _all(process: AsyncProcess) -> bytes:
    async def read() -> bytes:
        return b"".join([piece async for piece in process])

    return await asyncio.wait_for(read(), 20)


async def test_command_replaces_the_shell(linked: AsyncSession, machine: Machine) -> None:
    """It is sent in a variable, and runs with echo turned off."""
    _runs(machine)
    command = "echo 'a\nb' \"$X\" \\ ü"
    await linked.command.start(command, cwd="/tmp", envs={"X": "1"})
    params = (await machine.wait_for_frame("pty.create"))["data"]["params"]
    assert params["envs"] == {"TERM": "dumb", "X": "1", "AGENTBAY_COMMAND": command}
    assert (params["cwd"], params["shell"]) == ("/tmp", "/bin/sh")
    line = (await machine.wait_for_frame("pty.input"))["data"]["params"]["data"]
    assert line.startswith("stty -echo")
    assert line.endswith("\n")
    assert len(line) < 256


@pytest.mark.parametrize(
    "texts", [(_HEAD + "one\ntwo",), (_HEAD[:9], _HEAD[9:-2], _HEAD[-2:] + "one", "\ntwo")]
)
async def test_prompt_and_echo_are_not_output(
    linked: AsyncSession, machine: Machine, texts: tuple[str, ...]
) -> None:
    """However the output is split; the exit code is that of the command."""
    _runs(machine, *texts, code=7)
    process = await linked.command.start("x")
    assert await _all(process) == b"one\ntwo"
    assert await process.wait() == 7
    assert process.exit_code == 7


async def test_output_of_a_shell_that_never_started_the_command_is_kept(
    linked: AsyncSession, machine: Machine
) -> None:
    """It probably has the reason."""
    _runs(machine, "sh: not found", code=127)
    assert await _all(await linked.command.start("x")) == b"sh: not found"


async def test_attach_finds_a_process_by_its_id(linked: AsyncSession, machine: Machine) -> None:
    """From its first byte, if the session kept it."""
    _runs(machine, _HEAD[:20], _HEAD[20:] + "all of it", offset=0)
    process = await linked.command.attach("p-1")
    assert process.process_id == "p-1"
    assert await _all(process) == b"all of it"


async def test_attach_reads_from_the_present_position_if_the_beginning_is_lost(
    linked: AsyncSession, machine: Machine
) -> None:
    """Nothing is held back for the start mark."""
    _runs(machine, "the rest", offset=500)
    assert await _all(await linked.command.attach("p-1")) == b"the rest"


async def test_process_reads_its_standard_input(linked: AsyncSession, machine: Machine) -> None:
    """Lines, and the end of input."""
    machine.methods["pty.create"] = always_answer({"result": {"ptySessionId": "p-1"}})
    machine.methods["pty.kill"] = always_answer({"result": {}})
    process = await linked.command.start("cat")
    await process.send_stdin("hi\n")
    await process.close_stdin()
    await machine.wait_for_frame("pty.input", 3)
    inputs = [frame for frame in machine.frames if frame["data"]["method"] == "pty.input"]
    assert [frame["data"]["params"]["data"] for frame in inputs][1:] == ["hi\n", "\x04"]
    await process.kill()
    await machine.wait_for_frame("pty.kill")


async def test_writing_to_an_ended_process_raises(linked: AsyncSession, machine: Machine) -> None:
    """The input is not dropped silently."""
    _runs(machine)
    process = await linked.command.start("true")
    await process.wait(10)
    with pytest.raises(PtyNotConnectedError):
        await process.send_stdin("x")


async def _real_terminal(machine: Machine, command: str) -> None:
    """Let the machine open a terminal of this machine, with a shell that is one."""
    master, slave = os.openpty()

    def lead() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    async def create(connection: Connection, frame: dict[str, Any]) -> None:
        envs = {**os.environ, **frame["data"]["params"]["envs"], "AGENTBAY_COMMAND": command}
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh", stdin=slave, stdout=slave, stderr=slave, env=envs, preexec_fn=lead
        )
        os.close(slave)
        await connection.answer(frame, {"result": {"ptySessionId": "p-1"}})
        machine.tasks.append(asyncio.create_task(_carried(connection, master, shell)))

    async def typed(_line: Connection, frame: dict[str, Any]) -> None:
        os.write(master, frame["data"]["params"]["data"].encode())

    machine.methods["pty.create"] = create
    machine.methods["pty.input"] = typed


async def _carried(connection: Connection, master: int, shell: asyncio.subprocess.Process) -> None:
    while True:
        try:
            piece = await asyncio.to_thread(os.read, master, 65536)
        except OSError:  # what Linux says at the end of a terminal
            break
        data = {"encoding": "base64", "data": base64.b64encode(piece).decode()}
        await connection.push(
            "PTY_SERVER", {"eventType": "pty.output", "ptySessionId": "p-1", **data}
        )
    os.close(master)
    code = await shell.wait()
    await connection.push(
        "PTY_SERVER", {"eventType": "pty.exit", "ptySessionId": "p-1", "exitCode": code}
    )


async def test_real_shell_runs_the_start_line(linked: AsyncSession, machine: Machine) -> None:
    """Output, input and exit code are those of the command."""
    command = 'read a; echo "<$a>"; printf \'x\\ny\' >&2; echo "$AGENTBAY_COMMAND"; exit 9'
    await _real_terminal(machine, command)
    process = await linked.command.start(command)
    await process.send_stdin('it\'s \\ "here"\n')
    output = await _all(process)
    assert output == b'<it\'s  "here">\nx\ny\n'
    assert await process.wait(20) == 9


async def test_a_session_without_terminals_is_an_error(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine
) -> None:
    """Starting a process raises."""
    machine.offer(WsUrl="")
    session = await join()
    with pytest.raises(SessionError):
        await session.command.start("x")


@pytest.mark.parametrize("command", ["", "x" * 131_072])
async def test_invalid_arguments_of_start_are_rejected(
    linked: AsyncSession, machine: Machine, command: str
) -> None:
    """No terminal is opened."""
    with pytest.raises(InvalidArgumentError, match="command"):
        await linked.command.start(command)
    assert machine.connections == []
