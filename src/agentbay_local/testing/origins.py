"""Which line of a program created which session: for the leak check of the plugin for pytest.

The line is found where a client's ``create`` is called, blocking or not: that is still in the
caller's own stack, before a task or another thread takes over.
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

# Those that stand between a program's line and the call.
_BETWEEN = frozenset(
    {"agentbay", "agentbay_async", "agentbay_local", "anyio", "asyncio", "contextlib"}
)
_UNKNOWN = "a line that is not known"


class Origins:
    """The origins of sessions."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def of(self, session_id: str) -> str:
        """Return file and line, as editors and terminals understand them."""
        return self._lines.get(session_id, _UNKNOWN)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take note of each session that a client creates, until the patch is undone."""
        from agentbay_async import AsyncAgentBay

        monkeypatch.setattr(AsyncAgentBay, "create", self._noting(AsyncAgentBay.create))

    def _noting(
        self, create: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        @wraps(create)
        def noted(*args: Any, **options: Any) -> Coroutine[Any, Any, Any]:
            return self._note(create(*args, **options), _line_of_caller())

        return noted

    async def _note(self, creation: Coroutine[Any, Any, Any], line: str) -> Any:
        result = await creation
        if result.success:
            self._lines[result.session.session_id] = line
        return result


def _line_of_caller() -> str:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else _UNKNOWN
