"""Inspect's checks for providers of sandboxes, on a session of the local service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from inspect_ai.util._sandbox.self_check import *  # noqa: F403  # as its docstring says

from agentbay_async import AsyncAgentBay
from agentbay_integrations.inspect_ai import AgentBaySandboxEnvironment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_local import LocalService

#: A session of the local service has one user, and nobody is root.
_NEEDS_ROOT = "test_exec_as_user"


@pytest.fixture
async def sandbox_env(
    service: LocalService, request: pytest.FixtureRequest
) -> AsyncIterator[AgentBaySandboxEnvironment]:
    """One for each check."""
    if request.node.originalname == _NEEDS_ROOT:
        request.applymarker(pytest.mark.xfail(strict=True, reason="nobody is root"))
    async with AsyncAgentBay() as bay, bay.session() as session:
        yield AgentBaySandboxEnvironment(session)
