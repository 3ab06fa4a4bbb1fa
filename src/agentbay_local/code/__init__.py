"""Run code in sessions: one persistent kernel for each session and language.

`kernels` is the entry point. `languages` builds the command that starts a kernel, `kernel` talks
to one, `inside` holds the programs that run within the session, and `events` the values they emit.
"""

from __future__ import annotations

from agentbay_local.code.events import (
    CodeOutcome,
    DisplayOutput,
    ErrorOutput,
    Event,
    ExecutionEnd,
    StreamOutput,
    event_frame,
)
from agentbay_local.code.kernels import Kernels
from agentbay_local.code.languages import python_kernel, read_only_mounts, session_python

__all__ = [
    "CodeOutcome",
    "DisplayOutput",
    "ErrorOutput",
    "Event",
    "ExecutionEnd",
    "Kernels",
    "StreamOutput",
    "event_frame",
    "python_kernel",
    "read_only_mounts",
    "session_python",
]
