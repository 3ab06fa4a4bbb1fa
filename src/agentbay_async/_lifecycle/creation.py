"""Create a session: build the request, parse the answer, wait for the files of its contexts.

One create makes at most one session, whatever happens to its answer; see
:mod:`agentbay_async._lifecycle.idempotency`.
"""

from __future__ import annotations

import json
from asyncio import get_running_loop
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from agentbay_async import _check
from agentbay_async._installation import __version__
from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.deletion import delete_abandoned
from agentbay_async._lifecycle.idempotency import Recovery
from agentbay_async._lifecycle.processes import this_process
from agentbay_async._lifecycle.reserved_labels import (
    CHUNK,
    IDEMPOTENCY_KEY,
    OWNER,
    RUN,
    SINCE,
    too_many_labels,
)
from agentbay_async._lifecycle.shielding import run_or_undo, run_shielded
from agentbay_async._protocol import schema
from agentbay_async._sync.persistence import SYNC_TIMEOUT, downloaded, persistence
from agentbay_async.config import LOCAL
from agentbay_async.errors import AgentBayError, InvalidArgumentError, SessionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentbay_async._api import Api
    from agentbay_async._protocol.envelope import Answer
    from agentbay_async._transport.access import Access
    from agentbay_async.config import Settings
    from agentbay_async.models.extra_configs import MobileExtraConfig
    from agentbay_async.models.sessions import CreateSessionParams
    from agentbay_async.models.sync_policy import ContextSync


# Of the creates of this process, for their idempotency keys.
_numbers = count(1)


class CreatedSession(NamedTuple):
    """The session that a create returned.

    Attributes:
        session_id: Its id.
        request_id: The id of the request.
        image_id: The image that was asked for, or ``""``.
        app_instance_id: The service's id of the machine.
        resource_url: Its page for people; a secret.
        access: Its direct addresses.
        reserved: The library's labels on it; ``None`` if an earlier create made it.
        ends: When its ``max_runtime`` is over, on the client's clock, or ``None``.
        new: Whether this create made it, and not an earlier one with the same idempotency key.
    """

    session_id: str
    request_id: str
    image_id: str
    app_instance_id: str
    resource_url: str
    access: Access
    reserved: dict[str, str] | None
    ends: float | None
    new: bool


async def create_session(
    api: Api,
    params: CreateSessionParams,
    set_up: Callable[[CreatedSession], Awaitable[None]] | None = None,
) -> CreatedSession:
    """Create a session, or find the one that an earlier create with the same key made.

    A cancel leaves no session behind, and neither does a failed download of files. All requests
    share one deadline, ``Config.deadline``, those that look a session up included. After that it
    waits for files, for at most :data:`SYNC_TIMEOUT`, and may delete a session, for at most
    :data:`GRACE`. At last it calls `set_up`; a new session that cannot be set up is deleted.

    Raises:
        InvalidArgumentError: `params` has an idempotency key, and the client sets no labels.
        ContextSyncError: The files of its contexts did not arrive.
        AgentBayError: There is no session; the hint says so where that is uncertain.
        ClosedError: The client is being closed.
    """
    with api.background.creating():
        # A request that is under way cannot be called back. So a cancel waits for its answer: only
        # the answer has the id by which the session can be deleted.
        # Most sessions have none of these.
        attached = params.context_syncs or params.browser_context or params.extra_configs
        syncs = params.all_syncs() if attached else []
        created = await run_or_undo(_create(api, params, syncs), partial(_undo, api))
        if created.new and not (syncs or params.context_id):
            created.access.has_contexts = False
        created.access.record_browser = params.enable_browser_replay
        if syncs and (wanted := downloaded(syncs)):
            await _wait_for_files(api, created, wanted, keep=params.keep_on_failure)
        if set_up is not None:
            try:
                await set_up(created)
            except BaseException as error:
                # The caller never gets the session.
                await run_shielded(_undo(api, created))
                if isinstance(error, AgentBayError):
                    error.session_id = created.session_id
                raise
    return created


