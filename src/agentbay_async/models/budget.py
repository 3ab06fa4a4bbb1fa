"""Budgets: limits on the number of sessions and on session hours."""

from __future__ import annotations

import threading

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, BudgetExceededError, InvalidArgumentError

_HOUR = 3600.0


class Budget:
    """A limit on the sessions that a program creates.

    Pass the same budget to all clients that share it: ``Config(budget=Budget(...))``. A session
    counts from its request on. Its hours run until one of these clients deletes it. A session that
    ends by itself continues to count, because the client is not notified.

    Args:
        max_sessions: Most sessions to create in all.
        max_session_hours: Most hours of all sessions together; after that, none are created.

    Attributes:
        sessions: The number of sessions created so far, or being created.

    Raises:
        InvalidArgumentError: Neither is given, or one is not above 0.

    Example:
        >>> Budget(max_sessions=100, max_session_hours=8).sessions
        0
    """

    def __init__(
        self, max_sessions: int | None = None, max_session_hours: float | None = None
    ) -> None:
        if max_sessions is None and max_session_hours is None:
            raise InvalidArgumentError("give max_sessions, max_session_hours, or both")
        self._max_sessions = (
            None if max_sessions is None else _check.positive_int(max_sessions, "max_sessions")
        )
        self._max_hours = None if max_session_hours is None else _check_hours(max_session_hours)
        self.sessions: int = 0
        self._ended_seconds = 0.0
        self._start_sum = 0.0
        self._started: dict[str, float] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Budget(max_sessions={self._max_sessions}, max_session_hours={self._max_hours})"

    def reserve(self, now: float) -> None:
        """Count a session that is about to be requested, at the time `now`, in seconds.

        Raises:
            BudgetExceededError: The budget is spent.
        """
        with self._lock:
            if self._max_sessions is not None and self.sessions >= self._max_sessions:
                raise BudgetExceededError(
                    f"the budget of {self._max_sessions} sessions is spent", hint="Nothing was sent"
                )
            spent = self._spent(now)
            if self._max_hours is not None and spent >= self._max_hours:
                raise BudgetExceededError(
                    f"the budget of {self._max_hours:g} session hours is spent ({spent:.2f} h)",
                    hint="Nothing was sent; delete sessions that are no longer needed",
                )
            self.sessions += 1

    def give_back(self) -> None:
        """Uncount a session that the service refused."""
        with self._lock:
            self.sessions -= 1

    def begin(self, session_id: str, now: float) -> None:
        """Start to count the hours of a session."""
        with self._lock:
            self._start_sum += now - self._started.get(session_id, 0.0)
            self._started[session_id] = now

    def end(self, session_id: str, now: float) -> None:
        """Stop to count the hours of a session; ignore sessions of others."""
        with self._lock:
            started = self._started.pop(session_id, None)
            if started is not None:
                self._start_sum -= started
                self._ended_seconds += max(now - started, 0.0)

    def left(self, now: float) -> tuple[int | None, float | None]:
        """Return the sessions and the hours that are left; ``None`` means no limit."""
        with self._lock:
            sessions = (
                None if self._max_sessions is None else max(self._max_sessions - self.sessions, 0)
            )
            return sessions, None if self._max_hours is None else max(
                self._max_hours - self._spent(now), 0
            )

    def charge(self, sessions: int, hours: float) -> None:
        """Add the spending of another process; negative numbers give back."""
        with self._lock:
            self.sessions += sessions
            self._ended_seconds += hours * _HOUR

    def session_hours(self, now: float) -> float:
        """Return the hours of all sessions so far, at the time `now`."""
        with self._lock:
            return self._spent(now)

    def _spent(self, now: float) -> float:
        # Constant time: the sum of (now - start) over all sessions, without a loop over thousands.
        running = now * len(self._started) - self._start_sum if self._started else 0.0
        return (self._ended_seconds + running) / _HOUR


def _check_hours(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f"max_session_hours must be a number, not {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise InvalidArgumentError(f"max_session_hours must be above 0 and finite, not {value}")
    return float(value)
