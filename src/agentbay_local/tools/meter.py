"""Rates of a session's resource use: two measurements and the time between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Consumption, Sandbox

__all__ = ["Meter"]


@attrs.frozen
class _Reading:
    """A measurement of a sandbox, and its time on the monotonic clock."""

    sandbox: Sandbox
    time: float
    consumption: Consumption


class Meter:
    """Turns totals into rates since the last reading.

    The rates are 0 for the first reading of a sandbox, also when a session's sandbox was restarted.
    """

    def __init__(self) -> None:
        self._last: _Reading | None = None

    def rates(
        self, sandbox: Sandbox, time: float, consumption: Consumption
    ) -> tuple[float, float, float]:
        """Return processor seconds, received bytes and sent bytes, each per second."""
        last, self._last = self._last, _Reading(sandbox, time, consumption)
        if last is None or last.sandbox is not sandbox or time <= last.time:
            return 0.0, 0.0, 0.0
        past, seconds = last.consumption, time - last.time
        # A total can shrink: a process that nobody waits for takes its time with it.
        return (
            max(consumption.cpu_seconds - past.cpu_seconds, 0) / seconds,
            max(consumption.received_bytes - past.received_bytes, 0) / seconds,
            max(consumption.sent_bytes - past.sent_bytes, 0) / seconds,
        )
