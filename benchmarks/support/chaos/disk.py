"""A full disk below the home of the service: files stay, deletes succeed, errors say why."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from support.chaos.saved_files import SavedFiles
from support.chaos.scenario import PARAMS, Scenario, UnavailableError
from support.chaos.service_process import DEADLINE, ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from pathlib import Path

    from agentbay_async import AsyncAgentBay
    from support.chaos.scenario import Trial

_SIZE = "16m"
_REASON = "InsufficientStorage"


def fill_disk(trial: Trial) -> None:
    """Fill the disk of a service, use it, restart it, and make room again."""
    with _small_disk(trial.directory / "disk") as disk:
        asyncio.run(_FullDisk(trial, disk).run())


@contextmanager
def _small_disk(disk: Path) -> Iterator[Path]:
    """Mount a small disk.

    Raises:
        UnavailableError: This user or this machine cannot mount it.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise UnavailableError("only root mounts anything")
    disk.mkdir()
    options = f"size={_SIZE},mode=755"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise UnavailableError("this machine does not mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@attrs.define
class _FullDisk:
    """A service whose disk is full, and what its clients hold."""

    trial: Trial
    disk: Path
    sessions: list[str] = attrs.field(factory=list)
    spare: list[str] = attrs.field(factory=list)

    async def run(self) -> None:
        """Fill the disk, work, restart the service, work, make room, and work as usual."""
        service = await asyncio.to_thread(ServiceProcess, self.trial, self.disk)
        async with service.client() as bay:
            files = SavedFiles(bay, self.trial)
            await self._prepare(bay, files)
            await self._work(bay, files)
        await asyncio.to_thread(self._end, service)
        self._fill()
        service = await asyncio.to_thread(ServiceProcess, self.trial, self.disk)
        async with service.client() as files.bay:
            await self._work(files.bay, files)
            (self.disk / "filling").unlink()
            await self._must("create", files.bay.create())
            await files.compare()
        await asyncio.to_thread(service.stop)

    def _end(self, service: ServiceProcess) -> None:
        self.sessions.clear()
        if self.trial.random.random() < 0.5:
            service.kill()
        else:
            service.stop()

    async def _prepare(self, bay: AsyncAgentBay, files: SavedFiles) -> None:
        chance = self.trial.random
        for number in range(3):
            context = (await bay.context.create(f"context-{number}")).unwrap().id
            content = chance.randbytes(chance.randrange(200_000))
            (await bay.context.upload_file(context, "file", content)).unwrap()
            files.expect(context, "file", content)
        empty = [await bay.context.create(f"spare-{number}") for number in range(2)]
        self.spare += [one.unwrap().id for one in empty]
        created = await bay.create_many(PARAMS, 4)
        self.sessions += [session.session_id for session in created.sessions]

    async def _work(self, bay: AsyncAgentBay, files: SavedFiles) -> None:
        """Write and delete in a random order while the disk is full; read at the end."""
        for number in range(self.trial.size // 2):
            self._fill()
            if self.trial.random.random() < 0.8:
                await self._write(bay, files, number)
            elif self.sessions:
                await self._must("delete", bay.delete(self.sessions.pop()))
            elif self.spare:
                await self._must("delete a context", bay.context.delete(self.spare.pop()))
        listed = {session.session_id async for session in bay.list()}
        self.trial.tally.unheld.extend(listed - set(self.sessions))
        await files.compare()

    async def _write(self, bay: AsyncAgentBay, files: SavedFiles, number: int) -> None:
        """Make a change that may fail, with an error that says that there is no room."""
        chance = self.trial.random
        kind = chance.choice(("create", "upload", "label"))
        context = chance.choice(sorted(files.contexts))
        content = chance.randbytes(chance.randrange(100_000))
        call: Awaitable[Any]
        if kind == "upload":
            call = bay.context.upload_file(context, f"late-{number}", content)
        elif kind == "label" and self.sessions:
            session = (await bay.get(self.sessions[0])).unwrap()
            call = session.set_labels({"number": f"{number:0200}"})
        else:
            call = bay.create(PARAMS)
        result: Any = await self.trial.tally.timed(kind, call, DEADLINE)
        if result is None:
            return
        if not result.success:
            self._check_reason(kind, result)
        elif kind == "upload":
            files.expect(context, f"late-{number}", content)
        elif getattr(result, "session", None) is not None:
            self.sessions.append(result.session.session_id)

    def _check_reason(self, kind: str, result: Any) -> None:
        said = f"{result.error!r} {result.error_message}"
        if _REASON not in said and "is full" not in said:
            self.trial.tally.problems.append(f"the error of {kind} does not say why: {said}")

    async def _must(self, what: str, call: Awaitable[Any]) -> None:
        result = await self.trial.tally.timed(what, call, DEADLINE)
        if result is not None and not result.success:
            self.trial.tally.problems.append(f"{what} failed: {result.error_message}")

    def _fill(self) -> None:
        """Write until no byte is free."""
        with (self.disk / "filling").open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))


FILL_DISK = Scenario("fill-disk", fill_disk)
