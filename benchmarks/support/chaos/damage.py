"""A damaged state file: no file of a context is lost, and the damage is reported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from support.chaos.saved_files import SavedFiles
from support.chaos.scenario import PARAMS, Scenario
from support.chaos.service_process import DEADLINE, ServiceProcess

if TYPE_CHECKING:
    from pathlib import Path

    from support.chaos.scenario import Trial

_PAGE = 4096


def damage_state(trial: Trial) -> None:
    """Damage the state of a service that is stopped or killed, and start it again."""
    asyncio.run(_DamagedState(trial, trial.directory / "home").run())


@attrs.define
class _DamagedState:
    trial: Trial
    home: Path

    async def run(self) -> None:
        """Store files, damage the state, and start; if that fails, follow the advice."""
        service = await asyncio.to_thread(ServiceProcess, self.trial, self.home)
        async with service.client() as bay:
            files = SavedFiles(bay, self.trial)
            await self._store(files)
        await asyncio.to_thread(service.kill if self.trial.random.random() < 0.5 else service.stop)
        self._spoil(self.home / "state.db")
        service = await asyncio.to_thread(ServiceProcess, self.trial, self.home, may_fail=True)
        if service.status is not None:
            self._check_refusal(service)
            files.compare_home(self.home)
            for path in self.home.glob("state.db*"):
                path.rename(path.with_name(f"old-{path.name}"))
            service = await asyncio.to_thread(ServiceProcess, self.trial, self.home)
        await self._check_start(service, files)

    async def _store(self, files: SavedFiles) -> None:
        chance = self.trial.random
        for number in range(max(3, self.trial.size // 5)):
            context = (await files.bay.context.create(f"context-{number}")).unwrap().id
            content = chance.randbytes(chance.randrange(1, 20_000))
            (await files.bay.context.upload_file(context, "file", content)).unwrap()
            files.expect(context, "file", content)
        (await files.bay.create_many(PARAMS, 3)).raise_for_failures()

    def _spoil(self, file: Path) -> None:
        size = file.stat().st_size
        match self.trial.variant:
            case "empty":
                file.write_bytes(b"")
            case "missing":
                file.unlink()
            case "truncated":
                with file.open("r+b") as stream:
                    stream.truncate(self.trial.random.randrange(1, max(2, size)))
            case _:
                page = self.trial.random.randrange(max(1, size // _PAGE))
                with file.open("r+b") as stream:
                    stream.seek(page * _PAGE)
                    stream.write(self.trial.random.randbytes(_PAGE))

    def _check_refusal(self, service: ServiceProcess) -> None:
        if service.status != 2 or "state.db" not in service.log or "Traceback" in service.log:
            reason = f"exit code {service.status}: {service.log[-500:]}"
            self.trial.tally.problems.append(f"{self.trial.variant}: no clear refusal: {reason}")

    async def _check_start(self, service: ServiceProcess, files: SavedFiles) -> None:
        """Check that the files are in their contexts, or set aside with a warning."""
        tally = self.trial.tally
        async with service.client() as bay:
            known = {context.id async for context in bay.context.iterate()}
            created = await tally.timed("create", bay.create(), DEADLINE)
        if files.contexts - known and "lost+found" not in service.log:
            tally.problems.append(f"{self.trial.variant}: contexts are gone without a word")
        if created is None or not created.success:
            tally.problems.append(f"{self.trial.variant}: it creates no session")
        await asyncio.to_thread(service.stop)
        files.compare_home(self.home)


DAMAGE_STATE = Scenario("damage-state", damage_state, ("empty", "page", "truncated", "missing"))
