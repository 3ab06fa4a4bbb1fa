"""All chaos scenarios, and the way to run them."""

from __future__ import annotations

import itertools
import logging
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.chaos.damage import DAMAGE_STATE
from support.chaos.disk import FILL_DISK
from support.chaos.freeze import FREEZE_SERVICE
from support.chaos.kills import KILL_BEFORE_DELETE, KILL_START
from support.chaos.leaving import CLOSE_MEANWHILE, LEAVE_EARLY
from support.chaos.network import DELIVER_TWICE, LIST_NO_TASKS
from support.chaos.scenario import Tally, Trial, UnavailableError
from support.chaos.signals import DOUBLE_SIGNALS
from support.chaos.storm import STORM

if TYPE_CHECKING:
    from support.chaos.fork_server import ForkServer
    from support.chaos.scenario import Scenario

logger = logging.getLogger(__name__)

#: Every scenario, by name.
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        STORM,
        DOUBLE_SIGNALS,
        LEAVE_EARLY,
        CLOSE_MEANWHILE,
        DELIVER_TWICE,
        LIST_NO_TASKS,
        KILL_BEFORE_DELETE,
        KILL_START,
        FREEZE_SERVICE,
        FILL_DISK,
        DAMAGE_STATE,
    )
}


def run_scenario(
    scenario: Scenario,
    fork_server: ForkServer,
    *,
    seed: int,
    seconds: float = 0.0,
    variants: tuple[str, ...] = (),
    **options: Any,
) -> Tally:
    """Run the variants of a scenario in turns, each at least once, and return the losses.

    Args:
        scenario: The scenario.
        fork_server: Starts its child processes.
        seed: Determines its decisions.
        seconds: No run starts after that.
        variants: Only these.
        options: Fields of `Trial`.
    """
    tally = Tally()
    names = variants or scenario.variants
    end = time.monotonic() + seconds
    for number in itertools.count():
        if number >= len(names) and time.monotonic() >= end:
            return tally
        with tempfile.TemporaryDirectory(prefix="agentbay-chaos-") as directory:
            trial = Trial(
                names[number % len(names)],
                random.Random(f"{seed}-{scenario.name}-{number}"),
                seed,
                Path(directory),
                fork_server,
                tally,
                seconds=seconds,
                **options,
            )
            try:
                scenario.run(trial)
            except UnavailableError as error:
                tally.skipped = str(error)
                return tally
            except Exception as error:
                logger.debug("%s failed", scenario.name, exc_info=True)
                tally.problems.append(f"{trial.variant}: the scenario did not end: {error!r}")
            finally:
                fork_server.kill_all()
        tally.runs += 1
    raise AssertionError  # the numbers never end
