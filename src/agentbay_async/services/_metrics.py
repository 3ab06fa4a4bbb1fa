"""Metrics of a session's machine: CPU, memory, disk and network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from agentbay_async.models.tools import SessionMetrics, SessionMetricsResult
from agentbay_async.services._tool_calls import call_tool, read_json_object

if TYPE_CHECKING:
    from agentbay_async._api import Api

_INTEGERS = ("cpu_count", "mem_total", "mem_used", "disk_total", "disk_used")
# Names of a metric, in order of preference: images spell some of them differently.
_RATES = {
    "cpu_used_pct": (),
    "rx_rate_kbyte_per_s": ("rx_rate_kbps", "rx_rate_KBps"),
    "tx_rate_kbyte_per_s": ("tx_rate_kbps", "tx_rate_KBps"),
    "rx_used_kbyte": ("rx_used_kb", "rx_used_KB"),
    "tx_used_kbyte": ("tx_used_kb", "tx_used_KB"),
}


async def get_metrics(api: Api, session_id: str, timeout: float | None) -> SessionMetricsResult:
    """Return the metrics of a session.

    Raises:
        BadAnswerError: The answer is not a JSON object.
    """
    answer = await call_tool(api, session_id, "get_metrics", {}, timeout)
    metrics = _read_metrics(read_json_object(answer, "get_metrics"))
    return SessionMetricsResult.ok(metrics, answer.request_id)


def _read_metrics(document: dict[str, Any]) -> SessionMetrics:
    integers = {name: _as_int(_read_number(document, name)) for name in _INTEGERS}
    rates = {name: _read_number(document, name, *aliases) for name, aliases in _RATES.items()}
    # Typed as Any, because mypy cannot match the keys with the fields of the class.
    fields: dict[str, Any] = {**integers, **rates}
    return SessionMetrics(**fields, timestamp=str(document.get("timestamp") or ""), raw=document)


def _as_int(value: float | None) -> int | None:
    return None if value is None else int(value)


def _read_number(document: dict[str, Any], *names: str) -> float | None:
    """Return the first value under `names` that is a finite number, or ``None``."""
    for name in names:
        try:
            value = float(document[name])
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if math.isfinite(value):
            return value
    return None
