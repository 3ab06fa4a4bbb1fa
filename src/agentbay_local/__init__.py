"""A local AgentBay service: the same wire protocol, with real sandboxes on this machine."""

from __future__ import annotations

from agentbay_local.sandbox.base import Isolation, Limits
from agentbay_local.service import LocalService

__all__ = ["Isolation", "Limits", "LocalService"]
