"""Metrics of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.sandbox.base import Consumption
from agentbay_local.tools.meter import Meter

if TYPE_CHECKING:
    from tests.local.conftest import Api


TALK = (
    'import socket; end = socket.create_server(("127.0.0.1", 0)); '
    "line = socket.create_connection(end.getsockname()); line.sendall(bytes(50000))"
)


async def metrics(api: Api, session: str) -> dict[str, Any]:
    """Return the metrics."""
    is_error, text = await api.tool(session, "get_metrics")
    assert not is_error, text
    numbers: dict[str, Any] = json.loads(text)
    return numbers


@pytest.mark.usefixtures("sandboxed")
async def test_memory_and_disk_are_those_of_the_session(api: Api) -> None:
    """Other sessions do not count."""
    session, other = await api.session(), await api.session()
    idle, elsewhere = await metrics(api, session), await metrics(api, other)
    await api.sh(session, "head -c 20000000 /dev/zero > zeros; sync zeros")
    hold = "x = bytearray(50_000_000); open('ready', 'w').close(); import time; time.sleep(600)"
    await api.sh(session, f'nohup python3 -c "{hold}" > /dev/null 2>&1 &')

    async def held() -> bool:
        return await api.sh(session, "ls") == "ready\nzeros\n"

    await api.until(held)
    busy = await metrics(api, session)
    assert busy["mem_used"] - idle["mem_used"] > 50_000_000
    assert 20_000_000 <= busy["disk_used"] - idle["disk_used"] < 30_000_000
    assert (await metrics(api, other))["disk_used"] == elsewhere["disk_used"]
    assert (await metrics(api, other))["mem_used"] < 20_000_000
    assert busy["mem_used"] < busy["mem_total"] <= 4 * 1024**3
    assert busy["disk_used"] < busy["disk_total"] <= 10 * 1024**3


@pytest.mark.usefixtures("sandboxed")
async def test_processor_time_is_a_share_of_the_machine(api: Api) -> None:
    """Also of a finished command; traffic inside the session does not count."""
    session = await api.session()
    first = await metrics(api, session)
    await api.sh(session, "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
    await api.sh(session, f"python3 -c '{TALK}'")
    second = await metrics(api, session)
    assert first["cpu_used_pct"] == 0
    assert 1 < second["cpu_used_pct"] <= 110
    assert second["cpu_count"] >= 1
    assert (second["rx_used_kbyte"], second["tx_rate_kbyte_per_s"]) == (0, 0)
    assert second["timestamp"].endswith("Z")


def consumption(cpu: float, received: int = 0, sent: int = 0) -> Consumption:
    """Return a measurement."""
    return Consumption(1, 2, 3, 4, cpu_seconds=cpu, received_bytes=received, sent_bytes=sent)


def test_rates_are_averages_between_two_readings() -> None:
    """For all three rates."""
    meter = Meter()
    sandbox: Any = object()
    assert meter.rates(sandbox, 10, consumption(5, 1000, 100)) == (0, 0, 0)
    assert meter.rates(sandbox, 14, consumption(7, 5000, 300)) == (0.5, 1000, 50)


def test_a_restarted_sandbox_has_no_rates_at_first() -> None:
    """Its totals start at zero, which is not negative use."""
    meter = Meter()
    before: Any = object()
    anew: Any = object()
    meter.rates(before, 10, consumption(5))
    assert meter.rates(anew, 11, consumption(1)) == (0, 0, 0)
    assert meter.rates(anew, 12, consumption(0.5)) == (0, 0, 0)
