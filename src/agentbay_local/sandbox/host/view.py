"""What sessions see of the host, as arguments of bubblewrap: the system, layers and packages.

It is the same for all sessions of an image, and all of it is read-only.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.host import layers, programs, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agentbay_local.sandbox.host.startup import Launch
    from agentbay_local.sandbox.values import SandboxSpec

__all__ = ["View"]


@attrs.frozen
class View:
    """What a session sees of the host.

    Attributes:
        bubblewrap: The program that shows it.
        python: The interpreter of the agent, with the path that the session sees.
        hostname: The name of the session's machine, which is in files of /etc.
        shared: The directories of the host by their paths inside: packages, and the interpreter if
            the system has none.
        layers: The layers over the system.
        stamp: Changes when a file that is mounted by itself, or a layer, may be another one.
    """

    bubblewrap: Path
    python: programs.Interpreter
    hostname: str
    shared: tuple[tuple[str, Path], ...]
    layers: tuple[Path, ...]
    stamp: tuple[int, ...]

    @classmethod
    def of(cls, spec: SandboxSpec) -> View:
        """Return the view of a session. Blocking, short.

        Raises:
            IsolationUnavailable: bubblewrap or a Python is missing.
        """
        python, shared = programs.find_interpreter(), dict(spec.read_only)
        if python.directory is not None:
            shared[str(programs.INTERPRETER)] = python.directory
            python = python.moved_to(programs.INTERPRETER)
        return cls(
            _find_bubblewrap(spec),
            python,
            spec.hostname,
            tuple(shared.items()),
            spec.layers,
            tuple(_changes(shared.values(), spec.layers)),
        )

    def moved(self, reachable: Callable[[Path], Path]) -> View:
        """Return the same view by other paths of the host.

        Args:
            reachable: Returns the path to use for a path of the host.
        """
        return attrs.evolve(
            self,
            bubblewrap=reachable(self.bubblewrap),
            shared=tuple((inside, reachable(path)) for inside, path in self.shared),
            layers=tuple(reachable(path) for path in self.layers),
        )

    @property
    def paths(self) -> list[str]:
        """The paths inside that show something of the host; outer ones come first."""
        beside = [f"/{name}" for name in rootfs.system_directories()]
        return ["/usr", *self.targets, *beside, "/dev", "/etc"]

    @property
    def targets(self) -> list[str]:
        """Those that a session's own directory needs places for, beyond the usual ones."""
        return [*(inside for inside, _ in self.shared), *layers.mount_targets(self.layers)]

    def arguments(self, launch: Launch) -> list[str]:
        """Return the arguments that mount it.

        Args:
            launch: Keeps the files that bubblewrap reads.
        """
        view = [*layers.usr_arguments(self.layers)]
        for target in layers.mount_targets(self.layers):
            view += layers.laid_over(target, self.layers)
        for name in rootfs.system_directories():
            view += ["--ro-bind", f"/{name}", f"/{name}"]
        view += ["--dev", "/dev", "--tmpfs", "/etc", *layers.etc_arguments(self.layers)]
        for name, content in rootfs.etc_files(self.hostname).items():
            file = launch.add_file(content.encode())
            view += ["--perms", "0444", "--file", str(file), f"/etc/{name}"]
        for target, path in self.shared:
            view += ["--ro-bind", str(path), target]
            for private in rootfs.private_files(path):
                view += ["--ro-bind", "/dev/null", f"{target}/{private}"]
        for name, value in self.python.variables.items():
            view += ["--setenv", name, value]
        return [*view, "--remount-ro", "/etc"]


def _find_bubblewrap(spec: SandboxSpec) -> Path:
    if spec.layers:
        return programs.find_bubblewrap(programs.OVERLAYS_SINCE)
    return programs.find_bubblewrap()


def _changes(shared: Iterable[Path], laid: Iterable[Path]) -> Iterator[int]:
    """Yield when the directories were changed whose files are mounted by themselves, and layers."""
    of_system = _directories_of_etc(_changed(Path("/etc")))
    of_packages = [one for path in shared for one in rootfs.package_directories(path)]
    of_layers = [one for layer in laid for one in layers.upper_directories(layer)]
    for directory in (*of_system, *of_packages, *of_layers):
        yield _changed(directory)


@functools.lru_cache(maxsize=1)
def _directories_of_etc(_: int) -> list[Path]:
    """Return the directories that have shared files, until /etc itself changes."""
    return sorted({Path("/etc"), *(path.parent for path in rootfs.shared_etc())})


def _changed(directory: Path) -> int:
    try:
        return directory.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return 0
