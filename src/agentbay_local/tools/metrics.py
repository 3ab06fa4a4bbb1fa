"""The tool ``get_metrics``: what a session takes, beside what it may take."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json
from agentbay_local.clock import iso

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.sandbox.base import Consumption
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["get_metrics"]


async def get_metrics(place: ToolContext, arguments: Arguments) -> str:
    """Answer with numbers of this session alone.

    Totals are what it is limited to, or what the machine has where that is less.
    """
    del arguments
    found = await place.sandbox.consumption()
    rates = place.memory.meter.rates(place.sandbox, time.monotonic(), found)
    return compact_json(_numbers(found, rates))


def _numbers(found: Consumption, rates: tuple[float, ...]) -> dict[str, Any]:
    busy, received, sent = rates
    cores = len(os.sched_getaffinity(0))
    return {
        "cpu_count": cores,
        "cpu_used_pct": round(100 * busy / cores, 2),
        "mem_total": found.memory_most,
        "mem_used": found.memory_bytes,
        "disk_total": found.disk_most,
        "disk_used": found.disk_bytes,
        "rx_rate_kbyte_per_s": round(received / 1024, 3),
        "tx_rate_kbyte_per_s": round(sent / 1024, 3),
        "rx_used_kbyte": round(found.received_bytes / 1024, 3),
        "tx_used_kbyte": round(found.sent_bytes / 1024, 3),
        "timestamp": iso(time.time()),
    }
