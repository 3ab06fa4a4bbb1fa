"""What only the cloud offers: the local service says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import AsyncAgentBay, BetaContextMount, CreateSessionParams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import Result
    from agentbay_local import LocalService

_ITEM = {"context_id": "c-1", "skill_ids": ["s-1"], "path": "/a"}


@pytest.mark.parametrize(
    "call",
    [
        lambda bay: bay.beta_network.get_network_bind_token(),
        lambda bay: bay.beta_network.describe("net-1"),
        lambda bay: bay.beta_skills.get_metadata(),
        lambda bay: bay.beta_skills.get_metadata(skill_ids=["s-1"]),
        lambda bay: bay.beta_skills.bind_context([_ITEM]),
        lambda bay: bay.beta_skills.unbind_context([_ITEM]),
        lambda bay: bay.create(CreateSessionParams(beta_network_id="net-1")),
        lambda bay: bay.create(CreateSessionParams(load_skills=True)),
        lambda bay: bay.create(
            CreateSessionParams(beta_context_mounts=[BetaContextMount("c-1", "/a")])
        ),
    ],
)
async def test_trial_features_are_refused_with_the_reason(
    service: LocalService, call: Callable[[AsyncAgentBay], Awaitable[Result[Any]]]
) -> None:
    """A program learns at once that it needs the cloud."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
        result = await call(bay)
    assert result.code == "UnsupportedAction"
    assert "the local service does not offer" in result.error_message
    assert "cloud" in result.error_message
