"""Sync tasks: transfers of files between a context and a session.

A separate module, because :mod:`agentbay_async.errors` names the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

# Images use different words, in any case. Another status means that the task is running.
_SUCCESS = frozenset({"success", "successful", "ok", "finished", "done", "completed", "complete"})
_FAILURE = frozenset({"failed", "failure", "fail", "error"})


@attrs.frozen
class ContextStatusData:
    """A sync task: a transfer of files between a context and a session.

    Attributes:
        status: As the service sends it, ``"Success"`` or ``"Failed"`` as a rule; see `finished`.
        task_type: ``"upload"`` (session to context) or ``"download"``.
        start_time: Seconds since 1970, or ``None``.
        finish_time: Seconds since 1970, or ``None`` while it runs.
        files: The number of files, or ``None`` if unknown.
        size: The number of bytes, or ``None`` if unknown.
    """

    context_id: str = ""
    path: str = ""
    error_message: str = ""
    status: str = ""
    start_time: int | None = 0
    finish_time: int | None = 0
    task_type: str = ""
    files: int | None = None
    size: int | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ContextStatusData:
        """Read a task as the service writes it, as the official client does.

        Example:
            >>> ContextStatusData.from_dict({"contextId": "c-1", "status": "Success"}).finished
            True
        """
        return cls(
            data.get("contextId", ""),
            data.get("path", ""),
            data.get("errorMessage", ""),
            data.get("status", ""),
            data.get("startTime", 0),
            data.get("finishTime", 0),
            data.get("taskType", ""),
        )

    @property
    def duration(self) -> int | None:
        """Seconds from start to finish, or ``None`` if unknown."""
        if self.start_time is None or self.finish_time is None:
            return None
        return self.finish_time - self.start_time

    @property
    def finished(self) -> bool:
        """Whether the task ended, successfully or not."""
        return self.failed or self.status.lower() in _SUCCESS

    @property
    def failed(self) -> bool:
        """Whether the task ended without success."""
        return self.status.lower() in _FAILURE
