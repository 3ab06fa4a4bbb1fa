"""The chaos scenarios of ``benchmarks``, and the process that forks their children."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def registry() -> Iterator[Any]:
    """Give the scenarios, and unload the ``support`` package afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(_BENCHMARKS))
        # The machine may be busy: only a call that hangs is a failure here.
        patch.setattr("support.chaos.scenario.TOLERANCE", 30.0)
        yield importlib.import_module("support.chaos.registry")
        for name in [
            name for name in sys.modules if name.partition(".")[0] in ("chaos", "support")
        ]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def fork_server(registry: Any) -> Iterator[Any]:
    """Give what starts the child processes of scenarios."""
    with importlib.import_module("support.chaos.fork_server").ForkServer() as server:
        yield server
