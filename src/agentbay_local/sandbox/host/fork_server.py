"""Start sandboxes by forking: one process that has loaded the agent, for all sessions of a view.

bubblewrap shows it what sessions see of the host, and the directory of the sessions. Its forks make
the namespaces of their sessions themselves; see `agentbay_local.sandbox.inside.namespaces`. They
are in its process namespace, so the kernel ends them all with it, and it ends with the service.
"""

from __future__ import annotations

import json
import os
import posixpath
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.sandbox.errors import SandboxError, SandboxGone, SandboxOSError
from agentbay_local.sandbox.host import rootfs
from agentbay_local.sandbox.host.bundle import BOOT, FORK_SERVER, PRELOAD
from agentbay_local.sandbox.host.off_loop import finish
from agentbay_local.sandbox.host.process_handle import ProcessHandle
from agentbay_local.sandbox.host.programs import Interpreter
from agentbay_local.sandbox.host.startup import (
    START_WITHIN,
    Launch,
    join_and_wait,
    path_settings,
    wait_for_process,
)
from agentbay_local.sandbox.values import HOME, Limits

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence

    from agentbay_local.sandbox.host.agent_client import AgentClient
    from agentbay_local.sandbox.host.mounts import Mounts
    from agentbay_local.sandbox.host.view import View
    from agentbay_local.sandbox.values import Preload, SandboxSpec

__all__ = ["ForkServer"]

ROOT, SESSIONS = "/.agentbay/root", "/.agentbay/sessions"
"""Where it mounts the root of a session, and where it sees the directories of all sessions."""

NAMESPACES = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
LIFETIME = ("--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL")
OF_ROOT = ("CAP_DAC_READ_SEARCH", "CAP_SETGID", "CAP_SETUID")
"""The capabilities that a fork needs to become the user of a session, and to walk to its files."""


class ForkServer:
    """A running fork server; use `start`.

    Args:
        channel: The client of the server, after its handshake.
        process: Its process.

    Attributes:
        sessions: How many of its sessions run.
    """

    def __init__(self, channel: AgentClient, process: ProcessHandle) -> None:
        self._channel = channel
        self._process = process
        self.sessions = 0
        channel.on_disconnect = process.request_end
        process.on_exit = self._handle_exit
        self._ending = ExitStack()

    @classmethod
    async def start(
        cls, view: View, sessions: Path, mounts: Mounts, preload: Preload | None = None
    ) -> ForkServer:
        """Start a server.

        Args:
            view: What its sessions see of the host.
            sessions: The directory of their directories.
            mounts: The thread that starts it, and whose end ends it.
            preload: A program that it loads, so that its sandboxes can fork it.

        Raises:
            SandboxError: It does not start, or this machine does not allow it.
        """
        with Launch(None, Limits()) as launch:
            loaded = None if preload is None else _preload_settings(preload)
            seen = view if preload is None else attrs.evolve(view, python=_interpreter(preload))
            spawning = mounts.run(lambda: _spawn(launch, seen, sessions, loaded))
            process = await wait_for_process(spawning, launch)
            settings = {
                "preload": loaded,
                "root": ROOT,
                "sessions": SESSIONS,
                "mounts": view.paths,
                "layout": rootfs.layout_of(view.targets),
            }
            return cls(await join_and_wait(launch, process, settings), process)

    @property
    def pid(self) -> int:
        """The id of its bubblewrap, which ends it."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it cannot fork any more."""
        return self._process.exited.is_set()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call a function when it has ended."""
        self._ending.callback(callback)
        if self.has_ended:
            self._ending.close()

    async def fork(self, spec: SandboxSpec, fds: Sequence[int]) -> ProcessHandle:
        """Fork the first process of a session.

        Args:
            spec: The session, whose directory exists and may be empty.
            fds: Descriptors for its end of the channel, for its errors, and of the files of
                `Cgroup.join_files`.

        Raises:
            SandboxError: The kernel refuses, or the server has ended.
        """
        fields = {
            "name": spec.root.resolve().name,
            "uid": spec.uid,
            "home": HOME,
            "hostname": spec.hostname,
            "shared_memory": spec.limits.shared_memory_bytes,
        }
        try:
            with self._channel.begin("fork", fields, fds) as call:
                reply = await call.wait(START_WITHIN)
        except SandboxOSError as error:
            raise SandboxError(f"the sandbox did not start ({error})") from error
        except SandboxGone as error:
            raise SandboxError(f"the sandbox did not start: {error}") from error
        if not reply.fds:
            raise SandboxError("the sandbox did not start: no process was sent")
        return ProcessHandle.of_first(reply.fds[0])

    def end_session(self) -> None:
        """Count one session less."""
        self.sessions -= 1

    async def close(self) -> None:
        """End it, and every session that still runs. Repeatable."""
        self._channel.close("the fork server was closed")
        await finish(self._process.kill())

    def _handle_exit(self) -> None:
        self._channel.close("the fork server of the sandboxes has ended")
        self._ending.close()


def _preload_settings(preload: Preload) -> dict[str, object]:
    """Return what the server needs in order to load a program as sessions would."""
    return {
        **path_settings(),
        "users": {},
        "groups": {},
        "python": attrs.asdict(preload.python),
        "options": preload.options,
        "boot": BOOT.format(FORK_SERVER),
        "load": preload.LOAD,
        "script": preload.script,
        "command": preload.command,
    }


def _interpreter(preload: Preload) -> Interpreter:
    """Return the Python of a program, with the paths that sessions see."""
    program, library = preload.python.program, preload.python.library
    return Interpreter(Path(program), library=Path(library) if library else None)


def _spawn(
    launch: Launch, view: View, sessions: Path, loaded: Mapping[str, Any] | None
) -> subprocess.Popen[bytes]:
    arguments = [*NAMESPACES, *LIFETIME, *_user_arguments()]
    for path in view.paths:
        # Otherwise bubblewrap makes them so that only its own user may enter.
        arguments += ["--dir", posixpath.dirname(path)]
    arguments += view.arguments(launch)
    for name, target in rootfs.system_links():
        arguments += ["--symlink", target, f"/{name}"]
    # A new file system of processes may be mounted only where all of an old one is seen. The
    # machine's is: bubblewrap would cover parts of its own. A session does not see it any more.
    arguments += ["--bind", "/proc", "/proc", "--remount-ro", "/dev", "--dir", ROOT]
    arguments += ["--bind", str(sessions), SESSIONS]
    hidden = launch.add_file("\0".join(arguments).encode("utf-8", "surrogateescape"))
    if loaded is None:
        python = launch.add_agent(view.python, FORK_SERVER)
    else:
        python = [*launch.add_agent(view.python, PRELOAD), json.dumps(loaded)]
    command = [str(view.bubblewrap), "--args", str(hidden), "--", *python]
    return launch.popen(command, die_with_launch=True)


def _user_arguments() -> list[str]:
    """Return the arguments that decide about the user and the capabilities of the server."""
    if os.geteuid() != 0:
        return ["--unshare-user"]
    return [word for name in OF_ROOT for word in ("--cap-add", name)]
