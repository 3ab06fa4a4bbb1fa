"""Sandboxes: the isolated processes and files of sessions.

`base` is the interface; `bubblewrap`, `landlock` and `plain` implement one level of isolation each,
and `probe` finds out which of them this machine allows. `inside` is the agent that runs within a
session; `host` starts the agent and talks to it; `outbound` is the proxy to allowed hosts.
"""

from __future__ import annotations

from agentbay_local.sandbox.base import (
    HOME,
    OUTPUT_LIMIT,
    Backend,
    Entry,
    Isolation,
    Limits,
    OpenMode,
    Sandbox,
    SandboxSpec,
)
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import (
    InvalidRequest,
    IsolationUnavailable,
    MalformedReply,
    SandboxError,
    SandboxGone,
    SandboxOSError,
    SandboxPaused,
    SandboxTimeout,
)
from agentbay_local.sandbox.host.command_run import CompletedCommand
from agentbay_local.sandbox.host.offline_files import FoundFile, OfflineFiles
from agentbay_local.sandbox.host.orphans import Orphans
from agentbay_local.sandbox.host.pipes import Pipe
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.sandbox.host.spawned_process import SpawnedProcess
from agentbay_local.sandbox.host.terminal import Terminal
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.landlock import LandlockBackend
from agentbay_local.sandbox.plain import PlainBackend
from agentbay_local.sandbox.probe import Capability, backend_for, probe

__all__ = [
    "HOME",
    "OUTPUT_LIMIT",
    "Backend",
    "BubblewrapBackend",
    "Capability",
    "CompletedCommand",
    "Entry",
    "FoundFile",
    "InvalidRequest",
    "Isolation",
    "IsolationUnavailable",
    "LandlockBackend",
    "Limits",
    "MalformedReply",
    "OfflineFiles",
    "OpenMode",
    "Orphans",
    "Pipe",
    "PlainBackend",
    "Sandbox",
    "SandboxError",
    "SandboxGone",
    "SandboxOSError",
    "SandboxPaused",
    "SandboxSpec",
    "SandboxTimeout",
    "SpawnedProcess",
    "Terminal",
    "backend_for",
    "private_uid",
    "probe",
    "remove_tree",
]
