"""Each chaos scenario once, small and with a fixed seed; `benchmarks/chaos.py` runs them longer."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

import pytest

from agentbay_local.sandbox.base import Isolation
from agentbay_local.sandbox.probe import probe

_SEED = 1
_SIZE = 20
# Not every variant of a scenario that has very many, or that waits for long.
_PART = {"leave-early": slice(None, None, 2), "freeze-service": slice(1)}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture(scope="module")
def isolation() -> str:
    """Give the isolation of users if this machine has it, and plain processes otherwise."""
    available = asyncio.run(probe(Isolation.NAMESPACES)).available
    return "namespaces" if available else "none"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "double-signals",
        "leave-early",
        "deliver-twice",
        "close-meanwhile",
        "list-no-tasks",
        "kill-before-delete",
        "kill-start",
        "freeze-service",
        "fill-disk",
        "damage-state",
    ],
)
def test_nothing_is_lost(registry: Any, fork_server: Any, isolation: str, name: str) -> None:
    """No session nobody knows of, no byte, no call past its deadline, no error without a type."""
    scenario = registry.SCENARIOS[name]
    variants = scenario.variants[_PART.get(name, slice(None))]
    tally = registry.run_scenario(
        scenario, fork_server, seed=_SEED, size=_SIZE, isolation=isolation, variants=variants
    )
    if tally.skipped:
        pytest.skip(tally.skipped)
    assert tally.ok, tally
    assert tally.runs == len(variants)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_when_everything_goes_wrong(registry: Any, seed: int) -> None:
    """No session leaked or doubled, no byte or label lost, nothing hung, every error typed."""
    storm = importlib.import_module("support.chaos.storm")
    findings = storm.storm(3.0, seed, workers=16, isolation="none", speed=60)
    assert findings.ok, storm.report(findings)
    assert findings.counts["create: ok"] >= 5, storm.report(findings)


def test_claim_excludes_impossible_values(registry: Any) -> None:
    """A failed change may hold as well; a cancelled one even after a later one."""
    claim = importlib.import_module("support.chaos.storm_findings").Claim()
    claim.failed("a")
    assert not claim.excludes(None)
    claim.acknowledged("b")
    assert claim.excludes("a")
    assert claim.excludes(None)
    claim.cancelled("c")
    claim.acknowledged("d")
    assert not claim.excludes("c")
    assert claim.excludes("b")
