"""Pytest plugin: fail a run that leaves a process, a mount, a control group or a file behind.

Each run gets its own temporary directory, so that several runs on one machine do not see each
other's files; it is removed at the end, or kept for inspection if the run failed. The user's own
AgentBay files (the ledger above all) must be as they were. An orphan is a new child of process 1
that is a sandbox or inherited the temporary directory of this run. The name of a control group has
the id of the process that made it; one of this run is left if it is empty.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

#: Seconds for processes that are already ending when the last test returns.
_GRACE = 20.0
_PROC = Path("/proc")
_KEPT = "pytest-of-"
_SANDBOX_SIGNS = (b"inside.agent", b"inside.fork_server")
_PID = str(os.getpid())
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_NAME = re.compile(r"agentbay\.\d+\.(\d+)\.\d+\.\d+")
_LEFT = "agentbay_control_groups"
_USER_DIRECTORIES = {
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
}


class Leftovers:
    """The state of the machine before the run, and its comparison with the state after it."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="agentbay-tests-"))
        # os.environ for child processes, tempdir for this one, which may have cached another.
        self._before = (os.environ.get("TMPDIR"), tempfile.tempdir)
        os.environ["TMPDIR"] = tempfile.tempdir = str(self._directory)
        self.left_by_workers: list[str] = []
        self._orphans = self._find_orphans()
        self._user_files = _user_files()

    def find(self) -> list[str]:
        """Return one line for each thing that the run left behind."""
        found = [f"process {pid}: {command}" for pid, command in self._new_orphans().items()]
        groups = [*self.left_by_workers, *find_cgroups()]
        found += [f"control group {path}" for path in groups]
        found += [f"mount {target}" for target in _mounts_below(self._directory)]
        found += [
            f"temporary file {path.name}"
            for path in self._directory.iterdir()
            if not path.name.startswith(_KEPT)
        ]
        changed = dict(set(_user_files().items()) ^ set(self._user_files.items()))
        found += [f"the user's own file {path} was changed" for path in sorted(changed)]
        return found

    def close(self, *, keep: bool) -> None:
        """Restore the environment; remove the temporary directory unless it is to be kept."""
        variable, cached = self._before
        tempfile.tempdir = cached
        if variable is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = variable
        if not keep:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _new_orphans(self) -> dict[int, str]:
        deadline = time.monotonic() + _GRACE
        while True:
            found = self._find_orphans().items()
            new = {pid: command for pid, command in found if self._orphans.get(pid) != command}
            if not new or time.monotonic() > deadline:
                return new
            time.sleep(0.2)

    def _find_orphans(self) -> dict[int, str]:
        """Return the orphans by process id: first processes of sandboxes have no environment."""
        marker = f"TMPDIR={self._directory}".encode()
        found = {}
        for entry in _PROC.glob("[0-9]*"):
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue  # it ended meanwhile
            if parent == "1" and (
                marker in environment or any(sign in command for sign in _SANDBOX_SIGNS)
            ):
                found[int(entry.name)] = command.decode(errors="replace").strip()[:150]
        return found


def find_cgroups() -> list[str]:
    """Return the control groups that this process has made and that nothing is in.

    Those of an embedded service, which lives as long as this process, have processes.
    """
    deadline = time.monotonic() + _GRACE
    while True:
        left = [str(path) for path in _own_cgroups() if _is_empty(path)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def _own_cgroups() -> list[Path]:
    found = []
    for directory, names, _ in os.walk(_CGROUPS):
        made = {name: match for name in names if (match := _CGROUP_NAME.fullmatch(name))}
        found += [Path(directory, name) for name, match in made.items() if match[1] == _PID]
        names[:] = [name for name in names if name not in made]
    return found


def _is_empty(group: Path) -> bool:
    try:
        return not (group / "cgroup.procs").read_text()
    except OSError:
        return False  # it was removed meanwhile


def _mounts_below(directory: Path) -> list[str]:
    try:
        lines = (_PROC / "self/mounts").read_text().splitlines()
    except OSError:
        return []
    targets = [line.split()[1] for line in lines]
    return [target for target in targets if target.startswith(f"{directory}/")]


# Layers of images: the test run keeps them for the next one, and another may be building one.
_IMAGES = "test-images"


def _user_files() -> dict[Path, tuple[int, int]]:
    """Return size and modification time of each file that AgentBay keeps for the user."""
    home = Path.home()
    bases = {
        Path(os.environ.get(variable) or home / default) / "agentbay"
        for variable, default in _USER_DIRECTORIES.items()
    }
    entries = [entry for base in bases for entry in base.glob("*") if entry.name != _IMAGES]
    files = [path for entry in entries for path in (entry, *entry.rglob("*")) if path.is_file()]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


_STATE = pytest.StashKey[Leftovers]()
_FOUND = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Remember the state of the machine; the workers of pytest-xdist leave that to their parent."""
    if not hasattr(config, "workerinput"):
        config.stash[_STATE] = Leftovers()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker has found: when it has ended, other services remove its groups."""
    left = getattr(node, "workeroutput", {}).get(_LEFT, ())
    node.config.stash[_STATE].left_by_workers.extend(left)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if it left anything behind."""
    if _STATE not in session.config.stash:
        session.config.workeroutput[_LEFT] = find_cgroups()
        return
    found = session.config.stash[_STATE].find()
    session.config.stash[_FOUND] = found
    if found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name everything that was left behind."""
    found = terminalreporter.config.stash.get(_FOUND, [])
    if found:
        terminalreporter.section("left behind by this run", red=True)
        for line in found:
            terminalreporter.line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the temporary directory of a run that passed."""
    if _STATE in config.stash:
        config.stash[_STATE].close(keep=bool(config.stash.get(_FOUND, [])))
