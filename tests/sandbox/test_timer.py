"""Timers that stand still while their session is paused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import pytest

from agentbay_local.sandbox.host.command_run import PausableTimer

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.define
class Handle:
    """The handle of a scheduled call."""

    due: float
    cancelled: bool = False

    def when(self) -> float:
        """Return the time of the call."""
        return self.due

    def cancel(self) -> None:
        """Cancel the call."""
        self.cancelled = True


@attrs.define
class FakeLoop:
    """A loop whose time the test sets."""

    now: float = 0.0
    handles: list[Handle] = attrs.field(factory=list)

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_later(self, delay: float, _: Callable[[], None]) -> Handle:
        """Record a later call."""
        self.handles.append(Handle(self.now + delay))
        return self.handles[-1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeLoop:
    """Return the loop that timers use."""
    one = FakeLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: one)
    return one


def test_paused_timer_continues_with_the_remaining_time(clock: FakeLoop) -> None:
    """Four of ten seconds were used, so six remain after a pause of any length."""
    timer = PausableTimer(10, lambda: None)
    clock.now = 4
    timer.pause()
    clock.now = 100
    timer.resume()

    assert [handle.due for handle in clock.handles] == [10, 106]
    assert [handle.cancelled for handle in clock.handles] == [True, False]


def test_pause_and_resume_are_idempotent(clock: FakeLoop) -> None:
    """Neither loses time nor calls twice."""
    timer = PausableTimer(10, lambda: None)
    timer.resume()
    clock.now = 3
    timer.pause()
    clock.now = 5
    timer.pause()
    timer.resume()
    timer.resume()

    assert [handle.due for handle in clock.handles] == [10, 12]


def test_restarted_timer_has_all_its_new_time(clock: FakeLoop) -> None:
    """The rest of the earlier time does not count."""
    timer = PausableTimer(10, lambda: None)
    clock.now = 10
    timer.restart(5, lambda: None)

    assert clock.handles[-1].due == 15
