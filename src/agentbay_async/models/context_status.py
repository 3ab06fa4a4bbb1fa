"""Status of one file transfer between a context and a session."""

from __future__ import annotations

import attrs


@attrs.frozen
class ContextStatusData:
    """A movement of files between a context and a session.

    Attributes:
        status: ``"Success"``, ``"Failed"``; anything else is still going on.
        task_type: ``"upload"`` (session to context) or ``"download"``.
        start_time: Seconds since 1970, or ``None``.
        finish_time: Seconds since 1970, or ``None`` while it goes on.
        files: How many files were moved, or ``None`` where the service does not say.
        size: How many bytes, or ``None`` where the service does not say.
    """

    context_id: str = ""
    path: str = ""
    task_type: str = ""
    status: str = ""
    error_message: str = ""
    start_time: int | None = None
    finish_time: int | None = None
    files: int | None = None
    size: int | None = None

    @property
    def duration(self) -> int | None:
        """Seconds from start to finish, or ``None`` where the service does not say."""
        if self.start_time is None or self.finish_time is None:
            return None
        return self.finish_time - self.start_time

    @property
    def finished(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.status in ("Success", "Failed")
