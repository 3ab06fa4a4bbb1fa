"""Run programs against a service, and compare what is left with what they held."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.chaos.fork_server import ChildProcess
    from support.chaos.scenario import Trial

#: Seconds after the last signal, or the end of the loop, until a program has ended. The library
#: gives sessions that nobody holds 30 s.
ENDING = 30.0
_RUN_LABEL = "agentbay-run"
_CUT_OFF = re.compile(rf"of (\d+) creates that were cut off \(label {_RUN_LABEL}=(\w+)\)")
_LAST_LINE = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(.+)$", re.M)
# An exception that "was never retrieved" is judged by its traceback, which follows.
_COMPLAINTS = ("was never awaited", "was destroyed but it is pending")
# Python raises the second Ctrl-C between any two instructions, also where `async with` has called a
# method and is about to await it, or aiohttp has made the coroutine that sends a body, but no task
# of it. No library can prevent that, or is told of it.
_CUT_SHORT = re.compile(
    r"coroutine '([\w.]*\b__a(enter|exit)__|ClientRequest\.write_bytes)' was never awaited"
)
# What a program meets that is interrupted.
_INTERRUPTS = ("KeyboardInterrupt", "asyncio.exceptions.CancelledError", "SystemExit")


@contextmanager
def service() -> Iterator[LocalService]:
    """Run a service in which sessions run no commands."""
    with LocalService(isolation="none") as running:
        yield running


def start(trial: Trial, running: LocalService, **fields: object) -> ChildProcess:
    """Start a program that creates the sessions of a trial.

    Args:
        trial: The run; its variant begins with the flavour and the shape.
        running: The service.
        fields: More fields of :class:`support.chaos.programs.Job`.
    """
    flavour, shape = trial.variant.split()[:2]
    return trial.fork_server.start(
        trial.directory,
        "create_sessions",
        endpoint=running.endpoint,
        api_key=running.api_key,
        shape=shape,
        blocking=flavour == "blocking",
        count=trial.size,
        **fields,
    )


def settled(service: LocalService, readings: int = 5) -> dict[str, dict[str, str]]:
    """Return the labels of all living sessions by id, once no request is under way.

    The service goes on with requests whose client is gone.
    """
    end = time.monotonic() + 30
    seen: list[tuple[int, int]] = []
    living = service.living()
    while len(seen) < readings or len(set(seen[-readings:])) > 1:
        if time.monotonic() > end:
            raise RuntimeError("the service does not come to rest")
        time.sleep(0.02)  # polled: the service reports no end of a session
        living = service.living()
        seen.append((len(service.journal) + service.journal.dropped, len(living)))
    return living


def compare(trial: Trial, service: LocalService, child: ChildProcess, *, held: bool = True) -> None:
    """Record what a program that has ended left behind.

    Args:
        trial: The run.
        service: The service.
        child: The program.
        held: Whether the sessions that it was given must live on.
    """
    living, kept, errors = settled(service), set(child.words("held")), child.errors
    if held:
        vanished = [f"{one} is gone, but the program holds it" for one in kept - living.keys()]
        trial.tally.problems.extend(vanished)
    unheld = [one for one in living if one not in kept]
    unnamed = [one for one in unheld if one not in errors]
    # Of creates that were cut off, a warning names the label, because there are no ids.
    for count, run in _CUT_OFF.findall(errors):
        cut_off = [one for one in unnamed if living[one].get(_RUN_LABEL) == run]
        unnamed = [one for one in unnamed if one not in cut_off[: int(count)]]
    trial.tally.named += len(unheld) - len(unnamed)
    trial.tally.unheld.extend(f"{trial.variant}: {one}" for one in unnamed)
    for word in complaints(errors):
        trial.tally.untyped.append(f"{trial.variant}: {word}")


def complaints(errors: str) -> list[str]:
    """Return the errors in what a program wrote to stderr, except interrupts."""
    raised = [line for line in _LAST_LINE.findall(errors) if not line.startswith(_INTERRUPTS)]
    said = [line for line in errors.splitlines() if any(c in line for c in _COMPLAINTS)]
    return raised + [line for line in said if not _CUT_SHORT.search(line)]


def wait(trial: Trial, child: ChildProcess, since: float) -> None:
    """Wait for the end of a program that should end now; `since` is a ``time.monotonic``."""
    if child.wait(ENDING + 60) is None:
        trial.tally.problems.append(f"{trial.variant}: the program never ended")
        child.kill()
    trial.tally.note_time(trial.variant, time.monotonic() - since, ENDING)
