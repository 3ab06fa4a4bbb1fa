"""LangChain's suite for sandboxes of Deep Agents, on a session of the local service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_tests.integration_tests import SandboxIntegrationTests

from agentbay_async import AsyncAgentBay
from agentbay_integrations.deepagents import AgentBaySandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local import LocalService


class TestAgentBaySandbox(SandboxIntegrationTests):
    """All tests, on one session, as the suite wants it."""

    @pytest.fixture(scope="class")
    def sandbox(self, shared_service: LocalService) -> Iterator[AgentBaySandbox]:
        """A sandbox that makes its session on first use."""
        bay = AsyncAgentBay(shared_service.api_key, endpoint=shared_service.endpoint)
        with AgentBaySandbox(bay=bay) as sandbox:
            yield sandbox
