"""A local AgentBay service: the same wire protocol, with real sandboxes on this machine.

Names are imported when they are first used: the plugin for pytest is in this package, and must not
cost the test runs of others anything.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Isolation, Limits
    from agentbay_local.service import LocalService
    from agentbay_local.testing.fault_actions import (
        Delay,
        Drop,
        Effect,
        ExpireToken,
        Fail,
        FailTask,
        Garbage,
        Lag,
        Slow,
        StickTask,
        Throttle,
        Truncate,
    )
    from agentbay_local.testing.faults import Call, Fault, Faults
    from agentbay_local.testing.journal import Entry, Journal
    from agentbay_local.testing.manual_clock import ManualClock
    from agentbay_local.testing.quotas import Quotas
    from agentbay_local.testing.seeding import Seeded
    from agentbay_local.testing.transitions import Transitions

__all__ = [
    "Call",
    "Delay",
    "Drop",
    "Effect",
    "Entry",
    "ExpireToken",
    "Fail",
    "FailTask",
    "Fault",
    "Faults",
    "Garbage",
    "Isolation",
    "Journal",
    "Lag",
    "Limits",
    "LocalService",
    "ManualClock",
    "Quotas",
    "Seeded",
    "Slow",
    "StickTask",
    "Throttle",
    "Transitions",
    "Truncate",
]

_HOMES = {
    "testing.fault_actions": "Delay Drop Effect ExpireToken Fail FailTask Garbage Lag Slow"
    " StickTask Throttle Truncate",
    "testing.faults": "Call Fault Faults",
    "testing.seeding": "Seeded",
    "testing.journal": "Entry Journal",
    "testing.quotas": "Quotas",
    "testing.manual_clock": "ManualClock",
    "testing.transitions": "Transitions",
    "sandbox.base": "Isolation Limits",
    "service": "LocalService",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not by the helper of agentbay_async: importing that here would come before a measurement of
    # coverage that the same test run wants to begin.
    value: object = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
