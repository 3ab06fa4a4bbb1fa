"""States of a session and its transitions.

::

    RUNNING -> PAUSING -> PAUSED -> RESUMING -> RUNNING
    RUNNING -> DELETING -> FINISH
               DELETING -> RUNNING     an upload failed, so the session is kept
"""

from __future__ import annotations

RUNNING = "RUNNING"
PAUSING = "PAUSING"
PAUSED = "PAUSED"
RESUMING = "RESUMING"
DELETING = "DELETING"
FINISH = "FINISH"

LISTED = frozenset({RUNNING, PAUSING, PAUSED, RESUMING})
"""States that listings show: a session disappears with the request to release it."""

LIVE = LISTED | {DELETING}
"""States that a look-up by id finds."""
