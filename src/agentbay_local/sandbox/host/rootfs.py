"""The directory that is a session's "/", and the mounts of the host over it.

The layout on disk equals the layout in the session, so a path means the same file to the agent and
on the host.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host.credentials import acting_as
from agentbay_local.sandbox.inside.layout import lay_out
from agentbay_local.sandbox.values import HOME, SandboxSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

__all__ = [
    "OWN_ETC",
    "SYSTEM",
    "etc_files",
    "layout_of",
    "make_empty_root",
    "package_directories",
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

    Args:
        spec: The specification of its sandbox.
        mount_points: Paths inside where the sandbox mounts more than `read_only` of the
            specification.
    """
    with _open_root(spec.root, spec.uid) as root:
        lay_out(root, layout_of((*spec.read_only, *mount_points)))


def make_empty_root(spec: SandboxSpec) -> None:
    """Create the directory of a session, if there is none, and nothing in it."""
    with _open_root(spec.root, spec.uid):
        pass


def layout_of(mount_points: Iterable[str]) -> dict[str, Any]:
    """Return what a root needs, as `lay_out` takes it.

    Args:
        mount_points: Paths inside where directories are mounted, beside the usual ones.
    """
    names = (*MOUNT_POINTS, *system_directories())
    return {
        "directories": {**dict.fromkeys(names, 0o755), **SESSION_DIRECTORIES},
        "links": dict(system_links()),
        "paths": list(dict.fromkeys(mount_points)),
    }


def prepare_session_directories(spec: SandboxSpec, uid: int | None = None) -> None:
    """Create the session's own directories, owned by its user or by the service's."""
    with _open_root(spec.root, uid) as root:
        lay_out(root, {"directories": SESSION_DIRECTORIES, "links": {}, "paths": []})


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
    found = [one.relative_to(directory) for one in package_directories(directory)]
    return [one / name for one in found for name in _private_in(directory / one)]


def package_directories(directory: Path) -> list[Path]:
    """Return the directories of packages in a package directory or in a Python's."""
    return [
        directory,
        *(directory / f"lib/{name}/site-packages" for name in _pythons(directory / "lib")),
    ]


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
