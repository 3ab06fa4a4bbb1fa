"""How a session is asked for, and what is made of the answer."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from agentbay_async._channels import know
from agentbay_async._persistence import persistence
from agentbay_async._version import __version__
from agentbay_async._wire import schema
from agentbay_async.errors import SessionError
from agentbay_async.records import SessionStatus
from agentbay_async.session import AsyncSession

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async.session_params import CreateSessionParams


def create_request(params: CreateSessionParams, region_id: str) -> schema.CreateMcpSession:
    """Return the request for a session like `params`."""
    request = schema.CreateMcpSession(
        sdk_stats=_statistics(params.framework),
        login_region_id=region_id,
        image_id=params.image_id,
        labels=params.labels or None,
        persistence_data_list=persistence(params.context_syncs) or None,
        mcp_policy_id=params.policy_id,
        context_id=params.context_id,
        timeout=params.idle_release_timeout,
    )
    policy = params.lifecycle_policy
    if policy is not None and policy.manual_release:
        request.manual_release = True
    elif policy is not None:
        request.timeout = policy.idle_release_timeout
        request.max_runtime = policy.max_runtime
    return request


@cache
def _statistics(framework: str) -> str:
    return json.dumps(
        {
            "source": "sdk",
            "sdk_language": "python",
            "sdk_version": __version__,
            "is_release": True,
            "framework": framework,
        }
    )


def created(
    api: Api, data: schema.CreatedSession | None, request_id: str, image_id: str | None
) -> AsyncSession:
    """Return the session that an answer names.

    Raises:
        SessionError: It names none, or says why there is none.
    """
    if data is None or data.success is False or not data.session_id:
        reason = data.err_msg if data is not None else None
        raise SessionError(
            f"CreateMcpSession: {reason or 'the answer names no session'}", request_id=request_id
        )
    return AsyncSession(
        api,
        data.session_id,
        image_id=image_id or "",
        status=SessionStatus.RUNNING.value,
        app_instance_id=data.app_instance_id or "",
        resource_url=data.resource_url or "",
        access=know(api, data, data.session_id),
    )
