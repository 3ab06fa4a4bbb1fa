"""Bulk runs that are left early, and clients that are closed while they create."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentbay_local import Delay
from support.chaos.programs import LEAVES
from support.chaos.scenario import Scenario
from support.chaos.sessions_left import compare, service, start, wait

if TYPE_CHECKING:
    from support.chaos.scenario import Trial

_LATENCY = 0.05


def leave_early(trial: Trial) -> None:
    """Leave a loop over a run, then close the client."""
    leave = trial.variant.split()[2]
    after = trial.random.randrange(trial.size // 2)
    # `wait_for` ends the loop at a moment, the others after an outcome.
    seconds = trial.random.uniform(0.01, 0.5)
    _run(trial, leave=leave, after=after, seconds=seconds)


def close_meanwhile(trial: Trial) -> None:
    """Close a client while tasks or threads create with it."""
    _run(trial, seconds=trial.random.uniform(0, 0.5))


def _run(trial: Trial, **fields: object) -> None:
    shape = trial.variant.split()[1]
    with service() as running:
        running.faults.add(Delay(trial.random.uniform(0, _LATENCY)), "CreateMcpSession")
        child = start(trial, running, **fields)
        wait(trial, child, time.monotonic())
        compare(trial, running, child, held=shape not in ("block", "mapped"))


LEAVE_EARLY = Scenario(
    "leave-early",
    leave_early,
    tuple(
        f"{flavour} {shape} {leave}"
        for shape in ("iterated", "block", "mapped")
        for flavour, leaves in (("async", (*LEAVES, "wait_for")), ("blocking", LEAVES))
        for leave in leaves
    ),
)
CLOSE_MEANWHILE = Scenario(
    "close-meanwhile",
    close_meanwhile,
    tuple(
        f"{flavour} {shape}"
        for shape in ("creates", "abandoned")
        for flavour in ("async", "blocking")
    ),
)
