"""The test controls of one service; they outlive its restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_local.testing.fault_file import FaultFile
from agentbay_local.testing.faults import Faults
from agentbay_local.testing.journal import Journal
from agentbay_local.testing.quotas import Quotas
from agentbay_local.testing.transitions import Transitions

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from agentbay_local.clock import Clock

__all__ = ["Instruments"]


@attrs.frozen
class Instruments:
    """The test controls of a service.

    Attributes:
        clock: The clock of the service.
        faults: Rules for requests that go wrong.
        journal: The requests and their outcomes.
        quotas: Limits of the service.
        transitions: The duration of state changes.
        fault_file: The file that some rules of `faults` come from, or None.
    """

    clock: Clock
    faults: Faults
    journal: Journal
    quotas: Quotas
    transitions: Transitions
    fault_file: FaultFile | None

    @classmethod
    def create(cls, clock: Clock, fault_file: Path | None = None) -> Self:
        """Create the instruments of a service."""
        faults = Faults()
        file = FaultFile(fault_file, faults) if fault_file else None
        if file is not None:
            faults.refresh_with(file.refresh)
        return cls(clock, faults, Journal(), Quotas(), Transitions(clock), file)

    def reset(self) -> None:
        """Clear faults and journal; return quotas and transitions to their defaults."""
        if self.fault_file is not None:
            self.fault_file.reset()
        self.faults.clear()
        self.journal.clear()
        self.quotas.reset()
        self.transitions.reset()
