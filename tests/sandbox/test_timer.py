"""A deadline that stands still while its session is paused."""

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
    """What a loop returns for a later call."""

    due: float
    cancelled: bool = False

    def when(self) -> float:
        """Say when the call is due."""
        return self.due

    def cancel(self) -> None:
        """Do not call."""
        self.cancelled = True


@attrs.define
class Clock:
    """A loop whose time the test sets."""

    now: float = 0.0
    handles: list[Handle] = attrs.field(factory=list)

    def time(self) -> float:
        """Say what time it is."""
        return self.now

    def call_later(self, delay: float, _: Callable[[], None]) -> Handle:
        """Note a later call."""
        self.handles.append(Handle(self.now + delay))
        return self.handles[-1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the loop that timers find running."""
    one = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: one)
    return one


def test_paused_timer_goes_on_with_what_was_left(clock: Clock) -> None:
    """Four of ten seconds were used, so six are left however long the pause was."""
    timer = PausableTimer(10, lambda: None)
    clock.now = 4
    timer.pause()
    clock.now = 100
    timer.resume()

    assert [handle.due for handle in clock.handles] == [10, 106]
    assert [handle.cancelled for handle in clock.handles] == [True, False]


def test_pausing_and_resuming_twice_is_pausing_and_resuming(clock: Clock) -> None:
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


def test_restarted_timer_has_all_its_new_time(clock: Clock) -> None:
    """What was left of the first time does not count."""
    timer = PausableTimer(10, lambda: None)
    clock.now = 10
    timer.restart(5, lambda: None)

    assert clock.handles[-1].due == 15
