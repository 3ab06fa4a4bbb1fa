"""Start one sandbox by a bubblewrap of its own, where a fork server cannot be used.

The first process inside is bubblewrap, whose environment and arguments the session can read in
/proc/1: so it gets an empty environment, and its arguments through a descriptor. And a service that
is root must not create the namespaces as root, because the session's user would be root of the
host: see `uids` and `mounts`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.values import HOME

if TYPE_CHECKING:
    import subprocess

    from agentbay_local.sandbox.host.mounts import Mounts
    from agentbay_local.sandbox.host.startup import Launch
    from agentbay_local.sandbox.host.view import View
    from agentbay_local.sandbox.values import SandboxSpec

__all__ = ["read_first_pid", "spawn_sandbox"]

NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--disable-userns",
)
LIFETIME = ("--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL")


def spawn_sandbox(
    launch: Launch,
    spec: SandboxSpec,
    view: View,
    mounts: Mounts,
    filter_program: bytes | None,
    info: int,
) -> subprocess.Popen[bytes]:
    """Start bubblewrap; call it on the thread of `mounts`.

    Args:
        launch: Passes the descriptors.
        spec: The session, whose directory is prepared.
        view: What it sees of the host.
        mounts: Makes paths reachable for the session's user.
        filter_program: The filter of system calls; None if this machine has none.
        info: The descriptor to which bubblewrap reports its first process.
    """
    root = spec.root.resolve()
    if spec.uid is not None:
        root, view = mounts.reachable(root), view.moved(mounts.reachable)
    arguments = [
        *(*NAMESPACES, *LIFETIME, "--uid", "1000", "--gid", "1000", "--hostname", spec.hostname),
        *("--bind", str(root), "/", *view.arguments(launch), *_own_arguments(spec)),
        *("--info-fd", str(info)),
    ]
    if filter_program is not None:
        arguments += ["--seccomp", str(launch.add_file(filter_program))]
    hidden = launch.add_file("\0".join(arguments).encode("utf-8", "surrogateescape"))
    command = [str(view.bubblewrap), "--args", str(hidden), "--", *launch.add_agent(view.python)]
    return launch.popen(command, spec.uid, die_with_launch=True)


def read_first_pid(report: bytes) -> int:
    """Return the pid of the first process, which bubblewrap reports before it lets it run.

    Raises:
        SandboxError: The report has none.
    """
    try:
        return int(json.loads(report)["child-pid"])
    except (ValueError, KeyError, TypeError) as error:
        raise SandboxError("bubblewrap did not report the process that it started") from error


def _own_arguments(spec: SandboxSpec) -> list[str]:
    """Return the mounts that each session has for itself."""
    shared_memory = str(spec.limits.shared_memory_bytes)
    return [
        *("--proc", "/proc", "--perms", "1777", "--size", shared_memory),
        # Without a limit for its size, the file system of /dev would be memory that nobody counts.
        *("--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--chdir", HOME),  # noqa: S108 - mounts one for this session
    ]
