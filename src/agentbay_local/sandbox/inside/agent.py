"""The loop of the agent: one thread that waits for packets, exits of children and stray output.

What may take long (walking trees, moving, removing) runs in a forked copy that answers on the same
socket, so one slow request never delays another.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import select
import socket
import sys
import time

from . import commands, files, outbound, processes, terminals, wire

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

QUICK: dict[str, Callable[[wire.Message, files.View], wire.Message]] = {
    "stat": files.stat_path,
    "make_directory": files.make_directory,
}
SLOW: dict[str, Callable[[wire.Message, files.View], wire.Message]] = {
    "list": files.list_directory,
    "search": files.search,
    "survey": files.survey,
    "remove": files.remove,
    "move": files.move,
}
PR_SET_CHILD_SUBREAPER = 36
DISCARD = 65536
REST_MS = 10


class Agent:
    """Everything the loop remembers."""

    def __init__(self, channel: socket.socket, settings: dict[str, Any]) -> None:
        self.channel = channel
        self.view = files.View(settings)
        self.cpu: int | None = settings["cpu"]
        self.running: dict[int, int] = {}
        self.workers: dict[int, int] = {}
        self.drains: set[int] = set()
        self.resting: dict[int, float] = {}
        self.stopped_before: set[int] = set()
        self.wakeup = processes.children_wakeup()

    def loop(self) -> NoReturn:
        """Serve until the service closes its end."""
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
        """Take one request and answer it, or leave when the service is gone."""
        try:
            message, fds = wire.receive(self.channel)
        except (wire.ClosedError, ConnectionError):
            leave()
        try:
            self.handle(message, fds, poll)
        except OSError as error:
            self.reply(message, problem(error, message))
        finally:
            for fd in fds:
                os.close(fd)

    def handle(self, message: wire.Message, fds: Sequence[int], poll: select.poll) -> None:
        """Do what one message asks for."""
        operation = message["op"]
        if operation == "run":
            self.runs(commands.start(message, fds, self.view), message["id"])
        elif operation == "spawn":
            self.started(message, commands.start(message, fds, self.view))
        elif operation == "terminal" and fds:
            self.started(message, terminals.start_on(message, fds[0], self.view))
        elif operation == "terminal":
            self.open_terminal(message)
        elif operation == "dial":
            self.dial(message)
        elif operation == "proxy":
            with outbound.listen(self.view) as listen:
                self.reply(message, {}, [listen.fileno()])
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

    def reply(self, message: wire.Message, fields: wire.Message, fds: Sequence[int] = ()) -> None:
        """Answer one request."""
        wire.send(self.channel, {"id": message["id"], **fields}, fds)

    def open(self, message: wire.Message) -> None:
        """Open a file and hand its descriptor over."""
        fd = files.open_file(message, self.view)
        try:
            self.reply(message, {}, [fd])
        finally:
            os.close(fd)

    def started(self, message: wire.Message, pid: int, fds: Sequence[int] = ()) -> None:
        """Say that a program runs; its end is answered to another request."""
        self.runs(pid, message["ending"])
        self.reply(message, {"pid": pid}, fds)

    def runs(self, pid: int, ending: int) -> None:
        """Remember a program and the request that its end answers."""
        self.running[pid] = ending
        if self.cpu is not None:
            # Not before the start, or it would be this process's own limit too.
            resource.prlimit(pid, resource.RLIMIT_CPU, (self.cpu, self.cpu))

    def open_terminal(self, message: wire.Message) -> None:
        """Start a program on a new terminal and hand the master end over."""
        master, name = terminals.open_pair(*message["size"])
        try:
            self.started(message, terminals.start(message, name, self.view), [master])
        finally:
            os.close(master)

    def dial(self, message: wire.Message) -> None:
        """Hand over a socket that is on its way to a port of the session."""
        family = socket.AF_INET6 if ":" in message["host"] else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as connecting:
            connecting.setblocking(False)
            status = connecting.connect_ex((message["host"], message["port"]))
            if status not in (0, errno.EINPROGRESS):
                raise OSError(status, "")
            # Perhaps still under way; whoever gets the socket waits for it.
            self.reply(message, {}, [connecting.fileno()])

    def fork(self, message: wire.Message) -> None:
        """Let a copy of this process do a slow request; do it here when no copy can be made."""
        try:
            pid = os.fork()
        except BlockingIOError:  # the session is at its process limit
            self.reply(message, SLOW[message["op"]](message, self.view))
            return
        if pid:
            self.workers[pid] = message["id"]
            return
        try:
            self.reply(message, answer(message, self.view))
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
        """Take over output that background processes hold open, so that they can go on writing."""
        for fd in fds:
            kept = os.dup(fd)
            os.set_blocking(kept, False)
            self.drains.add(kept)
            poll.register(kept, select.POLLIN)

    def discard(self, fd: int, poll: select.poll) -> None:
        """Read and forget; close the stream at its end.

        After a full read the stream rests, so that a flood costs its writer time and not us.
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
        """Listen again to the streams that have rested."""
        now = time.monotonic()
        for fd in [fd for fd, until in self.resting.items() if until <= now]:
            del self.resting[fd]
            poll.register(fd, select.POLLIN)

    def reap(self) -> None:
        """Collect every exited child; commands get their reply, failed copies an error."""
        for pid, status in processes.collect().items():
            if pid in self.running:
                self.reply({"id": self.running.pop(pid)}, {"exit": processes.exit_code(status)})
            operation = self.workers.pop(pid, None)
            if operation is not None and status:
                wire.send(self.channel, {"id": operation, "errno": errno.EINTR, "path": ""})


