"""Starting a command: its arguments, directory, variables and streams."""

from __future__ import annotations

import os
import signal

from . import wire

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .files import View

    Argument = str | bytes
    Action = tuple[Any, ...]

LONGEST_ARGUMENT = 128 * 1024 - 1
SCRIPT_FD = 3
FROM_SCRIPT = 'eval "$(cat <&3)" 3<&-'


def start(message: wire.Message, fds: Sequence[int], view: View) -> int:
    """Start what a message asks for and return its pid.

    Args:
        message: `command` (a shell line) or `argv`, and perhaps `cwd` and `env`.
        fds: Standard output, standard error, standard input.
        view: How the session's paths are found.
    """
    argv, script = arguments(message)
    actions: list[Action] = []
    for place, fd in zip((1, 2, 0), fds):  # noqa: B905 - Python 3.8 runs this too
        actions.append((os.POSIX_SPAWN_DUP2, fd, place))
    if script is not None:
        actions.append((os.POSIX_SPAWN_DUP2, script, SCRIPT_FD))
    try:
        enter(message.get("cwd") or view.home, view)
        return spawn(argv, environment(message, view), actions)
    finally:
        os.chdir("/")
        if script is not None:
            os.close(script)


def enter(directory: str, view: View) -> None:
    """Go where the command shall start.

    There is no other thread, so the agent itself may stand there while it spawns, which saves the
    command a shell or a fork of its own.
    """
    try:
        os.chdir(view.real(directory))
    except OSError as error:
        raise OSError(error.errno, "", directory) from None


def arguments(message: wire.Message) -> tuple[list[Argument], int | None]:
    """Return the arguments, and the descriptor of a script too long for one argument."""
    if "argv" in message:
        return message["argv"], None
    command = os.fsencode(message["command"])
    if len(command) < LONGEST_ARGUMENT:
        return ["/bin/sh", "-c", command], None
    return ["/bin/sh", "-c", FROM_SCRIPT], wire.memory_file(command)


def environment(message: wire.Message, view: View) -> dict[str, str]:
    """Return the session's own variables with the caller's laid over them."""
    own = {
        "HOME": view.real(view.home),
        "LANG": "C.UTF-8",
        "LOGNAME": "wuying",
        "PATH": os.environ["PATH"],
        "SHELL": "/bin/sh",
        "USER": "wuying",
    }
    own.update(message.get("env") or {})
    return own


def spawn(argv: list[Argument], env: dict[str, str], actions: list[Action]) -> int:
    """Start a process in a session of its own; Python's ignored signals are set back."""
    program = os.fsdecode(argv[0])
    call = os.posix_spawn if "/" in program else os.posix_spawnp
    try:
        return call(
            program,
            argv,
            env,
            file_actions=actions,
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        raise OSError(error.errno, "", program) from None
