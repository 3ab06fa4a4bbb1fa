"""Terminals of a session."""

from __future__ import annotations

import attrs


@attrs.frozen
class PtySession:
    """A terminal in a session.

    Attributes:
        pty_session_id: The id of the terminal.
        cols: The width that this client set last; 0 if another client opened it.
        rows: The height that this client set last; 0 if another client opened it.
        status: ``"running"``: terminals that have ended are not listed.
        exit_code: The exit code of its process, if this client knows it.
    """

    pty_session_id: str
    cols: int = 0
    rows: int = 0
    status: str = "running"
    exit_code: int | None = None
