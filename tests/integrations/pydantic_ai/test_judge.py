"""Pydantic AI's suite for backends of workspaces, on sessions of the local service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite

from agentbay_async import AsyncAgentBay
from agentbay_integrations.pydantic_ai import AgentBayBackend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pydantic_ai.workspaces import WorkspaceRef

    from agentbay_local import LocalService


class TestAgentBayBackend(WorkspaceBackendSuite):
    """All rules, none left out. What they make is deleted by the backend that made it."""

    @pytest.fixture
    def make(self, service: LocalService) -> Iterator[Callable[..., AgentBayBackend]]:
        """Make backends, and close them, in another event loop than that of the suite."""
        made: list[AgentBayBackend] = []

        def make(**options: Any) -> AgentBayBackend:
            made.append(AgentBayBackend(**options))
            return made[-1]

        async def close() -> None:
            for backend in made:
                await backend.aclose()

        yield make
        asyncio.run(close())

    @pytest.fixture
    def backend(self, make: Callable[..., AgentBayBackend]) -> AgentBayBackend:
        """One that makes its session on first use."""
        return make()

    @pytest.fixture
    def fresh_backend(self, make: Callable[..., AgentBayBackend]) -> Callable[[], AgentBayBackend]:
        """Others."""
        return make

    @pytest.fixture
    def attach_backend(
        self, make: Callable[..., AgentBayBackend]
    ) -> Callable[[WorkspaceRef], AgentBayBackend]:
        """One that a second worker makes from a reference."""
        return lambda ref: make(ref=ref)

    @pytest.fixture
    def destroy_environment(self) -> Callable[[AgentBayBackend], Awaitable[None]]:
        """The session ends behind the back of the backend."""

        async def destroy(backend: AgentBayBackend) -> None:
            session = await backend.session()
            async with AsyncAgentBay() as other:
                (await other.delete(session.session_id)).unwrap()

        return destroy
