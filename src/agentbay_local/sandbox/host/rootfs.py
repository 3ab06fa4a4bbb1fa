"""The directory that is a session's "/", and the mounts of the host over it.

The layout on disk equals the layout in the session, so a path means the same file to the agent and
on the host.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host.credentials import acting_as
from agentbay_local.sandbox.values import HOME, SandboxSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "OWN_ETC",
    "SYSTEM",
    "etc_files",
    "prepare_root",
    "prepare_session_directories",
    "private_files",
    "shared_etc",
    "system_directories",
    "system_links",
    "visible_path",
]

SYSTEM = Path("/usr")
"""The system of the host, which sessions can only read."""

MOUNT_POINTS = ("dev", "etc", "proc", "usr")
SESSION_DIRECTORIES = {
    "home": 0o755,
    "home/wuying": 0o755,
    "mnt": 0o755,
    "opt": 0o755,
    "run": 0o755,
    "tmp": 0o1777,
    "var": 0o755,
    "var/tmp": 0o1777,
}
ENTER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
BESIDE_USR = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
# Patterns. Of R and Java only what every program needs: administrators keep secrets beside it.
SHARED_ETC = (
    "R/Makeconf",
    "R/Renviron",
    "R/ldpaths",
    "R/repositories",
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "fonts",
    "java-*-openjdk/logging.properties",
    "java-*-openjdk/net.properties",
    "java-*-openjdk/security",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki",
    "protocols",
    "services",
    "ssl",
)


OWN_ETC = frozenset({"group", "hostname", "hosts", "passwd", "resolv.conf"})
"""The files in /etc that each session has for itself; see `etc_files`."""


def prepare_root(spec: SandboxSpec, mount_points: Iterable[str] = ()) -> None:
    """Create or repair the directories of a session that is not running.

    A session may have put anything at the paths where directories of the host are mounted. Only
    real directories and the right links are left there, or a link could lead bubblewrap outside.

    Args:
        spec: The specification of its sandbox.
        mount_points: Paths inside where the sandbox mounts more than `read_only` of the
            specification.
    """
    with _open_root(spec.root, spec.uid) as root:
        for name in (*MOUNT_POINTS, *system_directories()):
            _make_directory(root, name, 0o755)
        for name, target in system_links():
            _make_link(root, name, target)
        for name, mode in SESSION_DIRECTORIES.items():
            _make_directory(root, name, mode)
        for path in dict.fromkeys((*spec.read_only, *mount_points)):
            _make_directories(root, path)


def prepare_session_directories(spec: SandboxSpec, uid: int | None = None) -> None:
    """Create the session's own directories, owned by its user or by the service's."""
    with _open_root(spec.root, uid) as root:
        for name, mode in SESSION_DIRECTORIES.items():
            _make_directory(root, name, mode)


def system_directories() -> tuple[str, ...]:
    """Return the system directories beside /usr that are real directories on this host."""
    return tuple(
        name for name in BESIDE_USR if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")
    )


def system_links() -> Iterator[tuple[str, str]]:
    """Yield the system directories that are links into /usr on this host, with their targets."""
    for name in BESIDE_USR:
        if os.path.islink(f"/{name}"):
            yield name, os.readlink(f"/{name}").lstrip("/")


def shared_etc() -> Iterator[Path]:
    """Yield the paths in the host's /etc that every session may read."""
    for pattern in SHARED_ETC:
        if "*" in pattern:
            yield from Path("/etc").glob(pattern)
        elif os.path.exists(path := f"/etc/{pattern}"):
            yield Path(path)


def private_files(directory: Path) -> list[Path]:
    """Return the files of a package directory, or of a Python's, that tell of the host.

    They say from where packages were installed, and where the sources of editable ones are. The
    interpreters of a session read none of them. The paths are relative to the directory.
    """
    places = ["", *(f"lib/{name}/site-packages" for name in _pythons(directory / "lib"))]
    return [Path(place, name) for place in places for name in _private_in(directory / place)]


def _pythons(directory: Path) -> list[str]:
    return [name for name in _listed(directory) if name.startswith("python3")]


def _private_in(directory: Path) -> Iterator[str]:
    # Each start looks here, so a listing has to do: patterns of paths take ten times as long.
    for name in _listed(directory):
        if name.endswith((".pth", ".egg-link")) or fnmatch.fnmatchcase(name, "__editable__*.py"):
            yield name
        elif name.endswith(".dist-info") and os.path.lexists(f"{directory}/{name}/direct_url.json"):
            yield f"{name}/direct_url.json"


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def visible_path(path: str, visible: Mapping[str, str], mounts: Mapping[str, Path]) -> str | None:
    """Return the path at which a session sees a file below a mount, or of the system.

    Args:
        path: The path inside.
        visible: The value of `Sandbox.read_only`.
        mounts: The value of `SandboxSpec.read_only`.

    Returns:
        The path, or None if the session's user cannot read it.
    """
    for mounted in mounts:
        if Path(path).is_relative_to(mounted):
            seen = visible.get(mounted)
            return None if seen is None else str(Path(seen) / Path(path).relative_to(mounted))
    return path


def etc_files(hostname: str) -> dict[str, str]:
    """Return the content of the files in /etc that differ from the host's."""
    return {
        "passwd": (
            "root:x:0:0:root:/root:/bin/sh\n"
            f"wuying:x:1000:1000:wuying:{HOME}:/bin/sh\n"
            "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        ),
        "group": "root:x:0:\nwuying:x:1000:\nnogroup:x:65534:\n",
        "hosts": f"127.0.0.1 localhost {hostname}\n::1 localhost\n",
        "hostname": f"{hostname}\n",
        "resolv.conf": "",
    }


@contextlib.contextmanager
def _open_root(path: Path, uid: int | None) -> Iterator[int]:
    """Open a root, owned by the session's user, with whose rights the block runs."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = os.open(path, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(root, 0o700)
        if uid is not None:
            os.fchown(root, uid, uid)
        with acting_as(uid):
            yield root
    finally:
        os.close(root)


def _make_directory(root: int, name: str, mode: int) -> None:
    try:
        kind = os.stat(name, dir_fd=root, follow_symlinks=False).st_mode
    except FileNotFoundError:
        kind = 0
    if kind and not stat.S_ISDIR(kind):
        os.unlink(name, dir_fd=root)
    if not stat.S_ISDIR(kind):
        os.mkdir(name, 0o700, dir_fd=root)
        made = os.open(name, ENTER & ~os.O_PATH, dir_fd=root)
        try:
            os.fchmod(made, mode)
        finally:
            os.close(made)


def _make_directories(root: int, path: str) -> None:
    """Make every part of a path a real directory, whatever the session has put there."""
    directory = os.dup(root)
    try:
        for name in path.strip("/").split("/"):
            _make_directory(directory, name, 0o755)
            inner = os.open(name, ENTER, dir_fd=directory)
            os.close(directory)
            directory = inner
    finally:
        os.close(directory)


def _make_link(root: int, name: str, target: str) -> None:
    try:
        if os.readlink(name, dir_fd=root) == target:
            return
        os.unlink(name, dir_fd=root)
    except FileNotFoundError:
        pass
    except OSError:  # it is not a link
        _set_aside(root, name)
    os.symlink(target, name, dir_fd=root)


def _set_aside(root: int, name: str) -> None:
    os.rename(name, f"{name}.{os.urandom(4).hex()}", src_dir_fd=root, dst_dir_fd=root)
