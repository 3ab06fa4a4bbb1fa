"""What a session takes, as a rate: two measurements of its sandbox, and the time between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Consumption, Sandbox

__all__ = ["Meter"]


@attrs.frozen
class _Reading:
    """A measurement, and when it was made, on the monotonic clock."""

    moment: float
    found: Consumption


class Meter:
    """Turns what a session has taken so far into what it takes a second.

    Rates are those of the time since the last reading; a first one, and one of a sandbox that was
    started anew, has nothing to compare with and says 0.
    """

    def __init__(self) -> None:
        self._last: tuple[Sandbox, _Reading] | None = None

    def rates(self, sandbox: Sandbox, moment: float, found: Consumption) -> tuple[float, ...]:
        """Return seconds of processor time, bytes received and bytes sent, each per second."""
        before, self._last = self._last, (sandbox, _Reading(moment, found))
        if before is None or before[0] is not sandbox or moment <= before[1].moment:
            return 0.0, 0.0, 0.0
        past, passed = before[1].found, moment - before[1].moment
        grown = (
            found.cpu_seconds - past.cpu_seconds,
            found.received_bytes - past.received_bytes,
            found.sent_bytes - past.sent_bytes,
        )
        # Processes that end without being waited for take their time with them.
        return tuple(max(growth, 0) / passed for growth in grown)
