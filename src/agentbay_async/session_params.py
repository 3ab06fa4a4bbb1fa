"""Parameters of ``create`` and ``list``, under the module name that AgentBay's documents use."""

from __future__ import annotations

from agentbay_async.models.sessions import (
    DEFAULT_LIFETIME,
    CreateSessionParams,
    LifecyclePolicy,
    ListSessionParams,
)

__all__ = ["DEFAULT_LIFETIME", "CreateSessionParams", "LifecyclePolicy", "ListSessionParams"]
