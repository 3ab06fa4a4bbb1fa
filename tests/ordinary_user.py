"""Another user of the machine, for tests that root runs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_local.code import session_python
from agentbay_local.sandbox.host import programs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
#: A user that no machine has.
SOMEBODY = 1_899_999_998
UNREACHABLE = "bubblewrap or Python lie where only root can reach them"
#: Parameters of tests that run as both users.
WAYS = ("as root", "as a user")


def user_of(way: str) -> int:
    """Return the user to become for one of `WAYS`; 0 keeps the present one."""
    is_root = os.geteuid() == 0
    if way == "as root" and not is_root:
        pytest.skip("needs root")
    return SOMEBODY if way == "as a user" and is_root else 0


def is_reachable(path: Path) -> bool:
    """Return whether any user can enter a directory, or run a program."""
    return all(part.stat().st_mode & 0o001 for part in (path.resolve(), *path.resolve().parents))


def user_with_programs(way: str) -> int:
    """As `user_of`, for a user who can run what a sandbox is made of; skip the test without."""
    user = user_of(way)
    directory = programs.find_interpreter().directory if user else None
    if user and (directory is not None or not is_reachable(programs.find_bubblewrap())):
        pytest.skip(UNREACHABLE)
    return user


def for_a_user() -> tuple[str, dict[str, str]]:
    """Return a Python that an ordinary user can run, and the variables that it needs."""
    packages = [Path(path) for path in sys.path if path.endswith("-packages")]
    readable = [str(path) for path in packages if is_reachable(path)]
    system = Path(f"/usr/bin/python{session_python().version}")
    python = Path(sys.executable)
    if not is_reachable(python):
        python = system
    if not python.exists() or not is_reachable(ROOT) or not readable:
        pytest.skip(UNREACHABLE)
    return str(python), {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *readable])}


@contextmanager
def directory_of(uid: int) -> Iterator[Path]:
    """Make a directory of a user, 0 for the present one, where that user can reach it."""
    # pytest's own directories are below one that only their owner can enter.
    place = Path(tempfile.mkdtemp(prefix="agentbay-test-", dir="/tmp"))
    try:
        place.chmod(0o755)
        os.chown(place, uid or os.getuid(), uid or os.getgid())
        yield place
    finally:
        shutil.rmtree(place)
