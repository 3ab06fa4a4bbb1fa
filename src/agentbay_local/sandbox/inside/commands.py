"""Start a command: its arguments, directory, variables and streams."""

from __future__ import annotations

import fcntl
import os

from . import wire

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence
    from typing import Any

    from .files import View

    Argument = str | bytes
    Action = tuple[Any, ...]
else:
    import _signal as signal

LONGEST_ARGUMENT = 128 * 1024 - 1
SCRIPT_FD = 3
STREAMS = (1, 2, 0)
IGNORABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
FROM_SCRIPT = 'eval "$(cat <&{0})" {0}<&-'


def start(message: wire.Message, fds: Sequence[int], view: View) -> int:
    """Start the command of a request and return its pid.

    Args:
        message: `command` (a shell line) or `argv`, and perhaps `cwd` and `env`.
        fds: Standard output, standard error, standard input, and those that become 3, 4, ...
        view: The session's view of paths.
    """
    extras = [move_up(fd) for fd in fds[len(STREAMS) :]]
    sources = [*fds[: len(STREAMS)], *extras]
    targets = [*STREAMS, *range(SCRIPT_FD, SCRIPT_FD + len(extras))]
    try:
        # Fewer sources than places are fine; and Python 3.8, which runs this too, has no strict=.
        actions = [(os.POSIX_SPAWN_DUP2, *pair) for pair in zip(sources, targets)]  # noqa: B905
        return start_with(message, actions, SCRIPT_FD + len(extras), view)
    finally:
        for fd in extras:
            os.close(fd)


def start_with(message: wire.Message, actions: list[Action], free: int, view: View) -> int:
    """Start the command of a request, with given streams; `free` is the next free descriptor."""
    argv, script = arguments(message, free)
    if script is not None:
        actions = [*actions, (os.POSIX_SPAWN_DUP2, script, free)]
    try:
        enter(message.get("cwd") or view.home, view)
        return spawn(argv, environment(message, view), actions)
    finally:
        os.chdir("/")
        if script is not None:
            os.close(script)


def enter(directory: str, view: View) -> None:
    """Change to the directory of a command.

    posix_spawn cannot do that in Python. There is no other thread, so the agent changes its own
    directory while it spawns, which saves another shell or fork.
    """
    try:
        os.chdir(view.real(directory))
    except OSError as error:
        raise OSError(error.errno, "", directory) from None


def arguments(message: wire.Message, free: int) -> tuple[list[Argument], int | None]:
    """Return the arguments, and the descriptor of a script too long for one argument."""
    if "argv" in message:
        return message["argv"], None
    command = os.fsencode(message["command"])
    if len(command) < LONGEST_ARGUMENT:
        return ["/bin/sh", "-c", command], None
    script = wire.memory_file(command)
    try:
        return ["/bin/sh", "-c", FROM_SCRIPT.format(free)], move_up(script)
    finally:
        os.close(script)


def move_up(fd: int) -> int:
    """Copy a descriptor to where no program gets one: a place that is filled may not be needed."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def environment(message: wire.Message, view: View) -> dict[str, str]:
    """Return the session's variables, overridden by those of the caller."""
    own = {
        "HOME": view.real(view.home),
        "LANG": "C.UTF-8",
        "LOGNAME": "wuying",
        "PATH": os.environ["PATH"],
        "SHELL": "/bin/sh",
        "USER": "wuying",
        **view.variables,
    }
    if view.prefix:
        own["TMPDIR"] = view.real("/tmp")  # noqa: S108 - the session's own
    own.update(message.get("env") or {})
    return own


def spawn(argv: list[Argument], env: dict[str, str], actions: list[Action]) -> int:
    """Start a process in a new kernel session, with the default action of every signal.

    Python ignores some signals, and a service started by nohup or in the background ignores others;
    the command would inherit that.
    """
    program = os.fsdecode(argv[0])
    call = os.posix_spawn if "/" in program else os.posix_spawnp
    try:
        return call(
            program,
            argv,
            env,
            file_actions=actions,
            setsid=True,
            setsigdef=IGNORABLE,
            setsigmask=(),
        )
    except OSError as error:
        raise OSError(error.errno, "", program) from None


def replace(argv: list[Argument], env: dict[str, str]) -> None:
    """Become a program instead of starting it."""
    program = os.fsdecode(argv[0])
    call = os.execve if "/" in program else os.execvpe
    try:
        call(program, argv, env)
    except OSError as error:
        raise OSError(error.errno, "", program) from None
