"""A program that writes and reads files: in a session, or plainly; it answers lines of JSON.

A process of its own, so that its memory is that of these files, and so that the client may be that
of another checkout.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agentbay_async import AsyncAgentBay
from support.host import forget_peak, status_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncSession


class Files(Protocol):
    """Where files are written to and read from."""

    async def write(self, content: bytes) -> None:
        """Write a file."""
        ...

    async def read(self, size: int) -> None:
        """Read that file, which has `size` bytes."""
        ...

    async def upload(self, source: Path) -> None:
        """Copy a file of this machine there."""
        ...

    async def download(self, target: Path) -> None:
        """Copy that file back."""
        ...


class InSession:
    """Files of a session."""

    def __init__(self, session: AsyncSession) -> None:
        self._files = session.file_system

    async def write(self, content: bytes) -> None:
        """Write a file."""
        (await self._files.write_file("content", content)).unwrap()

    async def read(self, size: int) -> None:
        """Read that file."""
        assert len((await self._files.read_file("content", format="bytes")).content) == size

    async def upload(self, source: Path) -> None:
        """Upload a file."""
        assert (await self._files.upload_file(source, "/tmp/large")).unwrap().verified

    async def download(self, target: Path) -> None:
        """Download that file."""
        assert (await self._files.download_file("/tmp/large", target)).unwrap().verified


class Plain:
    """Files of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def write(self, content: bytes) -> None:
        """Write a file."""
        (self._directory / "content").write_bytes(content)

    async def read(self, size: int) -> None:
        """Read that file."""
        assert len((self._directory / "content").read_bytes()) == size

    async def upload(self, source: Path) -> None:
        """Copy a file."""
        shutil.copyfile(source, self._directory / "large")

    async def download(self, target: Path) -> None:
        """Copy that file."""
        shutil.copyfile(self._directory / "large", target)


async def _do(files: Files, asked: dict[str, Any]) -> dict[str, float]:
    size, calls = int(asked["size"]), int(asked["calls"])
    content = os.urandom(size) if asked["work"] == "write" else b""
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "write": lambda: files.write(content),
        "read": lambda: files.read(size),
        "upload": lambda: files.upload(Path(asked["path"])),
        "download": lambda: files.download(Path(asked["path"])),
    }
    step, pid = steps[asked["work"]], os.getpid()
    before = status_bytes(pid, "VmRSS")
    forget_peak(pid)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        await step()
    return {
        "wall": (time.perf_counter() - wall) / calls,
        "cpu": (time.process_time() - cpu) / calls,
        "grown": status_bytes(pid, "VmHWM") - before,
    }


async def _answer(files: Files) -> None:
    print(json.dumps({"ready": True}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await _do(files, json.loads(line))), flush=True)


async def _main(place: str, key: str = "") -> None:
    if not key:
        await _answer(Plain(Path(place)))
        return
    async with AsyncAgentBay(key, endpoint=place) as bay, bay.session() as session:
        (await session.command.run("true")).unwrap()
        await _answer(InSession(session))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
