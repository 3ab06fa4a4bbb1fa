"""Terminals of a session."""

from __future__ import annotations

import attrs


@attrs.frozen
class PtySession:
    """A terminal in a session.

    Attributes:
        pty_session_id: The id of the terminal.
    """

    pty_session_id: str
