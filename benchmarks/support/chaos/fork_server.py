"""Fork child processes that have everything imported, signal them, and list what they leave.

Importing the packages takes longer than most runs of a scenario. So one process imports them and
forks the children; each of them is a process of its own that ends as usual. Run as
``python -m support.chaos.fork_server``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.child import LineChild

if TYPE_CHECKING:
    from types import TracebackType

_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36
_PAUSE = 0.005


class ChildProcess:
    """A child process, and what it wrote.

    Args:
        fork_server: The server that forked it.
        pid: Its process id.
        output: The file of its stdout.
        errors: The file of its stderr.
    """

    def __init__(self, fork_server: ForkServer, pid: int, output: Path, errors: Path) -> None:
        self.pid = pid
        self._fork_server = fork_server
        self._output = output
        self._errors = errors

    @property
    def status(self) -> int | None:
        """Its exit code, negative for a signal; ``None`` while it runs."""
        return self._fork_server.status(self.pid)

    @property
    def errors(self) -> str:
        """Everything that it wrote to stderr."""
        return self._errors.read_text("utf-8", "replace")

    def words(self, name: str) -> list[str]:
        """Return the words after `name` on all lines of its stdout that begin with it."""
        lines = self._output.read_text("utf-8", "replace").splitlines()
        return [word for line in lines for word in line.split()[1:] if line.startswith(f"{name} ")]

    def signal(self, number: int) -> bool:
        """Send a signal; return False if the process has ended."""
        # It keeps its process id until its status was asked for.
        if self.status is not None:
            return False
        os.kill(self.pid, number)
        return True

    def wait(self, limit: float) -> int | None:
        """Wait for its end; return its exit code, or ``None`` if it still runs after `limit`."""
        end = time.monotonic() + limit
        while (status := self.status) is None and time.monotonic() < end:
            time.sleep(_PAUSE)  # polled: a file of output does not report new lines
        return status

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self.signal(signal.SIGKILL)
        self.wait(30)

    def read(self, name: str, limit: float = 60.0) -> str:
        """Wait for a line of stdout that begins with `name`, and return its last word.

        Raises:
            RuntimeError: The process ended, or wrote no such line within `limit` seconds.
        """
        end = time.monotonic() + limit
        while not (found := self.words(name)):
            if self.status is not None or time.monotonic() > end:
                raise RuntimeError(f"no line '{name}': exit code {self.status}, {self.errors}")
            time.sleep(_PAUSE)  # polled: a file of output does not report new lines
        return found[-1]


class ForkServer:
    """Starts child processes, for the length of a ``with`` block."""

    def __enter__(self) -> ForkServer:
        self._numbers = itertools.count()
        self._child = LineChild.of_module("support.chaos.fork_server")
        self._child.read_line()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill_all()
        self._child.close()

    def start(self, directory: Path, program: str, **arguments: object) -> ChildProcess:
        """Start a program of :mod:`support.chaos.programs`; its output goes to `directory`."""
        stem = f"{program}-{next(self._numbers)}"
        output, errors = directory / f"{stem}.out", directory / f"{stem}.err"
        answer = self._child.ask(
            {
                "do": "start",
                "program": program,
                "arguments": arguments,
                "output": str(output),
                "errors": str(errors),
            }
        )
        return ChildProcess(self, answer["pid"], output, errors)

    def status(self, pid: int) -> int | None:
        """Return the exit code of a child, ``None`` while it runs."""
        status: int | None = self._child.ask({"do": "status", "pid": pid})["status"]
        return status

    def kill_all(self) -> None:
        """Kill everything below this process."""
        self._child.ask({"do": "kill"})

    def leftovers(self) -> list[str]:
        """Return the processes below this one: its children, and the orphans that they left."""
        found: list[str] = self._child.ask({"do": "leftovers"})["found"]
        return found


class _Server:
    """The fork server's own process: carries out one request for each line."""

    def __init__(self) -> None:
        self._statuses: dict[int, int] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a line asks for, all but a start."""
        self._reap()
        if request["do"] == "status":
            return {"status": self._statuses.get(request["pid"])}
        found = _descendants(os.getpid())
        if request["do"] == "kill":
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return {"found": [f"{pid} {_command(pid)}" for pid in sorted(found)]}

    def forget(self, pid: int) -> None:
        """Forget the exit code of an earlier child with this process id."""
        self._statuses.pop(pid, None)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._statuses[ended[0]] = os.waitstatus_to_exitcode(ended[1])


def _descendants(pid: int) -> set[int]:
    parents = {}
    for entry in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(entry.parent.name)] = int(parent)
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:150]
    return "(ended)"


def _run_program(request: dict[str, Any]) -> None:
    """Become the child process that a request describes."""
    from support.chaos.programs import PROGRAMS

    for path, flags, descriptor in (
        (os.devnull, os.O_RDONLY, 0),
        (request["output"], os.O_WRONLY | os.O_CREAT, 1),
        (request["errors"], os.O_WRONLY | os.O_CREAT, 2),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    PROGRAMS[request["program"]](**request["arguments"])


def main() -> None:
    """Carry out requests until stdin ends."""
    # The children need not import these; the library imports some of them when it needs them.
    for name in ("aiohttp", "cattrs", "support.chaos.programs"):
        importlib.import_module(name)

    # A Ctrl-C at the terminal is for the program that asks; the children of the dead come here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    server = _Server()
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] != "start":
            print(json.dumps(server.answer(request)), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _run_program(request)
            return
        server.forget(pid)
        # Both create the files: the one that is later finds them.
        for name in ("output", "errors"):
            Path(request[name]).touch()
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    main()
