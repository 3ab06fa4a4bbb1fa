"""Origins of sessions: the source lines that created them, for the leak check of the pytest plugin.

The line is found when a client's ``create`` is called, blocking or not: at that time the caller is
still on the stack, before another task or thread takes over.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import FrameType

    import pytest

__all__ = ["Origins"]

# Packages with frames between a line of the program and the call.
_BETWEEN = frozenset(
    {"agentbay", "agentbay_async", "agentbay_local", "anyio", "asyncio", "contextlib"}
)
_UNKNOWN = "an unknown line"


class Origins:
    """The source lines that created sessions."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def of(self, session_id: str) -> str:
        """Return ``FILE:LINE``, which editors and terminals make a link."""
        return self._lines.get(session_id, _UNKNOWN)

    def record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Record the origin of every session, until `monkeypatch` is undone."""
        from agentbay_async import AsyncAgentBay

        monkeypatch.setattr(AsyncAgentBay, "create", self._recording(AsyncAgentBay.create))

    def _recording(
        self, create: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        @wraps(create)
        def create_and_record(*args: Any, **options: Any) -> Coroutine[Any, Any, Any]:
            return self._record(create(*args, **options), _line_of_caller())

        return create_and_record

    async def _record(self, creation: Coroutine[Any, Any, Any], line: str) -> Any:
        result = await creation
        if result.success:
            self._lines[result.session.session_id] = line
        return result


def _line_of_caller() -> str:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else _UNKNOWN
