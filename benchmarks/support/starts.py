"""Contestants that start a sandbox and run its first command."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from shutil import which
from typing import TYPE_CHECKING, Protocol

import anyio

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local.sandbox.host.programs import find_bubblewrap
from support import host

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.local import LocalChild

_CODE_IMAGE = "code_latest"
_SETTLED = 0.5
_SETTLED_WITHIN = 300
_LOOK = 0.1
# Seconds without a new or ended process: sandboxes and kernels follow each other more quickly.
_UNCHANGED = 0.7


class Starter(Protocol):
    """A contestant.

    Attributes:
        name: Its name in tables.
    """

    name: str

    async def settle(self) -> None:
        """Wait until it is as it will be when nobody has used it for a while."""
        ...

    async def start(self) -> float:
        """Start a sandbox, run its first command, remove it; return the seconds of the first two.

        Raises:
            RuntimeError: It does not start, or the command fails.
        """
        ...

    async def close(self) -> None:
        """Release all resources."""
        ...


_PEERS = {
    "sandbox-runtime, true": ("srt", "true"),
    "gVisor, true": ("runsc", "--platform=ptrace", "--network=none", "do", "true"),
}


class Program:
    """A program that runs `true` in a sandbox of its own, without an agent.

    Args:
        name: Its name in tables.
        command: The program and its arguments.
    """

    _BUBBLEWRAP = ("--unshare-all", "--die-with-parent", "--cap-drop", "ALL")
    _VIEW = ("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = command

    @classmethod
    def bubblewrap(cls) -> Program:
        """Return bubblewrap: the least that a start costs here."""
        command = [str(find_bubblewrap()), *cls._BUBBLEWRAP, *cls._VIEW, "true"]
        return cls("bubblewrap, true", command)

    @classmethod
    def peers(cls) -> list[Program]:
        """Return the sandboxes of others that this machine has."""
        return [cls(name, command) for name, command in _PEERS.items() if which(command[0])]

    async def settle(self) -> None:
        """Do nothing."""

    async def start(self) -> float:
        """Start it and wait for its end."""
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*self._command)
        if await process.wait():
            raise RuntimeError(f"{self.name} failed")
        return time.perf_counter() - began

    async def close(self) -> None:
        """Do nothing."""


class LocalService:
    """A session of a local service in a child process, through `agentbay_async`.

    Args:
        name: Its name in tables.
        service: The service.
        code: Run Python code in the session instead of a command.
    """

    def __init__(self, name: str, service: LocalChild, *, code: bool = False) -> None:
        self.name = name
        self._service = service
        self._code = code
        self._bay = AsyncAgentBay(service.api_key, endpoint=service.endpoint)

    async def settle(self) -> None:
        """Wait until the ready sandboxes have been replaced, and their Python kernels run."""
        count, since = -1, time.monotonic()
        with anyio.fail_after(_SETTLED_WITHIN):
            while time.monotonic() - since < _UNCHANGED:
                # another process starts them, so there is no event to await
                await asyncio.sleep(_LOOK)
                found = len(host.below(self._service.pid))
                if found != count:
                    count, since = found, time.monotonic()

    async def start(self) -> float:
        """Create a session, use it, delete it."""
        began = time.perf_counter()
        session = (await self._bay.create(CreateSessionParams(image_id=_CODE_IMAGE))).unwrap()
        try:
            if self._code:
                answer = (await session.code.run_code("1 + 1")).result
            else:
                answer = (await session.command.run("echo 2", check=True)).stdout.strip()
            took = time.perf_counter() - began
        finally:
            (await session.delete()).unwrap()
        if answer != "2":
            raise RuntimeError(f"the answer is {answer!r}")
        return took

    async def resting(self, count: int) -> dict[str, float]:
        """Return what a live sandbox that does nothing costs, on average over some of them."""
        before = len(host.below(self._service.pid))
        made = (await self._bay.create_many(CreateSessionParams(), count)).sessions
        for session in made:
            (await session.command.run("true")).unwrap()
        # What a start leaves to do in the background is not what a resting sandbox costs.
        await asyncio.sleep(_SETTLED)
        pids = host.below(self._service.pid)
        shared_out, counted = host.memory(pids)
        (await self._bay.delete_many(made)).raise_for_failures()
        return {
            "processes": (len(pids) - before) / count,
            "memory, shared pages shared out, MB": shared_out / count / 1e6,
            "memory, shared pages counted for each, MB": counted / count / 1e6,
        }

    async def close(self) -> None:
        """Close its connections."""
        await self._bay.aclose()


_IN_NEW_PROCESS = """
import sys, tempfile, time
began = time.perf_counter()
{program}
    print(time.perf_counter() - began)
"""
_EMBEDDED = """from agentbay_local import LocalService
with tempfile.TemporaryDirectory(prefix="agentbay-bench-") as home, LocalService(home=home):"""
_AIOHTTP = """import aiohttp.web
if True:"""


class NewProcess:
    """Something that a new Python process does: the seconds of that, without Python's own start.

    Args:
        name: Its name in tables.
        program: The lines to time; the last begins a block.
        compiled: A directory for the compiled modules, which an installed package has.
    """

    EMBEDDED = "embedded service ready"

    def __init__(self, name: str, program: str, compiled: Path) -> None:
        self.name = name
        self._program = _IN_NEW_PROCESS.format(program=program)
        self._env = {**os.environ, "PYTHONPYCACHEPREFIX": str(compiled)}
        self._env.pop("PYTHONDONTWRITEBYTECODE", None)

    @classmethod
    def all(cls, compiled: Path) -> list[NewProcess]:
        """Return the import of aiohttp, and the embedded service, which has to import it."""
        return [
            cls("aiohttp imported", _AIOHTTP, compiled),
            cls(cls.EMBEDDED, _EMBEDDED, compiled),
        ]

    async def settle(self) -> None:
        """Do nothing."""

    async def start(self) -> float:
        """Start a process and let it do that."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", self._program, stdout=asyncio.subprocess.PIPE, env=self._env
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{self.name} failed")
        return float(output)

    async def close(self) -> None:
        """Do nothing."""
