"""Make the virtual environment of the session, the Python of its commands and of its code.

It uses an interpreter and packages of the host, which the session can only read. What the session
installs goes into the environment itself.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    from typing import Any

OF_HOST = "agentbay.pth"
"""The file that names the packages of the host."""

MOST_READ = 16 * 1024
"""Bytes of a file; ours have a few hundred."""

PIP = '#!/bin/sh\nexec "{0}/bin/python3" -m pip "$@"\n'


def make(settings: dict[str, Any], top: str) -> dict[str, str]:
    """Make the environment, unless an earlier start of the session did.

    Args:
        settings: `program`, `version`, `packages` and `library` of the interpreter, as the session
            sees them.
        top: The directory of the environment.

    Returns:
        The variables that programs need to start the interpreter.
    """
    write_files(settings, top)
    # The directory has this one library, so nothing else is found in it.
    return {"LD_LIBRARY_PATH": f"{top}/lib"} if settings["library"] else {}


def write_files(settings: dict[str, Any], top: str) -> None:
    """Write the files of the environment; the last one says that all are there."""
    configuration = f"{top}/pyvenv.cfg"
    if os.path.exists(configuration):
        return
    program, version = settings["program"], settings["version"]
    packages = packages_directory(settings, top)
    for directory in (f"{top}/bin", packages):
        os.makedirs(directory, exist_ok=True)
    for name in ("python", "python3", f"python{version}"):
        link(program, f"{top}/bin/{name}")
    if settings["library"]:
        link(settings["library"], f"{top}/lib/{os.path.basename(settings['library'])}")
    for name in ("pip", "pip3"):
        write(f"{top}/bin/{name}", PIP.format(top), 0o755)
    write(f"{packages}/{OF_HOST}", "".join(f"{path}\n" for path in settings["packages"]))
    home = os.path.dirname(program)
    write(
        configuration,
        f"home = {home}\ninclude-system-site-packages = false\nversion = {version}\n",
    )


def read(settings: dict[str, Any], top: str) -> list[Any] | None:
    """Return what decides which interpreter and packages the environment gives; None if unreadable.

    The session can have put anything there.
    """
    packages = packages_directory(settings, top)
    try:
        texts = [read_file(path) for path in (f"{top}/pyvenv.cfg", f"{packages}/{OF_HOST}")]
        return [os.readlink(f"{top}/bin/python3"), os.listdir(packages), *texts]
    except OSError:
        return None


def packages_directory(settings: dict[str, Any], top: str) -> str:
    """Return the directory of the packages that the session installs."""
    return f"{top}/lib/python{settings['version']}/site-packages"


def read_file(path: str) -> bytes:
    """Return the beginning of a file, which may be a pipe without an end."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(fd, MOST_READ)
    finally:
        os.close(fd)


def link(target: str, path: str) -> None:
    """Make a link, unless an earlier start that was not finished did."""
    try:
        os.symlink(target, path)
    except FileExistsError:
        return


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file."""
    # Less of Python than a file object needs, and so less memory that the agent changes.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, os.fsencode(text))
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
