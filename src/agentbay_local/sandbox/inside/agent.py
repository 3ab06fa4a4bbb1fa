"""The event loop of the agent: one thread that waits for requests, children and leftover output.

Slow requests (walking trees, moving, removing) run in a forked copy of the process, which answers
on the same socket, so that they do not delay others.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import sys
import time

from . import commands, files, outbound, processes, terminals, virtual_environment, wire

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn, TypeVar

    from .preload import Program

    T = TypeVar("T")
else:
    import _socket as socket

QUICK: dict[str, Callable[[wire.Message, files.View], wire.Message]] = {
    "stat": files.stat_path,
    "make_directory": files.make_directory,
}
SLOW: dict[str, Callable[[wire.Message, files.View], wire.Message]] = {
    "remove": files.remove,
    "move": files.move,
}
LONG: dict[str, Callable[[wire.Message, files.View], Sequence[Any]]] = {
    "list": files.list_directory,
    "search": files.search,
    "survey": files.survey,
}
DISCARD = 65536
REST_MS = 10


class Agent:
    """The event loop and its state.

    Args:
        channel: The connection to the service.
        settings: The first packet of the service.
        loaded: A program that this process has loaded and can fork.
    """

    def __init__(
        self, channel: socket.socket, settings: dict[str, Any], loaded: Program | None
    ) -> None:
        self.channel = channel
        self.loaded = loaded
        self.view = files.View(settings)
        self.cpu: int | None = settings["cpu"]
        self.running: dict[int, int] = {}
        self.workers: dict[int, int] = {}
        self.drains: set[int] = set()
        self.resting: dict[int, float] = {}
        self.stopped_before: set[int] = set()
        self.wakeup = processes.children_wakeup()
        self.score = settings["oom_score"]
        self.own_score = processes.oom_score(self.score)

    def loop(self) -> NoReturn:
        """Serve until the service closes the channel."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.wakeup, select.POLLIN)
        while True:
            self.wake(poll)
            for fd, _ in poll.poll(REST_MS if self.resting else None):
                if fd == self.wakeup:
                    os.read(fd, 4096)
                    self.reap()
                elif fd in self.drains:
                    self.discard(fd, poll)
                else:
                    self.serve(poll)

    def serve(self, poll: select.poll) -> None:
        """Receive one request and handle it; end the session if the channel is closed."""
        try:
            message, fds = wire.receive(self.channel)
        except (wire.ClosedError, ConnectionError):
            leave()
        try:
            self.handle(message, fds, poll)
        except OSError as error:
            if message["id"]:
                fail(self.channel, message, error)
        finally:
            for fd in fds:
                os.close(fd)

    def handle(self, message: wire.Message, fds: Sequence[int], poll: select.poll) -> None:
        """Handle one request."""
        operation = message["op"]
        if operation == "run":
            pid = self.as_victim(lambda: commands.start(message, fds, self.view))
            self.runs(pid, message["id"])
        elif operation == "spawn":
            pid = self.as_victim(lambda: self.spawn(message, fds))
            self.started(message, pid)
        elif operation == "terminal" and fds:
            pid = self.as_victim(lambda: terminals.start_on(message, fds[0], self.view))
            self.started(message, pid)
        elif operation == "terminal":
            self.open_terminal(message)
        elif operation == "dial":
            self.dial(message)
        elif operation == "proxy":
            self.listen(message)
        elif operation == "kill":
            self.kill(message)
        elif operation == "drain":
            self.drain(fds, poll)
        elif operation == "open":
            self.open(message)
        elif operation == "pause":
            self.stopped_before = processes.stop_all()
            self.reply(message, {})
        elif operation == "resume":
            processes.continue_all(self.stopped_before)
            self.reply(message, {})
        elif operation in QUICK:
            self.reply(message, QUICK[operation](message, self.view))
        else:
            self.fork(message)

    def as_victim(self, start: Callable[[], T]) -> T:
        """Start a program that the kernel kills before this process when there is no memory.

        Memory that belongs to no process, such as a memory file, makes all look equally large.
        """
        # The score is inherited; without privileges, it can be set back, but no lower.
        processes.set_oom_score(self.score, self.own_score + processes.VICTIM)
        try:
            return start()
        finally:
            processes.set_oom_score(self.score, self.own_score)

    def spawn(self, message: wire.Message, fds: Sequence[int]) -> int:
        """Start a program; fork it if it is the one that is loaded."""
        if self.loaded is not None and self.loaded.is_started_by(message, fds, self.view):
            return self.loaded.fork(message, fds, self.view)
        return commands.start(message, fds, self.view)

    def reply(self, message: wire.Message, fields: wire.Message, fds: Sequence[int] = ()) -> None:
        """Answer one request."""
        wire.send(self.channel, message["id"], fields, fds)

    def open(self, message: wire.Message) -> None:
        """Open a file and send its descriptor."""
        fd = files.open_file(message, self.view)
        try:
            self.reply(message, {}, [fd])
        finally:
            os.close(fd)

    def started(self, message: wire.Message, pid: int, fds: Sequence[int] = ()) -> None:
        """Answer that a program runs; its end is the answer to another request."""
        self.runs(pid, message["ending"])
        self.reply(message, {"pid": pid}, fds)

    def runs(self, pid: int, ending: int) -> None:
        """Register a program and the request that its end answers."""
        self.running[pid] = ending
        if self.cpu is not None:
            # Set from outside after the start: before it, the limit would apply to this process
            # too.
            resource.prlimit(pid, resource.RLIMIT_CPU, (self.cpu, self.cpu))

    def open_terminal(self, message: wire.Message) -> None:
        """Start a program on a new terminal and send the master end."""
        master, name = terminals.open_pair(*message["size"])
        try:
            pid = self.as_victim(lambda: terminals.start(message, name, self.view))
            self.started(message, pid, [master])
        finally:
            os.close(master)

    def dial(self, message: wire.Message) -> None:
        """Send a socket that is connecting to a port of the session."""
        family = socket.AF_INET6 if ":" in message["host"] else socket.AF_INET
        connecting = socket.socket(family, socket.SOCK_STREAM)
        try:
            connecting.setblocking(False)
            status = connecting.connect_ex((message["host"], message["port"]))
            if status not in (0, errno.EINPROGRESS):
                raise OSError(status, "")
            # It may still be connecting; the service waits for that.
            self.reply(message, {}, [connecting.fileno()])
        finally:
            connecting.close()

    def listen(self, message: wire.Message) -> None:
        """Send a listening socket for the outbound proxy."""
        listening = outbound.listen(self.view)
        try:
            self.reply(message, {}, [listening.fileno()])
        finally:
            listening.close()

    def fork(self, message: wire.Message) -> None:
        """Handle a slow request in a forked copy of this process, or here if it cannot fork."""
        try:
            pid = os.fork()
        except BlockingIOError:  # the session is at its process limit
            answer(self.channel, message, self.view)
            return
        if pid:
            self.workers[pid] = message["id"]
            return
        try:
            answer(self.channel, message, self.view)
            os._exit(0)
        finally:
            os._exit(1)

    def kill(self, message: wire.Message) -> None:
        """Signal the process group of a running program, or kill its whole kernel session."""
        for pid, request in self.running.items():
            if request == message["run"] and message.get("session"):
                processes.kill_session(pid)
            elif request == message["run"]:
                processes.signal_group(pid, message["signal"])

    def drain(self, fds: Sequence[int], poll: select.poll) -> None:
        """Read and discard the output of background processes, so that they can go on writing."""
        for fd in fds:
            kept = os.dup(fd)
            os.set_blocking(kept, False)
            self.drains.add(kept)
            poll.register(kept, select.POLLIN)

    def discard(self, fd: int, poll: select.poll) -> None:
        """Read and discard; close the stream at its end.

        After a full read the stream rests, so that a flood slows down its writer and not the agent.
        """
        size = len(os.read(fd, DISCARD))
        if size in (0, DISCARD):
            poll.unregister(fd)
        if size == DISCARD:
            self.resting[fd] = time.monotonic() + REST_MS / 1000
        elif not size:
            self.drains.remove(fd)
            os.close(fd)

    def wake(self, poll: select.poll) -> None:
        """Poll the streams again that have rested."""
        now = time.monotonic()
        for fd in [fd for fd, until in self.resting.items() if until <= now]:
            del self.resting[fd]
            poll.register(fd, select.POLLIN)

    def reap(self) -> None:
        """Reap every exited child; answer the requests of programs and of failed copies."""
        for pid, status in processes.collect().items():
            if pid in self.running:
                self.reply({"id": self.running.pop(pid)}, {"exit": processes.exit_code(status)})
            operation = self.workers.pop(pid, None)
            if operation is not None and status:
                wire.send_error(self.channel, operation, errno.EINTR, "")


