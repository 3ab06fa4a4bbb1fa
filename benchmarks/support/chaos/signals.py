"""Ctrl-C twice, at random moments of bulk runs."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from agentbay_local import Delay, Fail, LocalService
from support.chaos.scenario import Scenario
from support.chaos.sessions_left import compare, service, start, wait

if TYPE_CHECKING:
    from support.chaos.fork_server import ChildProcess
    from support.chaos.scenario import Trial

_SHAPES = ("awaited", "iterated", "block", "mapped", "roll_back")
# Seconds that a create and a delete take at most, so that signals find some under way.
_LATENCY = 0.1


def double_signals(trial: Trial) -> None:
    """Interrupt a program, and interrupt it again while it cleans up."""
    shape = trial.variant.split()[1]
    with service() as running:
        for action in ("CreateMcpSession", "DeleteSessionAsync"):
            running.faults.add(Delay(trial.random.uniform(0, _LATENCY)), action)
        if shape == "roll_back":
            failing = trial.random.randrange(trial.size // 2, trial.size)
            running.faults.add(Fail("InvalidParameter", 400), "CreateMcpSession", nth=failing)
        child = start(trial, running, close=trial.random.random() < 0.5)
        _interrupt(trial, running, child)
        wait(trial, child, time.monotonic())
        compare(trial, running, child, held=shape in ("awaited", "iterated"))


def _interrupt(trial: Trial, running: LocalService, child: ChildProcess) -> None:
    """Send the first signal after some requests, and the others soon afterwards."""
    goal = trial.random.randrange(1, trial.size)
    while len(running.journal) < goal and child.status is None:
        time.sleep(0.002)  # polled: the child writes progress to a file
    for _ in range(trial.random.choice((2, 2, 2, 3))):
        child.signal(signal.SIGINT)
        time.sleep(trial.random.expovariate(5))  # the random moment of the second signal


DOUBLE_SIGNALS = Scenario(
    "double-signals",
    double_signals,
    tuple(f"{flavour} {shape}" for shape in _SHAPES for flavour in ("async", "blocking")),
)
