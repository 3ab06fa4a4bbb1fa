"""Long work on the loop rests between its steps."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from agentbay_local.sandbox.host.turns import STEP, Turns

if TYPE_CHECKING:
    import pytest


async def test_work_rests_once_it_has_taken_its_time() -> None:
    """Others run meanwhile."""
    turns, others = Turns(), asyncio.Event()
    asyncio.get_running_loop().call_soon(others.set)
    await turns.rest_if_due()
    until = time.perf_counter() + STEP
    while time.perf_counter() < until:
        pass
    await turns.rest_if_due()

    assert others.is_set()


async def test_waiting_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a kernel is silent, its next message is handled at once."""
    now = [0.0]
    # A clock of its own: a busy machine takes this test's time for work.
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    turns = Turns()

    async def silence() -> None:
        now[0] += 60 * STEP

    await turns.wait_for(silence())
    other = asyncio.ensure_future(asyncio.sleep(0))
    await turns.rest_if_due()

    assert not other.done()
