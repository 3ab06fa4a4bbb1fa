"""What is known of terminals: values without any I/O."""

from __future__ import annotations

import attrs


@attrs.frozen
class PtySession:
    """A terminal that runs in a session.

    Attributes:
        pty_session_id: What it is addressed by.
    """

    pty_session_id: str
