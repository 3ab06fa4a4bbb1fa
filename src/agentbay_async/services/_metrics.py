"""How busy a session's machine is; images spell some of the numbers in other ways."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from agentbay_async.errors import BadAnswerError
from agentbay_async.models.tools import SessionMetrics, SessionMetricsResult
from agentbay_async.services._tool_calls import call_tool

if TYPE_CHECKING:
    from agentbay_async._api import Api

_INTEGERS = ("cpu_count", "mem_total", "mem_used", "disk_total", "disk_used")
_RATES = {
    "cpu_used_pct": (),
    "rx_rate_kbyte_per_s": ("rx_rate_kbps", "rx_rate_KBps"),
    "tx_rate_kbyte_per_s": ("tx_rate_kbps", "tx_rate_KBps"),
    "rx_used_kbyte": ("rx_used_kb", "rx_used_KB"),
    "tx_used_kbyte": ("tx_used_kb", "tx_used_KB"),
}


async def get_metrics(api: Api, session_id: str, timeout: float | None) -> SessionMetricsResult:
    """Return the numbers of a session.

    Raises:
        BadAnswerError: The answer is no JSON object.
    """
    answer = await call_tool(api, session_id, "get_metrics", {}, timeout)
    try:
        document = json.loads(answer.data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadAnswerError("get_metrics: no JSON object", request_id=answer.request_id)
    return SessionMetricsResult.ok(_metrics(document), answer.request_id)


def _metrics(document: dict[str, Any]) -> SessionMetrics:
    integers = {name: _whole(_number(document, name)) for name in _INTEGERS}
    rates = {name: _number(document, name, *aliases) for name, aliases in _RATES.items()}
    # The keys are the names of fields, each with the type of its table.
    fields: dict[str, Any] = {**integers, **rates}
    return SessionMetrics(**fields, timestamp=str(document.get("timestamp") or ""))


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _number(document: dict[str, Any], *names: str) -> float | None:
    """Return the first of some values that is a number; ``None`` if none of them is."""
    for name in names:
        try:
            value = float(document[name])
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if math.isfinite(value):
            return value
    return None
