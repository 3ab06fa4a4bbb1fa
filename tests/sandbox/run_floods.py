"""Flood run: start each flood in a session of its own beside another, and print what happened.

Run in a separate process, like `run_attacks`, with the same arguments: a directory, the user to
become (0 stays who one is), and the level of isolation. Then "kernel", to use the control groups of
the machine, or "watched", to do without; and the floods, or nothing for all. `bench_floods.py` runs
it too.
"""

# ruff: noqa: T201 - the outcomes are printed for the test that started this program
from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agentbay_local.sandbox.outbound.proxy  # noqa: F401 - loaded now: later a user may not reach it
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.cgroups.detection import NO_CGROUPS, detect
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host import programs
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.probe import backend_for

from .floods import FLOODS, LIMITS
from .run_attacks import become

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHIN = 60.0
SAMPLE_EVERY = 0.01


async def run_flood(sandbox: Sandbox, name: str, watched: bool) -> str:
    """Run a flood; return its output and the reason of its end."""
    # What is checked from outside has to last until the next check.
    hold = watched or FLOODS[name].is_watched
    python = str(programs.find_interpreter().program)
    command = [python, "-c", FLOODS[name].program(), *(["hold"] if hold else [])]
    try:
        done = await sandbox.run(command, timeout=WITHIN)
    except SandboxError as error:
        return str(error)
    told = done.stdout + done.stderr[-500:]
    return f"{told.decode()}{done.excess}" + (" (timed out)" if done.timed_out else "")


async def sample_peak(sandbox: Sandbox, peak: dict[str, int]) -> None:
    """Record the most that a session takes, until it ends or this is cancelled."""
    with contextlib.suppress(SandboxError):
        while True:
            now = await sandbox.consumption()
            for name in peak:
                peak[name] = max(peak[name], getattr(now, name))
            await asyncio.sleep(SAMPLE_EVERY)


async def works(sandbox: Sandbox) -> bool:
    """Return whether a session can be used and has exceeded nothing by that."""
    try:
        done = await sandbox.run("echo well", timeout=WITHIN)
    except SandboxError:
        return False
    return done.stdout == b"well\n" and not done.excess


async def run_floods(
    place: Path, backend: Backend, watched: bool, chosen: Sequence[str]
) -> dict[str, Any]:
    """Run floods, each in a session of its own."""
    outcomes = {}
    other = SandboxSpec(place / "other", private_uid(f"{place}/other"), LIMITS)
    async with await backend.start(other) as neighbour:
        for name in chosen:
            spec = SandboxSpec(place / name, private_uid(f"{place}/{name}"), LIMITS)
            async with await backend.start(spec) as sandbox:
                peak = dict.fromkeys(("memory_bytes", "disk_bytes", "files"), 0)
                sampling = asyncio.create_task(sample_peak(sandbox, peak))
                told = await run_flood(sandbox, name, watched)
                sampling.cancel()
                await asyncio.wait([sampling])
                goes_on = await works(sandbox)
            others_go_on = await works(neighbour) and not neighbour.excess
            outcomes[name] = {
                "told": told,
                "goes_on": goes_on,
                "others_go_on": others_go_on,
                "peak": peak,
            }
    await backend.close()
    return outcomes


def main() -> None:
    """Print the outcome of each flood."""
    place, level = Path(sys.argv[1]), Isolation(sys.argv[3])
    become(int(sys.argv[2]), level)
    watched = sys.argv[4] == "watched"
    cgroups = NO_CGROUPS if watched else detect()
    backend = backend_for(level, cgroups=cgroups)
    chosen = sys.argv[5:] or list(FLOODS)
    print(json.dumps(asyncio.run(run_floods(place, backend, watched, chosen))))


if __name__ == "__main__":
    main()
