"""OpenAI Agents SDK: sessions as sandboxes of agents.

Example:
    ::

        sandbox = SandboxRunConfig(client=AgentBaySandboxClient())
        await Runner.run(agent, "Run the tests", run_config=RunConfig(sandbox=sandbox))
"""

from __future__ import annotations

from agentbay_integrations.openai_agents.client import AgentBaySandboxClient
from agentbay_integrations.openai_agents.session import AgentBaySandboxSession
from agentbay_integrations.openai_agents.snapshots import ContextSnapshotClient
from agentbay_integrations.openai_agents.values import (
    AgentBayPortEndpoint,
    AgentBaySandboxClientOptions,
    AgentBaySandboxSessionState,
)

__all__ = [
    "AgentBayPortEndpoint",
    "AgentBaySandboxClient",
    "AgentBaySandboxClientOptions",
    "AgentBaySandboxSession",
    "AgentBaySandboxSessionState",
    "ContextSnapshotClient",
]
