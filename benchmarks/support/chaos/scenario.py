"""A chaos scenario: it does damage with a seeded random generator, and records what was lost."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import attrs

from agentbay_async import AgentBayError, CreateSessionParams, LifecyclePolicy

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from support.chaos.fork_server import ForkServer

T = TypeVar("T")

#: Sessions that only a delete ends, so that no lifetime hides a leak.
PARAMS = CreateSessionParams(lifecycle_policy=LifecyclePolicy(manual_release=True))
#: Seconds past its deadline after which a call is given up, and counts as one that never ends.
HANG = 60.0
#: Seconds by which a call may miss its deadline on a busy machine.
TOLERANCE = 1.0


class UnavailableError(Exception):
    """This machine or this user cannot run the scenario; the message says why."""


@attrs.define
class Tally:
    """The losses of one scenario.

    Attributes:
        runs: How many runs there were.
        unheld: Sessions that are left, that the program neither holds nor deleted, and that no
            warning names.
        named: How many sessions are left that nobody holds, and that a warning names.
        bytes_lost: Bytes that are gone although an answer said that they were saved.
        past_deadline: Seconds by which the slowest call missed its deadline.
        untyped: Errors that are not errors of the library.
        problems: Whatever else must not happen: processes and mounts left, damage not reported.
        skipped: Why the scenario cannot run here, or ``""``.
        notes: Lines for the reader.
    """

    runs: int = 0
    unheld: list[str] = attrs.field(factory=list)
    named: int = 0
    bytes_lost: int = 0
    past_deadline: float = 0.0
    untyped: list[str] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    skipped: str = ""
    notes: list[str] = attrs.field(factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, nothing was late and nothing else was wrong."""
        lost = self.unheld or self.bytes_lost or self.past_deadline > TOLERANCE
        return not (lost or self.untyped or self.problems)

    def note_time(self, what: str, seconds: float, deadline: float) -> None:
        """Record that something took `seconds`, and should have taken at most `deadline`."""
        late = max(0.0, seconds - deadline)
        if late > TOLERANCE:
            self.problems.append(f"{what} ended {late:.1f} s after its deadline")
        self.past_deadline = max(self.past_deadline, late)

    async def timed(self, what: str, call: Awaitable[T], deadline: float) -> T | None:
        """Await a call; record how late it ended, and an error that is not the library's.

        Returns:
            What the call returned, or ``None`` if it failed or never ended.
        """
        began = time.monotonic()
        task = asyncio.ensure_future(call)
        await asyncio.wait([task], timeout=deadline + HANG)
        if not task.done():
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            self.problems.append(f"{what} never ended")
        except AgentBayError:
            pass
        except Exception as error:
            self.untyped.append(f"{what}: {error!r}")
        finally:
            self.note_time(what, time.monotonic() - began, deadline)
        return None


@attrs.frozen
class Trial:
    """One run of a scenario.

    Attributes:
        variant: Which variant of the scenario.
        random: The source of all decisions.
        seed: A number from which it was seeded.
        directory: An empty directory, removed after the run.
        fork_server: Starts child processes.
        tally: Where the losses are recorded.
        isolation: Of the sessions; see `LocalService`.
        size: How many sessions a bulk run creates; other amounts follow from it.
        seconds: How long a scenario without a natural end lasts.
        workers: Workers of the storm.
        speed: How many times faster the clock of the storm runs.
    """

    variant: str
    random: random.Random
    seed: int
    directory: Path
    fork_server: ForkServer
    tally: Tally
    isolation: str = "namespaces"
    size: int = 60
    seconds: float = 10.0
    workers: int = 32
    speed: float = 20.0


@attrs.frozen
class Scenario:
    """A kind of damage.

    Attributes:
        name: Its name on the command line.
        run: Does it once.
        variants: What a run may be told to do; they take turns.
    """

    name: str
    run: Callable[[Trial], None]
    variants: tuple[str, ...] = ("",)
