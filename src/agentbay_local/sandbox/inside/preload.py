"""Load a Python program once, and run it in copies of the process that has loaded it.

`main` starts the Python of sessions, with the options of the program, in a virtual environment like
that of every session. It becomes a fork server that loads the program. A sandbox that comes from
this server forks the program as well, instead of starting it: the copy has the flags, paths and
modules of a new process. If a session has changed its environment, its program is started.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

from . import commands, files, processes, virtual_environment, wire

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any
else:
    import _signal as signal

STREAMS = (*commands.STREAMS, commands.SCRIPT_FD)
"""The numbers that the descriptors of the program get."""

IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Become(BaseException):
    """Raised in a copy: it leaves the agent, whose last frame then runs the program."""

    def __init__(self, program: Program) -> None:
        self.program = program


class Program:
    """A program that this process has loaded.

    Args:
        settings: `command`, the arguments that start it; `load`, source that loads `script` as
            `program`; `home`, where it starts; and `environment`, the directory of the virtual
            environment of `python`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.command: list[str] = settings["command"]
        self.python: dict[str, Any] = settings["python"]
        self.top: str = settings["environment"]
        self.home: str = settings["home"]
        self.environment = virtual_environment.read(self.python, self.top)
        self.main = load(settings)

    def is_started_by(self, message: wire.Message, fds: Sequence[int], view: files.View) -> bool:
        """Return whether a request starts this program, and would load what is loaded."""
        return (
            message.get("argv") == self.command
            and not (message.get("cwd") or message.get("env"))
            and len(fds) == len(STREAMS)
            and self.environment is not None
            and self.environment == virtual_environment.read(self.python, self.top)
        )

    def fork(self, message: wire.Message, fds: Sequence[int], view: files.View) -> int:
        """Fork a process that becomes the program, and return its pid.

        Raises:
            Become: This is that process.
        """
        # It keeps the writing end until it has left the agent's session and stack, and the channel.
        left, leaving = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(left)
            os.close(leaving)
            raise
        if not pid:
            take_over(fds, commands.environment(message, view))
            raise Become(self)
        os.close(leaving)
        os.read(left, 1)
        os.close(left)
        return pid

    def run(self) -> None:
        """Be the program; call this where nothing of the agent is on the stack."""
        reset_signals()
        os.chdir(self.home)
        sys.orig_argv = self.command
        show_command(self.command)
        self.forget_agent()
        gc.disable()  # as the command of the program does
        processes.close_from(commands.SCRIPT_FD + 1)
        # Nothing of the agent's is open any more, so programs of the session may look into this.
        processes.set_option(processes.PR_SET_DUMPABLE, 1)
        self.main()

    def forget_agent(self) -> None:
        """Remove the modules of the agent, whose names could be those of the user's."""
        for name in [name for name in sys.modules if name.split(".")[0] == __package__]:
            del sys.modules[name]


def load(settings: dict[str, Any]) -> Callable[[], None]:
    """Load the program, and what it will need for its first work; return its `main`."""
    bundle = sys.path.pop(0)
    sys.path_importer_cache.pop(bundle, None)
    sys.argv = ["-c", settings["script"]]
    names: dict[str, Any] = {}
    exec(settings["load"], names)  # noqa: S102 - from the service: Preload.LOAD, a constant
    names["program"].preload()
    main: Callable[[], None] = names["program"].main
    return main


def take_over(fds: Sequence[int], variables: Mapping[str, str]) -> None:
    """Take the streams and the variables of the program."""
    try:
        os.setsid()
        for fd, target in zip(fds, STREAMS):  # noqa: B905 - as many: `is_started_by` has checked
            os.dup2(fd, target)
        os.environ.update(variables)
    except OSError:
        os._exit(1)  # there must not be a second agent


def reset_signals() -> None:
    """Handle signals as a Python does that was just started with the default actions."""
    signal.set_wakeup_fd(-1)
    for number in commands.IGNORABLE:
        signal.signal(number, signal.SIG_DFL)
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main() -> None:
    """Start the Python of sessions as a fork server that loads a program.

    The arguments are those of a fork server and the settings, as JSON.
    """
    channel, bundle, text = sys.argv[1:]
    settings = wire.parse(text)
    os.environ["PATH"] = settings["path"]
    view = files.View(settings)
    view.variables.update(virtual_environment.make(settings["python"], settings["environment"]))
    os.makedirs(settings["home"], exist_ok=True)
    for fd in (channel, bundle):
        os.set_inheritable(int(fd), True)
    use_pipes()
    command = ["python3", *settings["options"], "-c", settings["boot"], channel, bundle]
    room = len(command_line(settings["command"])) - len(command_line(command)) - 1
    commands.replace([*command, " " * room], commands.environment({}, view))


def command_line(command: Sequence[str]) -> bytes:
    """Return the arguments as /proc shows them."""
    return b"".join(os.fsencode(word) + b"\0" for word in command)


def show_command(command: Sequence[str]) -> None:
    """Show the command of the program in /proc, where `main` has made room for it."""
    with open("/proc/self/stat", "rb") as file:
        # The fields after the name; the first of them is the third of all, see proc(5).
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[48 - 3]), int(fields[49 - 3])
    ctypes.memmove(start, command_line(command).ljust(end - start, b"\0"), end - start)


def use_pipes() -> None:
    """Make standard input and output pipes, as programs have them; Python looks at its start."""
    for end, target in zip(os.pipe(), (0, 1)):  # noqa: B905 - two each; Python 3.8 has no strict=
        os.dup2(end, target)
        os.close(end)
