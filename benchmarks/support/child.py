"""A child process that exchanges lines of JSON, with a timeout for each answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BENCHMARKS = Path(__file__).parent.parent


class ChildFailedError(RuntimeError):
    """The child process ended, or was ended because it did not answer in time."""


class LineChild:
    """A child process that answers every line on its stdin with one line on its stdout.

    Args:
        command: The program and its arguments.
        env: Its environment; ``None`` hands on that of this process.
        log: A file for what it writes to stderr, shown when it fails; by default it goes to ours.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._name = " ".join(map(str, command[1:]))
        self._log = log
        with ExitStack() as stack:
            self._process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(log.open("w")) if log else None,
                text=True,
            )

    @classmethod
    def of_module(cls, module: str, *arguments: str, **variables: str) -> LineChild:
        """Run a module of the benchmarks.

        Args:
            module: Its name, such as ``support.stub``.
            arguments: Its command-line arguments.
            variables: Environment variables beside those of this process.
        """
        variables = {"PYTHONPATH": str(_BENCHMARKS), **variables}
        return cls([sys.executable, "-m", module, *arguments], {**os.environ, **variables})

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, question: Mapping[str, Any], timeout: float = 120.0) -> dict[str, Any]:
        """Send a line and return the answer.

        Raises:
            ChildFailedError: There was no answer within `timeout` seconds; the child is dead now.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self.read_line(timeout)

    def read_line(self, timeout: float = 60.0) -> dict[str, Any]:
        """Return the next line, as :meth:`ask` does."""
        assert self._process.stdout is not None
        # Nothing in the standard library reads a pipe with a deadline on every platform; the death
        # of the writer ends the wait everywhere.
        deadline = threading.Timer(timeout, self._process.kill)
        deadline.daemon = True
        deadline.start()
        try:
            line = self._process.stdout.readline()
        finally:
            deadline.cancel()
        if not line:
            output = self._log.read_text()[-2000:] if self._log else ""
            raise ChildFailedError(f"{self._name}: ended, or silent for {timeout:g} s\n{output}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Close the stdin of the child, which ends it; kill it if it does not end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()
