"""A process that has loaded the agent, and forks for each session.

It runs in what bubblewrap has made, and never a program of a session. A fork becomes the session's
user, makes the session's namespaces and forks once more: the agent is the first process of its
namespace, as if bubblewrap had started it. The copies share the memory of what is loaded.
"""

from __future__ import annotations

import errno
import gc
import json  # noqa: F401 - agents import it later; loaded here, they share its memory
import os
import select
import sys

from . import (
    agent,
    confinement,  # noqa: F401 - agents import it later, when they cannot read the bundle
    namespaces,
    preload,
    processes,
    wire,
)

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import NoReturn


class ForkServer:
    """The requests of the service, one after the other.

    Args:
        channel: The connection to the service.
        settings: Its first packet.
        loaded: A program that the agents can fork.

    Attributes:
        forks: The request of each first fork that still runs.
    """

    def __init__(
        self, channel: socket.socket, settings: wire.Message, loaded: preload.Program | None
    ) -> None:
        self.channel = channel
        self.settings = settings
        self.loaded = loaded
        self.forks: dict[int, int] = {}
        self.wakeup = processes.children_wakeup()

    def loop(self) -> NoReturn:
        """Serve until the service closes the channel; all sessions end with this process."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.wakeup, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.wakeup:
                    os.read(fd, 4096)
                    self.reap()
                else:
                    self.serve()

    def serve(self) -> None:
        """Receive one request and fork for it."""
        try:
            message, fds = wire.receive(self.channel)
        except (wire.ClosedError, ConnectionError):
            os._exit(0)
        try:
            pid = os.fork()
        except OSError as error:
            self.fail(message["id"], error)
        else:
            if not pid:
                self.become_session(message, fds)
            self.forks[pid] = message["id"]
        for fd in fds:
            os.close(fd)

    def become_session(self, message: wire.Message, fds: Sequence[int]) -> NoReturn:
        """Make the namespaces of a session, fork its first process, and send a handle on it.

        Raises:
            preload.Become: Much later, in a program that the agent has forked.
        """
        try:
            channel, errors, *groups = fds
            os.dup2(errors, 2)
            # Before the user changes, who may not walk to it.
            os.chdir(f"{self.settings['sessions']}/{message['name']}")
            if message["uid"] is not None:
                namespaces.become(message["uid"])
            namespaces.unshare()
            join_groups(groups)
            pid = os.fork()
            if not pid:
                self.become_agent(channel, message)
            wire.send(self.channel, message["id"], {}, [os.pidfd_open(pid)])
        except Exception as error:  # of whatever kind, the service is told
            self.fail(message["id"], error)
        os._exit(0)

    def become_agent(self, channel_fd: int, message: wire.Message) -> NoReturn:
        """Be the agent of a session, or send why it cannot be."""
        try:
            self.channel.close()
            channel = agent.move_up(channel_fd)
            try:
                namespaces.enter(self.settings, message)
            except OSError as error:
                wire.send_error(channel, 0, error.errno or errno.EIO, str(error.filename))
                wire.receive(channel)  # until then, the service takes this process for alive
                os._exit(1)
            agent.serve(channel, self.loaded)
        except Exception as error:  # of whatever kind, the service reads it
            os.write(2, os.fsencode(f"{error!r}\n"))
        os._exit(1)

    def fail(self, request: int, error: Exception) -> None:
        """Send an error: its number, and what was tried."""
        number = getattr(error, "errno", None) or errno.EIO
        wire.send_error(self.channel, request, number, str(getattr(error, "filename", error)))

    def reap(self) -> None:
        """Reap every child that has ended; answer for one that was killed before it could."""
        for pid, status in processes.collect().items():
            request = self.forks.pop(pid, None)
            if request is not None and status:
                wire.send_error(self.channel, request, errno.EINTR, "fork")


def join_groups(files: Sequence[int]) -> None:
    """Move this process into the control groups of a session; what it forks is there too."""
    try:
        for file in files:
            os.write(file, b"0")
    except OSError as error:
        raise OSError(error.errno, error.strerror, "control group") from None


def main() -> None:
    """Run the fork server on the socket whose number is the first argument."""
    processes.protect()
    channel = agent.move_up(int(sys.argv[1]))
    settings, _ = wire.receive(channel)
    processes.close_from(3, channel.fileno())
    given = settings["preload"]
    try:
        serve(channel, settings, None if given is None else preload.Program(given))
    except preload.Become as copy:
        program = copy.program
    program.run()


def serve(
    channel: socket.socket, settings: wire.Message, loaded: preload.Program | None
) -> NoReturn:
    """Serve until the service closes the channel."""
    server = ForkServer(channel, settings, loaded)
    gc.enable()  # a program may have disabled it while it was loaded
    # Without this, the garbage collector of each copy would write to all that is shared.
    gc.collect()
    gc.freeze()
    wire.send(channel, 0, {"pid": os.getpid()})
    server.loop()
