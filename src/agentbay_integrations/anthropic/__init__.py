"""Anthropic: the desktop and the browser of a session as toolsets of the package ``anthropic``.

Example:
    ::

        async with AgentBayBrowserToolset() as toolset:
            runner = client.beta.messages.tool_runner(
                model="claude-opus-5-5",
                max_tokens=2000,
                tools=[toolset],
                messages=[{"role": "user", "content": "What is new on example.com?"}],
            )
            print(await runner.until_done())
"""

from __future__ import annotations

from agentbay_integrations.anthropic.blocking_browser import BlockingAgentBayBrowserToolset
from agentbay_integrations.anthropic.blocking_computer import BlockingAgentBayComputerToolset
from agentbay_integrations.anthropic.browser import AgentBayBrowserToolset
from agentbay_integrations.anthropic.computer import AgentBayComputerToolset
from agentbay_integrations.anthropic.file_policy import SessionFilePolicy

__all__ = [
    "AgentBayBrowserToolset",
    "AgentBayComputerToolset",
    "BlockingAgentBayBrowserToolset",
    "BlockingAgentBayComputerToolset",
    "SessionFilePolicy",
]
