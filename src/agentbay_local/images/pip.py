"""Python packages for a layer, by the pip of the environment that runs this command.

Only wheels: the build of a source distribution would run foreign code on this machine. The packages
are for the Python of sessions, which is the one of this environment, in its version.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["PipError", "install_packages", "packages_directory", "python_version"]

_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?[A-Za-z0-9.,<>=!~*+ -]*"
)
_PYTHON = "/opt/agentbay/python/bin/python3"
_OPTIONS = (
    "--disable-pip-version-check",
    "--no-input",
    "--quiet",
    "--no-warn-script-location",
    "--no-compile",
    "--only-binary=:all:",
)


class PipError(RuntimeError):
    """pip cannot provide the packages; the text says why."""


def python_version() -> str:
    """Return the version of the Python of sessions, such as "3.11"."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def packages_directory(version: str) -> str:
    """Return where sessions find the Python packages of layers.

    Args:
        version: The version of Python, such as "3.11".
    """
    return f"/usr/local/lib/agentbay/python{version}"


def install_packages(names: Sequence[str], root: Path) -> list[dict[str, str]]:
    """Install packages and what they need into a directory.

    Args:
        names: Requirements, such as ``requests>=2``, or paths of wheels.
        root: An empty directory, which gets a directory ``usr``.

    Returns:
        Name, version and hash of each.

    Raises:
        PipError: There is no pip, or it cannot find or fetch a package.
        ValueError: A name is not a requirement.
    """
    for name in names:
        if not _REQUIREMENT.fullmatch(name) and not (name.endswith(".whl") and name[0] != "-"):
            raise ValueError(f"pip: {name!r:.100} is neither a requirement nor a wheel")
    if importlib.util.find_spec("pip") is None:
        raise PipError("this environment has no pip: run python -m ensurepip, or install it")
    inside = packages_directory(python_version())
    target, report = root / inside.lstrip("/"), root / "report.json"
    _run("pip", "install", *_OPTIONS, f"--report={report}", f"--target={target}", "--", *names)
    for file in target.glob("*.dist-info/direct_url.json"):
        file.unlink()  # it names files of this machine
    # Compiled for the place where sessions find it: they cannot write there.
    place = ("-s", str(target), "-p", inside)
    _run("compileall", "-q", "--invalidation-mode=unchecked-hash", *place, str(target))
    _move_programs(target / "bin", root / "usr/local/bin")
    return [_described(one) for one in json.loads(report.read_text("utf-8"))["install"]]


def _move_programs(source: Path, destination: Path) -> None:
    """Move the programs of packages, and let the Python of the session run them."""
    if not source.is_dir():
        return
    destination.mkdir(parents=True, exist_ok=True)
    for program in source.iterdir():
        first, newline, rest = program.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            program.write_bytes(f"#!{_PYTHON}".encode() + newline + rest)
        shutil.move(program, destination / program.name)
    source.rmdir()


def _run(module: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - this Python; the names are checked, and follow "--"
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise PipError("; ".join(lines) or done.stderr.strip() or f"{module} failed")


def _described(entry: dict[str, Any]) -> dict[str, str]:
    hashes = entry.get("download_info", {}).get("archive_info", {}).get("hashes", {})
    return {
        "name": str(entry["metadata"]["name"]),
        "version": str(entry["metadata"]["version"]),
        "sha256": str(hashes.get("sha256", "")),
    }
