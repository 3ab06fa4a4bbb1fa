"""How a session's processes live: isolated by bubblewrap, or, when asked for, not at all.

`base` holds the interface, `bubblewrap` and `plain` are its two levels, `probe` finds out which one
this machine allows. `inside` runs within the session, `channel` talks to it; `hostfs` reaches the
files of a session that is not running.
"""

from __future__ import annotations

from agentbay_local.sandbox.base import (
    HOME,
    OUTPUT_LIMIT,
    Backend,
    Completed,
    Entry,
    Isolation,
    Limits,
    OpenMode,
    Sandbox,
    SandboxSpec,
)
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.hostfs import Found, HostFiles, copy_content
from agentbay_local.sandbox.orphans import Orphans
from agentbay_local.sandbox.plain import PlainBackend
from agentbay_local.sandbox.probe import Capability, probe
from agentbay_local.sandbox.problems import (
    FileProblem,
    InvalidRequest,
    IsolationUnavailable,
    MalformedReply,
    SandboxError,
    SandboxGone,
    SandboxPaused,
    SandboxTimeout,
)
from agentbay_local.sandbox.removal import remove_tree
from agentbay_local.sandbox.uids import private_uid

__all__ = [
    "HOME",
    "OUTPUT_LIMIT",
    "Backend",
    "BubblewrapBackend",
    "Capability",
    "Completed",
    "Entry",
    "FileProblem",
    "Found",
    "HostFiles",
    "InvalidRequest",
    "Isolation",
    "IsolationUnavailable",
    "Limits",
    "MalformedReply",
    "OpenMode",
    "Orphans",
    "PlainBackend",
    "Sandbox",
    "SandboxError",
    "SandboxGone",
    "SandboxPaused",
    "SandboxSpec",
    "SandboxTimeout",
    "copy_content",
    "private_uid",
    "probe",
    "remove_tree",
]
