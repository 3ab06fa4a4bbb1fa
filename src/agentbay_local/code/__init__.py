"""Code in a session: a persistent shell for each language, and what a notebook would show of it.

`runner` is the way in. `languages` says how each worker is started, `worker` talks to one,
`inside` is what runs within the session; `events` holds the values that come out.
"""

from __future__ import annotations

from agentbay_local.code.events import CodeOutcome, Ended, Event, Failed, Printed, Shown, frame
from agentbay_local.code.kernels import Kernels
from agentbay_local.code.languages import read_only

__all__ = [
    "CodeOutcome",
    "Ended",
    "Event",
    "Failed",
    "Kernels",
    "Printed",
    "Shown",
    "frame",
    "read_only",
]