def answer(channel: socket.socket, message: wire.Message, view: files.View) -> None:
    """Handle a slow request, and send its answer or its error."""
    try:
        if message["op"] in LONG:
            wire.send_records(channel, message["id"], LONG[message["op"]](message, view))
        else:
            wire.send(channel, message["id"], SLOW[message["op"]](message, view))
    except OSError as error:
        fail(channel, message, error)


def fail(channel: socket.socket, message: wire.Message, error: OSError) -> None:
    """Send an error, with the path as the caller wrote it."""
    named = message.get("path") or error.filename
    wire.send_error(channel, message["id"], error.errno or errno.EIO, os.fsdecode(named or ""))


def leave() -> NoReturn:
    """End the session; the kernel does it if this is process 1 of a namespace."""
    if os.getpid() != 1:
        processes.kill_all()
    os._exit(0)


def set_limits(settings: dict[str, Any]) -> None:
    """Set the limits that every process of the session inherits."""
    for name, value in settings["limits"].items():
        number = getattr(resource, "RLIMIT_" + name)
        _, most = resource.getrlimit(number)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(number, (value, value))
    os.environ["PATH"] = settings["path"]
    os.umask(0o022)
    if os.getpid() != 1:
        processes.adopt_orphans()


def move_up(channel_fd: int) -> socket.socket:
    """Move the channel above the descriptors that commands are given."""
    return socket.socket(fileno=fcntl.fcntl(channel_fd, fcntl.F_DUPFD_CLOEXEC, 64))