async def _create(
    api: Api, params: CreateSessionParams, syncs: Sequence[ContextSync]
) -> CreatedSession:
    own = _reserved_labels(api, params)
    request = create_request(params, api.settings, {**params.labels, **own}, syncs)
    if api.ledger is not None:
        api.ledger.began()
    found = deadline = None
    if params.idempotency_key is not None:
        deadline = api.deadline()
        found = await Recovery(api, params.idempotency_key, own=False).find(deadline)
    if found is None:
        created = await _create_new(api, request, params.idempotency_key, own, deadline)
    else:
        created = _parse(api, found, request, None)
    if api.settings.endpoint != LOCAL and len(unheld.created) < unheld.MAX_KNOWN:
        unheld.created.add(created.session_id)
    if not created.new:
        await _take_over(api, created.session_id, own, deadline)
    if api.ledger is not None:
        lasts = None if request.max_runtime is None else request.max_runtime * 60
        api.ledger.created(created.session_id, api.settings.owner, lasts)
    return created


async def _create_new(
    api: Api,
    request: schema.CreateMcpSession,
    idempotency_key: str | None,
    own: dict[str, str],
    deadline: float | None,
) -> CreatedSession:
    if api.settings.endpoint == LOCAL:
        return _parse(api, await _send(api, request, idempotency_key, deadline), request, own)
    # With a key of the caller, the session may be in use elsewhere.
    token = own.get(IDEMPOTENCY_KEY) if idempotency_key is None else None
    key: object = token or object()
    unheld.creates[key] = origin = api, get_running_loop()
    try:
        answer = await _send(api, request, idempotency_key, deadline)
        created = _parse(api, answer, request, own)
        unheld.sessions[created.session_id] = origin
    except AgentBayError:
        # The error tells the caller whether there may be a session.
        raise
    except BaseException:
        # Only the answer would have had the id of the session.
        unheld.cut_off[key] = origin
        raise
    finally:
        unheld.creates.pop(key, None)
    return created


def _reserved_labels(api: Api, params: CreateSessionParams) -> dict[str, str]:
    if not api.settings.reserved_labels:
        if params.idempotency_key is not None:
            raise InvalidArgumentError(
                "idempotency_key is kept in a reserved label; leave it out, or let the client set"
                " such labels (reserved_labels=True)"
            )
        return {}
    run, now = this_process().run, api.clock.time()
    labels = {
        IDEMPOTENCY_KEY: params.idempotency_key or f"{run}-{next(_numbers):x}-{int(now):x}",
        OWNER: api.settings.owner,
        RUN: run,
    }
    if params.idempotency_key is not None:
        labels[SINCE] = str(int(now))
    if CHUNK in params.labels:
        # Set by a worker of a distributed run.
        labels[CHUNK] = params.labels[CHUNK]
    return labels


async def _send(
    api: Api, request: schema.CreateMcpSession, idempotency_key: str | None, deadline: float | None
) -> Answer[schema.CreatedSession]:
    if not api.settings.reserved_labels:
        return await api.call(request, deadline=deadline)
    recovery: Recovery | None = None

    async def recover(
        error: AgentBayError, deadline: float
    ) -> Answer[schema.CreatedSession] | None:
        nonlocal recovery
        if recovery is None:
            key = (request.labels or {})[IDEMPOTENCY_KEY]
            recovery = Recovery(api, key, own=idempotency_key is None)
        return await recovery.after(error, deadline)

    session_id = None
    try:
        answer = await api.call(request, recover=recover, deadline=deadline)
        session_id = answer.data.session_id if answer.data is not None else None
    finally:
        if recovery is not None:
            recovery.settle(session_id)
    return answer


