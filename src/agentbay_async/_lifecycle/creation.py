"""How a session is asked for, and what is made of the answer.

A create that is asked for once makes one session, whatever happens to its answer: see
:mod:`agentbay_async._lifecycle.idempotency`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from agentbay_async._lifecycle.idempotency import Recovery, new_idempotency_key
from agentbay_async._lifecycle.processes import default_owner, this_process
from agentbay_async._protocol import schema
from agentbay_async._sync.persistence import persistence
from agentbay_async._version import __version__
from agentbay_async.errors import AgentBayError, InvalidArgumentError, SessionError
from agentbay_async.models._reserved_labels import IDEMPOTENCY_KEY, OWNER, RUN, SINCE, reserved
from agentbay_async.models.sessions import DEFAULT_LIFETIME, SessionStatus
from agentbay_async.services._routing import remember_endpoint
from agentbay_async.session import AsyncSession

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async._protocol.envelope import Answer
    from agentbay_async.models.sessions import CreateSessionParams


class CreatedSession(NamedTuple):
    """What came of a create.

    Attributes:
        session: The session.
        request_id: The id of the request.
        new: Whether this create made it, and not an earlier one of the same idempotency key.
    """

    session: AsyncSession
    request_id: str
    new: bool = True


async def create_session(api: Api, params: CreateSessionParams) -> CreatedSession:
    """Have a session made, or find the one that an earlier create of the same idempotency key made.

    Raises:
        InvalidArgumentError: There is an idempotency key, and the client was told to set no labels.
        AgentBayError: There is none; if that is not sure, the error says so.
    """
    request = create_request(params, api.settings.region_id)
    own = {**reserved(params.labels), **_reserved_labels(api, params.idempotency_key)}
    request.labels = {**params.labels, **own} or None
    ledger = api.ledger
    if ledger is not None:
        ledger.began()
    recovery = (
        Recovery(api, own[IDEMPOTENCY_KEY], own=params.idempotency_key is None) if own else None
    )
    found = (
        await recovery.find()
        if recovery is not None and params.idempotency_key is not None
        else None
    )
    answer = found or await _answer(api, request, recovery)
    session = created(api, answer, request, own if found is None else None)
    if found is not None:
        await _take_over(api, session.session_id, own)
    if ledger is not None:
        lasts = None if request.max_runtime is None else request.max_runtime * 60
        ledger.created(session.session_id, owner_of(api), lasts)
    return CreatedSession(session, answer.request_id, new=found is None)


async def _take_over(api: Api, session_id: str, own: dict[str, str]) -> None:
    """Say that a session is this process's now, which another may have left."""
    answer = await api.call(schema.GetLabel(session_id=session_id))
    labels = (answer.data.labels if answer.data is not None else None) or {}
    if labels.get(RUN) != own[RUN] or labels.get(OWNER) != own[OWNER]:
        await api.call(schema.SetLabel(session_id=session_id, labels={**labels, **own}))


async def _answer(
    api: Api, request: schema.CreateMcpSession, recovery: Recovery | None
) -> Answer[schema.CreatedSession]:
    if recovery is None:
        return await api.call(request)
    try:
        answer = await api.call(request, recover=recovery.after)
    except AgentBayError:
        recovery.settle(None)
        raise
    recovery.settle(answer.data.session_id if answer.data is not None else None)
    return answer


def _reserved_labels(api: Api, idempotency_key: str | None) -> dict[str, str]:
    if not api.settings.reserved_labels:
        if idempotency_key is not None:
            raise InvalidArgumentError(
                "idempotency_key is kept in a reserved label; leave it out, or let the client set"
                " such labels (reserved_labels=True)"
            )
        return {}
    return {
        IDEMPOTENCY_KEY: idempotency_key or new_idempotency_key(),
        OWNER: owner_of(api),
        RUN: this_process().run,
        SINCE: str(int(api.clock.time())),
    }


def owner_of(api: Api) -> str:
    """Return whose the sessions of a client are."""
    return api.settings.owner or default_owner()


def create_request(params: CreateSessionParams, region_id: str) -> schema.CreateMcpSession:
    """Return the request for a session like `params`, with an end that the service sees to."""
    request = schema.CreateMcpSession(
        sdk_stats=_statistics(params.framework),
        login_region_id=region_id,
        image_id=params.image_id,
        persistence_data_list=persistence(params.context_syncs) if params.context_syncs else None,
        mcp_policy_id=params.policy_id,
        context_id=params.context_id,
        timeout=params.idle_release_timeout,
    )
    policy = params.lifecycle_policy
    if policy is None and params.idle_release_timeout is None:
        policy = DEFAULT_LIFETIME
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
    api: Api,
    answer: Answer[schema.CreatedSession],
    request: schema.CreateMcpSession,
    own: dict[str, str] | None,
) -> AsyncSession:
    """Return the session that the answer to a request names; `own` are the labels of the library.

    They are ``None`` of one that an earlier request made; its end is not known, either.

    Raises:
        SessionError: It names none, or says why there is none.
    """
    data = answer.data
    if data is None or data.success is False or not data.session_id:
        reason = data.err_msg if data is not None else None
        raise SessionError(
            f"CreateMcpSession: {reason or 'the answer names no session'}",
            request_id=answer.request_id,
        )
    return AsyncSession(
        api,
        data.session_id,
        request.image_id or "",
        SessionStatus.RUNNING.value,
        data.app_instance_id or "",
        data.resource_url or "",
        remember_endpoint(api, data, data.session_id),
        own,
        None if own is None else _end(api, request.max_runtime),
    )


def _end(api: Api, minutes: int | None) -> float | None:
    return None if minutes is None else api.clock.monotonic() + minutes * 60
