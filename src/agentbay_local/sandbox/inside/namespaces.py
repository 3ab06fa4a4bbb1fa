"""Give a process the namespaces of a session, and its root.

The fork server runs where bubblewrap has taken away the host: it sees the system and the packages
as every session does, all of them read-only, and besides only the directories of the sessions and
the machine's /proc. So what follows adds the session's own directory, and leaves the rest behind;
it hides nothing of the host by itself. The mounts of bubblewrap are locked here: no capability in
the namespaces of a session can undo one, or make it writable.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

from . import processes
from .layout import ENTER, lay_out
from .system_calls import call, libc

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import Any
else:
    import _socket as socket

NEW_MOUNTS, NEW_CGROUPS, NEW_NAMES, NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEW_USERS, NEW_PROCESSES, NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
ALL = NEW_MOUNTS | NEW_CGROUPS | NEW_NAMES | NEW_IPC | NEW_USERS | NEW_PROCESSES | NEW_NETWORK

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
USER = 1000
"""The user and group of a session, as it sees them."""

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
PR_CAPBSET_DROP = 24
LAST_CAPABILITY = 63
"""Beyond the last one of any kernel, which holds them in 64 bits."""

CAPABILITY_VERSION_3 = 0x20080522


for _name in ("capset", "mount", "pivot_root", "prctl", "sethostname", "umount2", "unshare"):
    # Found before any fork: each fork would keep what the search makes.
    getattr(libc, _name)


def become(uid: int) -> None:
    """Become the user of a session for good, and give up every capability with it."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def unshare() -> None:
    """Make the namespaces; the next child of this process is the first of its namespace."""
    outer = os.geteuid(), os.getegid()
    # The files in /proc of a protected process are root's; the agent protects itself again.
    processes.set_option(processes.PR_SET_DUMPABLE, 1)
    call("unshare", ALL)
    map_user(*outer)


def enter(view: dict[str, Any], session: dict[str, Any]) -> None:
    """Make this process, the first one of its namespace, the first process of a session.

    The order matters: each step needs what a later one gives up.

    Args:
        view: `root`, an empty directory to mount the root on; `layout`, what a session's own
            directory must have; and `mounts`, the paths that it sees of what this process sees.
        session: `home`, `hostname` and `shared_memory`. The current directory is the session's.
    """
    os.setsid()
    own = os.open(".", ENTER)
    lay_out(own, view["layout"])
    os.close(own)
    lay_root(view["root"], view["mounts"], session["shared_memory"])
    change_root(view["root"])
    os.chdir(session["home"])
    name = session["hostname"].encode("ascii")
    call("sethostname", name, ctypes.c_size_t(len(name)))
    raise_loopback()
    forbid_namespaces()
    drop_capabilities()


def map_user(uid: int, gid: int) -> None:
    """Give the user of a session a name in the user namespace that this process has just made."""
    write("/proc/self/uid_map", f"{USER} {uid} 1\n")
    write("/proc/self/setgroups", "deny")
    write("/proc/self/gid_map", f"{USER} {gid} 1\n")


def lay_root(root: str, mounts: Sequence[str], shared_memory: int) -> None:
    """Mount the current directory, and over it what the session sees of the system."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    # As bubblewrap has mounted the directory of the sessions: without devices and setuid programs.
    mount(".", root, None, MS_BIND)
    for path in mounts:
        mount_over(path, root, None, MS_BIND | MS_REC)
    mount_over("/proc", root, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    # /dev is one of the mounts, so these two paths lead to nothing of the session's.
    terminals = "newinstance,ptmxmode=0666,mode=620"
    mount("devpts", f"{root}/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, terminals)
    size_and_mode = f"mode=1777,size={shared_memory}"
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, size_and_mode)  # noqa: S108 - mounts one for this session


def mount_over(path: str, root: str, kind: str | None, flags: int) -> None:
    """Mount a path on the same path below a root, where the session may have put links."""
    directory = os.open(root, ENTER)
    try:
        for name in path.strip("/").split("/"):
            inner = os.open(name, ENTER, dir_fd=directory)
            os.close(directory)
            directory = inner
        mount(path, f"/proc/self/fd/{directory}", kind, flags)
    finally:
        os.close(directory)


def change_root(root: str) -> None:
    """Make a mount the root of this process, and leave the former root behind."""
    os.chdir(root)
    # The former root is mounted over the new one, at the same place, and is taken away there.
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def raise_loopback() -> None:
    """Bring up the loopback interface, which then has its addresses."""
    any_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))
    finally:
        any_socket.close()


def forbid_namespaces() -> None:
    """Move to an inner user namespace, which has no power over the others, and is the last one."""
    write("/proc/sys/user/max_user_namespaces", "1")
    call("unshare", NEW_USERS)
    map_user(USER, USER)


def drop_capabilities() -> None:
    """Give up every capability. bubblewrap has already seen to it that no program gives any."""
    for capability in range(LAST_CAPABILITY + 1):
        # Not checked: it fails beyond the last one of this kernel.
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    call("capset", struct.pack("Ii", CAPABILITY_VERSION_3, 0), bytes(24))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Call mount; raise OSError, with the target, if it fails."""
    given = [os.fsencode(source), os.fsencode(target), kind and kind.encode("ascii")]
    try:
        call("mount", *given, ctypes.c_ulong(flags), options.encode("ascii") or None)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"mount {source} on {target}") from None


def write(path: str, text: str) -> None:
    """Write to a file of the kernel."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)