def create_request(
    params: CreateSessionParams,
    settings: Settings,
    labels: dict[str, str],
    syncs: Sequence[ContextSync],
) -> schema.CreateMcpSession:
    """Return the request for a session like `params`, with all its labels and contexts.

    Raises:
        InvalidArgumentError: There are more labels than a session can have.
    """
    if len(labels) > _check.MAX_LABELS:
        raise too_many_labels(params.labels, len(labels) - len(params.labels))
    request = schema.CreateMcpSession(
        sdk_stats=_statistics(params.framework),
        login_region_id=settings.region_id,
        image_id=params.image_id,
        labels=labels or None,
        mcp_policy_id=params.policy_id,
        context_id=params.context_id,
        timeout=params.idle_release_timeout,
        network_id=params.beta_network_id,
        enable_record=params.enable_browser_replay,
        # Official clients send no False.
        load_skill=params.load_skills or None,
        skills=params.skill_names or None,
    )
    if syncs or params.beta_context_mounts:
        request.persistence_data_list = persistence(syncs, params.beta_context_mounts)
    if params.extra_configs is not None and params.extra_configs.mobile is not None:
        _add_mobile(request, params.extra_configs.mobile)
    policy = params.lifecycle_policy
    if policy is None and params.idle_release_timeout is None:
        policy = settings.default_lifetime
    if policy is not None and policy.manual_release:
        request.manual_release = True
    elif policy is not None:
        request.timeout = policy.idle_release_timeout
        request.max_runtime = policy.max_runtime
    return request


def _add_mobile(request: schema.CreateMcpSession, mobile: MobileExtraConfig) -> None:
    request.lock_resolution = mobile.lock_resolution
    request.hide_navigation_bar = mobile.hide_navigation_bar
    request.uninstall_blacklist = mobile.uninstall_blacklist
    if mobile.app_manager_rule is not None:
        request.app_rule_type = mobile.app_manager_rule.rule_type
        request.app_package_names = mobile.app_manager_rule.app_package_name_list


@cache
def _statistics(framework: str) -> str:
    return json.dumps(
        {
            "source": "sdk",
            "sdk_name": "agentbay-async",
            "sdk_language": "python",
            "sdk_version": __version__,
            "is_release": True,
            "framework": framework,
        }
    )


def _parse(
    api: Api,
    answer: Answer[schema.CreatedSession],
    request: schema.CreateMcpSession,
    own: dict[str, str] | None,
) -> CreatedSession:
    """Return the session in `answer`; `own` are its reserved labels, ``None`` if it was found.

    Raises:
        SessionError: The answer has no session.
    """
    data = answer.data
    if data is None or data.success is False or not data.session_id:
        reason = data.err_msg if data is not None else None
        raise SessionError(
            f"CreateMcpSession: {reason or 'the answer has no session id'}",
            request_id=answer.request_id,
        )
    ends = None
    # The service counts from the first create, whose time is unknown.
    if own is not None and request.max_runtime is not None:
        ends = api.clock.monotonic() + request.max_runtime * 60
    return CreatedSession(
        data.session_id,
        answer.request_id,
        request.image_id or "",
        data.app_instance_id or "",
        data.resource_url or "",
        api.access.remember(data.session_id, data),
        own,
        ends,
        new=own is not None,
    )


async def _take_over(
    api: Api, session_id: str, own: dict[str, str], deadline: float | None
) -> None:
    """Label a session as this process's: the one that created it may be dead."""
    answer = await api.call(schema.GetLabel(session_id=session_id), deadline=deadline)
    labels = (answer.data.labels if answer.data is not None else None) or {}
    if labels.get(RUN) != own[RUN] or labels.get(OWNER) != own[OWNER]:
        request = schema.SetLabel(session_id=session_id, labels={**labels, **own})
        await api.call(request, deadline=deadline)


async def _wait_for_files(
    api: Api, created: CreatedSession, wanted: set[str], *, keep: bool
) -> None:
    from agentbay_async._sync.tasks import wait_for_tasks

    session_id = created.session_id
    try:
        await wait_for_tasks(api, session_id, wanted, kind="download", timeout=SYNC_TIMEOUT)
    except AgentBayError as error:
        error.session_id = session_id
        if keep:
            # The caller learns its id from the error.
            unheld.hand_over.get()(session_id, None)
        else:
            await run_shielded(_undo(api, created))
        raise
    except BaseException:
        # A cancel: the caller never gets the session, so `keep_on_failure` does not apply.
        await run_shielded(_undo(api, created))
        raise


async def _undo(api: Api, created: CreatedSession) -> None:
    """Delete a session that the caller will not get, unless an earlier create made it."""
    if created.new:
        await delete_abandoned(api, created.session_id)
