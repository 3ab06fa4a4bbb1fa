"""Start programs on terminals, which are opened here so that they have a name inside.

Without namespaces the session shares the terminals of the host, and then the service opens them: a
session that could open its own could open those of others.
"""

from __future__ import annotations

import fcntl
import os
import struct

from . import commands

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import signal
    from typing import NoReturn

    from . import wire
    from .files import View
else:
    import _signal as signal


def open_pair(columns: int, rows: int) -> tuple[int, str]:
    """Open a terminal; return its master end and the path of its slave end."""
    import termios  # rarely needed

    master, slave = os.openpty()
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        return master, os.ttyname(slave)
    except OSError:
        os.close(master)
        raise
    finally:
        os.close(slave)


def start(message: wire.Message, name: str, view: View) -> int:
    """Start a program on a terminal and return its pid.

    It begins as the leader of a new kernel session, so the first terminal that it opens becomes its
    controlling terminal: no code has to run between fork and exec.
    """
    actions: list[commands.Action] = [(os.POSIX_SPAWN_OPEN, 0, name, os.O_RDWR, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, 0, fd) for fd in (1, 2)]
    return commands.start_with(message, actions, commands.SCRIPT_FD, view)


def start_on(message: wire.Message, terminal: int, view: View) -> int:
    """Start a program on a terminal that the service has opened, and return its pid.

    Only a process itself can make an open terminal its controlling terminal, so a forked copy of
    this process does that before exec. It reports an error through a pipe.
    """
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        become(message, terminal, view, write)
    os.close(write)
    with open(read, "rb") as errors:
        failure = errors.read().decode()
    if failure:
        os.waitpid(pid, 0)
        number, _, named = failure.partition(" ")
        raise OSError(int(number), "", named)
    return pid


def become(message: wire.Message, terminal: int, view: View, errors: int) -> NoReturn:
    """Become the program of a request."""
    import termios  # rarely needed

    try:
        for number in commands.IGNORABLE:
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        argv, script = commands.arguments(message, commands.SCRIPT_FD)
        for fd in (0, 1, 2):
            os.dup2(terminal, fd)
        if script is not None:
            os.dup2(script, commands.SCRIPT_FD)
        commands.enter(message.get("cwd") or view.home, view)
        commands.replace(argv, commands.environment(message, view))
    except OSError as error:
        os.write(errors, f"{error.errno} {os.fsdecode(error.filename or '')}".encode())
    finally:
        os._exit(127)
