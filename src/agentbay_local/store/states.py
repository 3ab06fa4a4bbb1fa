"""The states of a session, and which of them allow what.

::

    RUNNING -> PAUSING -> PAUSED -> RESUMING -> RUNNING
    RUNNING -> DELETING -> FINISH
               DELETING -> RUNNING     its files could not be uploaded, so it is kept
"""

from __future__ import annotations

RUNNING = "RUNNING"
PAUSING = "PAUSING"
PAUSED = "PAUSED"
RESUMING = "RESUMING"
DELETING = "DELETING"
FINISH = "FINISH"

LISTED = frozenset({RUNNING, PAUSING, PAUSED, RESUMING})
"""A listing shows what is not released, and release begins with the request for it."""

LIVE = LISTED | {DELETING}
"""What a look-up by id finds."""
