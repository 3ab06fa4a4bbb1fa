"""Trial features of the cloud, which are not offered here: networks, skills, direct mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async._protocol import error_codes
from agentbay_local.protocol.errors import ApiError

if TYPE_CHECKING:
    from agentbay_async._protocol import schema
    from agentbay_local.protocol.answers import Answer
    from agentbay_local.state import ServiceState


async def no_network(_state: ServiceState, request: schema.Request[Any]) -> Answer:
    """Reject a request for a network."""
    raise not_offered(request.ACTION, "networks")


async def no_skills(_state: ServiceState, request: schema.Request[Any]) -> Answer:
    """Reject a request for skills."""
    raise not_offered(request.ACTION, "skills")


def not_offered(name: str, what: str) -> ApiError:
    """Return the error of an action or a parameter whose feature only the cloud has."""
    return ApiError(
        error_codes.UNSUPPORTED_ACTION,
        f"{name}: the local service does not offer {what}; the cloud service does.",
    )
