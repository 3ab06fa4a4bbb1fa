"""Commands: input, output, exit codes and their end."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.errors import InvalidRequest, SandboxOSError
from agentbay_local.sandbox.host.command_run import OutputStream

from .process_table import still_running, unique_sleep

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Sandbox


async def test_run_returns_output_and_exit_code(sandbox: Sandbox) -> None:
    """Standard output, standard error and the exit code are separate."""
    done = await sandbox.run("echo out; echo err >&2; exit 3", timeout=10)

    assert (done.exit_code, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


async def test_run_keeps_every_byte_when_output_is_binary(sandbox: Sandbox) -> None:
    """NUL bytes and invalid UTF-8 are kept."""
    done = await sandbox.run(r"printf 'a\000b\377c'", timeout=10)

    assert done.stdout == b"a\x00b\xffc"


async def test_run_accepts_a_sequence_without_a_shell(sandbox: Sandbox) -> None:
    """A sequence is a program and its arguments; no shell interprets them."""
    done = await sandbox.run(["printf", "%s", "$HOME; *"], timeout=10)

    assert done.stdout == b"$HOME; *"


async def test_run_starts_in_home_and_follows_cwd(sandbox: Sandbox) -> None:
    """The home directory is the default; cwd may contain spaces and quotes."""
    name = 'it\'s a "dir"'
    await sandbox.make_directory(name)

    home = await sandbox.run("pwd", timeout=10)
    inside = await sandbox.run("pwd", cwd=name, timeout=10)

    assert home.stdout.endswith(b"/home/wuying\n")
    assert home.stdout.strip() + b"/" + name.encode() == inside.stdout.strip()


async def test_run_names_the_directory_when_cwd_is_missing(sandbox: Sandbox) -> None:
    """The error names the missing working directory."""
    with pytest.raises(SandboxOSError, match="No such file or directory: /nowhere"):
        await sandbox.run("true", cwd="/nowhere", timeout=10)


async def test_run_names_the_program_when_it_is_missing(sandbox: Sandbox) -> None:
    """The error names the missing program."""
    with pytest.raises(SandboxOSError, match="No such file or directory: no-such-program"):
        await sandbox.run(["no-such-program"], timeout=10)


async def test_run_adds_variables_to_the_sessions_own(sandbox: Sandbox) -> None:
    """Values may contain any characters; HOME and PATH stay."""
    done = await sandbox.run('printf "%s|%s" "$WORD" "$USER"', env={"WORD": "a 'b' ü"}, timeout=10)

    assert "a 'b' ü|wuying".encode() == done.stdout


async def test_run_passes_stdin(sandbox: Sandbox) -> None:
    """The command reads the bytes given as stdin."""
    done = await sandbox.run("cat", stdin=b"x\x00y" * 1000, timeout=10)

    assert done.stdout == b"x\x00y" * 1000


async def test_stdin_is_empty_by_default(sandbox: Sandbox) -> None:
    """A command that reads does not hang."""
    assert (await sandbox.run("cat", timeout=10)).stdout == b""


async def test_run_reports_the_signal_that_ended_a_command(sandbox: Sandbox) -> None:
    """The exit code is 128 + n, as in a shell."""
    assert (await sandbox.run("kill -TERM $$", timeout=10)).exit_code == 143


async def test_sigpipe_has_its_default_action(sandbox: Sandbox) -> None:
    """A writer whose reader has gone ends silently, although Python ignores the signal."""
    done = await sandbox.run("yes | head -n 1", timeout=10)

    assert (done.stdout, done.stderr) == (b"y\n", b"")


@pytest.mark.slow
async def test_timeout_kills_the_group_and_keeps_the_output(
    sandbox: Sandbox,
) -> None:
    """Partial output survives a timeout; the processes of the pipeline do not."""
    sleep = unique_sleep()
    done = await sandbox.run(f"echo begun; {sleep} | cat", timeout=3)

    assert (done.stdout, done.timed_out) == (b"begun\n", True)
    left = await sandbox.run(still_running(sleep), timeout=20)
    assert not left.timed_out


async def test_run_does_not_wait_for_background_processes(sandbox: Sandbox) -> None:
    """A process that keeps the output open does not delay the answer."""
    began = time.monotonic()
    done = await sandbox.run("sleep 60 & echo $!", timeout=20)

    assert time.monotonic() - began < 10
    pid = done.stdout.decode().strip()
    assert (await sandbox.run(f"kill -0 {pid} && kill {pid}", timeout=10)).exit_code == 0


async def test_background_process_can_write_after_its_command_ended(
    sandbox: Sandbox,
) -> None:
    """Its output is read as long as it lives, so that no write fails or blocks."""
    script = "(while [ ! -e go ]; do sleep 0.02; done; head -c 1000000 /dev/zero; echo $? > done) &"
    await sandbox.run(script, timeout=10)
    waited = await sandbox.run(
        "touch go; while [ ! -s done ]; do sleep 0.02; done; cat done", timeout=20
    )

    assert waited.stdout == b"0\n"


async def test_run_accepts_a_command_longer_than_one_argument(sandbox: Sandbox) -> None:
    """A script of a megabyte runs like a short one."""
    words = "x" * 1_000_000
    done = await sandbox.run(f"printf %s {words} | wc -c; echo $0", timeout=20)

    assert done.stdout.split() == [b"1000000", b"/bin/sh"]


async def test_run_returns_twenty_megabytes(sandbox: Sandbox) -> None:
    """Large output is complete."""
    done = await sandbox.run("head -c 20000000 /dev/zero", timeout=30)

    assert len(done.stdout) == 20_000_000
    assert not done.truncated


async def test_output_in_the_pipe_is_read_after_the_end() -> None:
    """The end may be reported before the loop has read the output."""
    stream = OutputStream(100_000)
    os.write(stream.write_end, b"x" * 50_000)
    os.close(stream.write_end)

    assert stream.read_available() is None
    assert stream.kept == b"x" * 50_000


async def test_output_beyond_the_limit_is_discarded(sandbox: Sandbox) -> None:
    """The command continues, the first bytes are kept, and the result is marked as truncated."""
    done = await sandbox.run("head -c 1000000 /dev/zero; echo end >&2", timeout=10, output_limit=10)

    assert (
        done.stdout,
        done.stderr,
        done.truncated,
        done.exit_code,
    ) == (b"\x00" * 10, b"end\n", True, 0)


async def test_commands_run_concurrently(sandbox: Sandbox) -> None:
    """Sixty-four commands that wait for each other all end."""
    meet = "touch m$N; while [ $(ls m* | wc -l) -lt 64 ]; do sleep 0.2; done; echo $N"
    done = await asyncio.gather(
        *(sandbox.run(meet, env={"N": str(n)}, timeout=60) for n in range(64))
    )

    assert [f"{n}\n".encode() for n in range(64)] == [one.stdout for one in done]


async def test_run_kills_the_command_when_cancelled(sandbox: Sandbox) -> None:
    """No caller waits for it any more, so it ends."""
    task = asyncio.ensure_future(sandbox.run("echo $$ > pid; exec sleep 100", timeout=100))
    await sandbox.run("while [ ! -s pid ]; do sleep 0.02; done", timeout=10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    ended = await sandbox.run("while kill -0 $(cat pid); do sleep 0.02; done", timeout=10)
    assert not ended.timed_out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"command": "a\0b"}, "command"),
        ({"command": " "}, "command"),
        ({"command": []}, "command"),
        ({"command": 7}, "command"),
        ({"command": b"true"}, "command"),
        ({"command": "\ud800"}, "command"),
        ({"command": "true", "env": {"A=B": "x"}}, "env"),
        ({"command": "true", "env": {"A": 1}}, "env"),
        ({"command": "true", "env": ["A"]}, "env"),
        ({"command": "true", "cwd": "a\0"}, "cwd"),
        ({"command": "true", "timeout": 0}, "timeout"),
        ({"command": "true", "timeout": float("nan")}, "timeout"),
        ({"command": "true", "timeout": "5"}, "timeout"),
        ({"command": "true", "output_limit": -1}, "output_limit"),
    ],
)
async def test_invalid_argument_is_named(
    sandbox: Sandbox, arguments: dict[str, object], named: str
) -> None:
    """Nothing is sent, and the ValueError names the argument."""
    with pytest.raises(InvalidRequest) as caught:
        await sandbox.run(**{"timeout": 5, **arguments})  # type: ignore[arg-type]  # wrong on purpose

    assert named == caught.value.argument
    assert isinstance(caught.value, ValueError)
