"""Kills of the service: while sandboxes start, and between a write and a delete."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay_async import AsyncAgentBay, ContextSync, CreateSessionParams
from support.chaos.proxy import Proxy
from support.chaos.saved_files import SavedFiles
from support.chaos.scenario import Scenario, UnavailableError
from support.chaos.service_process import DEADLINE, ServiceProcess

if TYPE_CHECKING:
    from agentbay_async import AsyncSession
    from support.chaos.scenario import Trial

# Seconds that the start of some sandboxes takes, and a little more.
_START_TAKES = 0.3
# Seconds until the processes of a killed service are gone.
_GONE_WITHIN = 20.0
_MOUNT = "/mnt/data"
_RACE = 0.2


def kill_start(trial: Trial) -> None:
    """Kill a service while sandboxes start: no process, mount or directory is left."""
    if sys.platform != "linux":
        raise UnavailableError("only Linux tells what a process leaves behind")
    home = trial.directory / "home"
    for number in range(max(1, trial.size // 10)):
        service = ServiceProcess(trial, home)
        try:
            asyncio.run(_start_and_kill(trial, service))
        finally:
            service.kill()
        _check_leftovers(trial, home, f"kill {number}")
    stale = {path.name for path in (home / "running").iterdir()}
    service = ServiceProcess(trial, home)
    left = [path.name for path in (home / "sessions").iterdir()]
    left += [path.name for path in (home / "running").iterdir() if path.name in stale]
    trial.tally.problems.extend(f"{one} is left in the home" for one in left)
    service.stop()


async def _start_and_kill(trial: Trial, service: ServiceProcess) -> None:
    async with service.client() as bay:
        created = await bay.create_many(CreateSessionParams(), 4)
        commands = [
            asyncio.create_task(
                trial.tally.timed("run", session.command.run("sleep 100 & true"), DEADLINE)
            )
            for session in created.sessions
        ]
        await asyncio.sleep(trial.random.uniform(0, _START_TAKES))
        await asyncio.to_thread(service.kill)
        await asyncio.gather(*commands)


def _check_leftovers(trial: Trial, home: Path, what: str) -> None:
    end = time.monotonic() + _GONE_WITHIN
    while (found := [*trial.fork_server.leftovers(), *_mounts(home)]) and time.monotonic() < end:
        time.sleep(0.02)  # polled: strangers' processes cannot be waited for
    trial.tally.problems.extend(f"{what}: left: {one}" for one in found)


def _mounts(home: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(home) in line]


def kill_before_delete(trial: Trial) -> None:
    """Kill and restart the service between a write and ``delete(sync_context=True)``."""
    with Proxy("") as proxy:
        asyncio.run(_KilledService(trial, proxy).run())


class _KilledService:
    """A service that is killed and started again behind a proxy."""

    def __init__(self, trial: Trial, proxy: Proxy) -> None:
        self._trial = trial
        self._proxy = proxy

    def _start(self) -> ServiceProcess:
        service = ServiceProcess(self._trial, self._trial.directory / "home")
        self._proxy.upstream = service.endpoint
        return service

    async def run(self) -> None:
        """Do it some times, then compare all files that a success said were saved."""
        service = await asyncio.to_thread(self._start)
        try:
            async with service.client(self._proxy.endpoint) as bay:
                files = SavedFiles(bay, self._trial)
                for number in range(max(1, self._trial.size // 20)):
                    service = await self._lose_session(bay, files, f"file-{number}", service)
                await files.compare()
        finally:
            await asyncio.to_thread(service.stop)

    async def _lose_session(
        self, bay: AsyncAgentBay, files: SavedFiles, name: str, service: ServiceProcess
    ) -> ServiceProcess:
        context = (await bay.context.create(name)).unwrap().id
        sync = ContextSync(context, _MOUNT)
        session = (await bay.create(CreateSessionParams(context_syncs=[sync]))).unwrap()
        chance = self._trial.random
        content = chance.randbytes(chance.randrange(1, 50_000)).hex()
        (await session.file_system.write_file(f"{_MOUNT}/{name}", content)).unwrap()
        if chance.random() < 0.3:
            # Saved already: a delete may say so, whatever happens to the service.
            await session.context.sync()
        races = chance.random() < 0.5
        deleting = asyncio.create_task(self._delete(bay, session)) if races else None
        await asyncio.sleep(chance.uniform(0, _RACE) if races else 0)
        await asyncio.to_thread(service.kill)
        service = await asyncio.to_thread(self._start)
        if await (deleting or self._delete(bay, session)):
            files.expect(context, name, content.encode())
        return service

    async def _delete(self, bay: AsyncAgentBay, session: AsyncSession) -> bool:
        """Delete a session with its files; return whether that was a success."""
        call: Any
        if self._trial.variant == "delete":
            call = session.delete(sync_context=True)
        else:
            call = bay.delete_many([session], sync_context=True).run()
        # The upload and the release are calls of their own, with several requests each.
        result = await self._trial.tally.timed(self._trial.variant, call, 5 * DEADLINE)
        return result is not None and bool(result.success)


KILL_START = Scenario("kill-start", kill_start)
KILL_BEFORE_DELETE = Scenario("kill-before-delete", kill_before_delete, ("delete", "delete_many"))