def answer(message: wire.Message, view: files.View) -> wire.Message:
    """Do a slow request; its problem is an answer too."""
    try:
        return SLOW[message["op"]](message, view)
    except OSError as error:
        return problem(error, message)


def problem(error: OSError, message: wire.Message) -> wire.Message:
    """Return the reply fields for what the system refused, naming the path the caller gave."""
    named = message.get("path") or error.filename
    return {"errno": error.errno or errno.EIO, "path": os.fsdecode(named or "")}


def leave() -> NoReturn:
    """End the session: with pid 1 the system ends all of it, elsewhere it is done by hand."""
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
        import ctypes  # large, and not needed inside namespaces

        # Daemons of the session then come back to this process, which can end them.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def move_up(channel_fd: int) -> socket.socket:
    """Move the channel out of the way of what commands are given."""
    return socket.socket(fileno=fcntl.fcntl(channel_fd, fcntl.F_DUPFD_CLOEXEC, 64))


def close_all_but(kept: int) -> None:
    """Close everything this process inherited except its channel and standard error."""
    # By what is there, and not by a range: a service with thousands of sessions has high numbers.
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd >= commands.SCRIPT_FD and fd != kept:
            with contextlib.suppress(OSError):  # the listing itself is over
                os.close(fd)


def confinement(settings: dict[str, Any]) -> Callable[[dict[str, Any], socket.socket], None]:
    """Return what shuts this process in, where no namespaces have done it already."""
    if "rules" not in settings:
        return lambda *_: None
    from . import confinement  # large, and not needed inside namespaces

    return confinement.enter


def open_null_streams() -> None:
    """Make 0 to 3 the null device: what commands get by default, and a place kept for scripts."""
    null = os.open("/dev/null", os.O_RDWR)
    spare = fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, 64)
    for place in (0, 1, 2, commands.SCRIPT_FD):
        os.dup2(spare, place, inheritable=place != commands.SCRIPT_FD)
    os.close(spare)


def main() -> NoReturn:
    """Run the agent on the socket whose number is the first argument."""
    channel = move_up(int(sys.argv[1]))
    settings, _ = wire.receive(channel)
    shut_in = confinement(settings)
    close_all_but(channel.fileno())  # from here on, nothing more can be imported from the bundle
    shut_in(settings, channel)
    set_limits(settings)
    open_null_streams()
    agent = Agent(channel, settings)
    wire.send(channel, {"ready": True, "pid": os.getpid()})
    agent.loop()
