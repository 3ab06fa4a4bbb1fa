"""A short chaos test with faults and cancels; `benchmarks/chaos.py` runs it for minutes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the benchmark as a module, and unload its ``support`` package afterwards."""
    monkeypatch.syspath_prepend(str(_BENCHMARKS))
    yield importlib.import_module("chaos")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("chaos", "support")]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_when_everything_goes_wrong(chaos: Any, seed: int) -> None:
    """No session leaked or doubled, no byte or label lost, nothing hung, every error typed."""
    findings = chaos.storm(3.0, seed, workers=16, isolation="none", speed=60)
    assert findings.ok, chaos.report(findings)
    assert findings.counts["create: ok"] >= 5, chaos.report(findings)


def test_claim_excludes_impossible_values(chaos: Any) -> None:
    """A failed change may hold as well; a cancelled one even after a later one."""
    claim = importlib.import_module("support.expectations").Claim()
    claim.failed("a")
    assert not claim.excludes(None)
    claim.acknowledged("b")
    assert claim.excludes("a")
    assert claim.excludes(None)
    claim.cancelled("c")
    claim.acknowledged("d")
    assert not claim.excludes("c")
    assert claim.excludes("b")
