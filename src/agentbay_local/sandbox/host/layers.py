"""The layers of an image, as arguments of bubblewrap: what a session sees over the host's system.

A layer may come from a foreign archive. Nothing in it is followed here: a symbolic link is made
again inside, where it leads to something inside.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import InvalidRequest
from agentbay_local.sandbox.host import rootfs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = [
    "check_layers",
    "etc_arguments",
    "laid_over",
    "mount_targets",
    "upper_directories",
    "usr_arguments",
]

# The session has its own: /opt/agentbay is the directory of its Python, /var/tmp one of its files.
_OF_SESSION = frozenset({"/opt/agentbay", "/var/tmp"})  # noqa: S108 - inside
_TABLE = "/proc/self/mountinfo"
_ENTER = stat.S_IROTH | stat.S_IXOTH


def check_layers(layers: Iterable[Path], uid: int | None) -> None:
    """Check that the user of a session can read layers.

    Raises:
        InvalidRequest: One is not a directory with a directory `usr`, or the user cannot enter it.
    """
    for layer in layers:
        for directory in (layer, layer / "usr"):
            mode = _mode(directory)
            if not stat.S_ISDIR(mode):
                raise InvalidRequest("spec.layers", f"{directory} is not a directory")
            if uid is not None and mode & _ENTER != _ENTER:
                raise InvalidRequest(
                    "spec.layers",
                    f"{directory} is not readable for the sessions' users: chmod -R a+rX {layer}",
                )


def usr_arguments(layers: Sequence[Path]) -> list[str]:
    """Return the arguments that mount the host's /usr, with the layers over it."""
    arguments = _mount("/usr", [rootfs.SYSTEM, *_directories(layers, "usr")])
    if layers:
        # An overlay shows an empty directory, or the file below, where something is mounted.
        for path in _mounted_below(rootfs.SYSTEM):
            arguments += ["--ro-bind", path, path]
    return arguments


def etc_arguments(layers: Sequence[Path]) -> list[str]:
    """Return the arguments that mount what sessions may read of the host's /etc, and the layers'.

    A name that the layers have in /etc is laid over the host's if sessions may read all of that,
    and is otherwise that of the layers alone.
    """
    names = {path.name for layer in layers for path in _entries(layer / "etc")}
    names -= rootfs.OWN_ETC
    shared = list(rootfs.shared_etc())
    arguments = []
    for directory in dict.fromkeys(path.parent for path in shared):
        # Otherwise bubblewrap makes them so that only its own user may enter.
        arguments += ["--dir", str(directory)]
    for path in shared:
        if path.relative_to("/etc").parts[0] not in names:
            arguments += ["--ro-bind", str(path), str(path)]
    for name in sorted(names):
        host = [path for path in shared if path.name == name and str(path.parent) == "/etc"]
        arguments += _stacked(f"/etc/{name}", [*host, *(layer / "etc" / name for layer in layers)])
    return arguments


def mount_targets(layers: Sequence[Path]) -> list[str]:
    """Return the paths below /opt and /var that layers have, sorted.

    They are directories in /opt, and directories in the directories of /var. Files and links
    elsewhere in the two are left out, and so are empty directories.
    """
    found = set()
    for layer in layers:
        tops = [*_entries(layer / "opt")]
        tops += [inner for path in _entries(layer / "var") for inner in _entries(path)]
        found |= {f"/{path.relative_to(layer)}" for path in tops if next(_entries(path), None)}
    return sorted(target for target in found if not _is_of_session(target))


def upper_directories(layer: Path) -> list[Path]:
    """Return the directories near the top of a layer, whose changes the next session must see.

    An overlay may go on showing a file that has been replaced below it.
    """
    tops = _directories_in(layer)
    inner = [path for top in tops for path in _directories_in(top)]
    return [layer, *tops, *inner, *_directories_in(layer / "usr/local")]


def laid_over(target: str, layers: Sequence[Path]) -> list[str]:
    """Return the arguments that mount one of `mount_targets`."""
    return _mount(target, _directories(layers, target.lstrip("/")))


def _mounted_below(directory: Path) -> list[str]:
    """Return the paths below a directory at which the host has mounted something."""
    with open(_TABLE, encoding="utf-8", errors="surrogateescape") as lines:
        points = {re.sub(r"\\([0-7]{3})", _unescaped, line.split()[4]) for line in lines}
    return sorted(point for point in points if point.startswith(f"{directory}/"))


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 8))


def _is_of_session(target: str) -> bool:
    return any(target == own or target.startswith(f"{own}/") for own in _OF_SESSION)


def _stacked(target: str, sources: Sequence[Path]) -> list[str]:
    """Return the arguments for sources that may be files, links or missing: the last one wins."""
    there = [path for path in sources if _mode(path)]
    top = there[-1]
    if stat.S_ISLNK(_mode(top)):
        return ["--symlink", os.readlink(top), target]
    if stat.S_ISDIR(_mode(top)):
        return _mount(target, [path for path in there if stat.S_ISDIR(_mode(path))])
    return ["--ro-bind", str(top), target] if stat.S_ISREG(_mode(top)) else []


def _mount(target: str, sources: Sequence[Path]) -> list[str]:
    if len(sources) == 1:
        return ["--ro-bind", str(sources[0]), target]
    below = [argument for path in sources for argument in ("--overlay-src", str(path))]
    return [*below, "--ro-overlay", target]


def _directories(layers: Iterable[Path], name: str) -> list[Path]:
    """Return the directories of that path in the layers, without those behind a link."""
    return [layer / name for layer in layers if _is_directory(layer, name)]


def _is_directory(layer: Path, name: str) -> bool:
    path = layer
    for part in name.split("/"):
        path /= part
        if not stat.S_ISDIR(_mode(path)):
            return False
    return True


def _directories_in(directory: Path) -> list[Path]:
    return [path for path in _entries(directory) if stat.S_ISDIR(_mode(path))]


def _entries(directory: Path) -> Iterator[Path]:
    """Yield the entries of a directory; none if it is a link or something else."""
    if stat.S_ISDIR(_mode(directory)):
        yield from directory.iterdir()


def _mode(path: Path) -> int:
    """Return the type and the mode of a path itself; 0 if there is nothing."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