def confinement(settings: dict[str, Any]) -> Callable[[dict[str, Any], socket.socket], None]:
    """Return a function that restricts this process, where bubblewrap does not."""
    if "filter" not in settings:
        return lambda *_: None
    from . import confinement  # large, and not needed by a program of bubblewrap

    return confinement.enter if "rules" in settings else confinement.install_filter


def open_null_streams() -> None:
    """Make 0 to 3 the null device: the default of commands, and a number reserved for scripts."""
    null = os.open("/dev/null", os.O_RDWR)
    spare = fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, 64)
    for fd in (0, 1, 2, commands.SCRIPT_FD):
        os.dup2(spare, fd, inheritable=fd != commands.SCRIPT_FD)
    os.close(spare)


def main() -> NoReturn:
    """Run the agent on the socket whose number is the first argument."""
    serve(move_up(int(sys.argv[1])))


def serve(channel: socket.socket, loaded: Program | None = None) -> NoReturn:
    """Be the agent on a socket; see `Agent`."""
    score = processes.open_oom_score()
    processes.protect()
    settings, _ = wire.receive(channel)
    shut_in = confinement(settings)
    # From here on, nothing can be imported from the bundle.
    processes.close_from(3, channel.fileno(), score)
    settings["oom_score"] = score
    shut_in(settings, channel)
    set_limits(settings)
    open_null_streams()
    agent = Agent(channel, settings, loaded)
    if settings["python"] is not None:
        top = agent.view.real(settings["environment"])
        agent.view.variables.update(virtual_environment.make(settings["python"], top))
    wire.send(channel, 0, {"pid": os.getpid()})
    agent.loop()
