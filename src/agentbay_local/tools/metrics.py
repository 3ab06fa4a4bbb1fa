"""The tool ``get_metrics``: resource use of a session, and its limits."""

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


async def get_metrics(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the numbers of this session alone.

    Totals are the limits of the session, or the size of the machine where that is less.
    """
    del arguments
    consumption = await context.sandbox.consumption()
    rates = context.state.meter.rates(context.sandbox, time.monotonic(), consumption)
    return compact_json(_format_metrics(consumption, *rates))


def _format_metrics(
    consumption: Consumption, cpu_rate: float, receive_rate: float, send_rate: float
) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    return {
        "cpu_count": cores,
        "cpu_used_pct": round(100 * cpu_rate / cores, 2),
        "mem_total": consumption.memory_most,
        "mem_used": consumption.memory_bytes,
        "disk_total": consumption.disk_most,
        "disk_used": consumption.disk_bytes,
        "files_total": consumption.files_most,
        "files_used": consumption.files,
        "enforced_by_kernel": sorted(consumption.enforced),
        "rx_rate_kbyte_per_s": round(receive_rate / 1024, 3),
        "tx_rate_kbyte_per_s": round(send_rate / 1024, 3),
        "rx_used_kbyte": round(consumption.received_bytes / 1024, 3),
        "tx_used_kbyte": round(consumption.sent_bytes / 1024, 3),
        "timestamp": iso(time.time()),
    }
