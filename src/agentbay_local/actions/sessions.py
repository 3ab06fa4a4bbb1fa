"""Sessions: create, look up, list, pause, resume, release."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol import error_codes, schema
from agentbay_async._protocol.codec import compact_json
from agentbay_local.actions import sync
from agentbay_local.actions.beta import not_offered
from agentbay_local.actions.labels import checked_labels
from agentbay_local.protocol import paging
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import ApiError, invalid, no_session, required, wrong_state
from agentbay_local.store import Filter, NewSession, new_session_id, states
from agentbay_local.testing.fault_actions import Lag
from agentbay_local.testing.faults import Call
from agentbay_local.urls import resource_id, resource_url, session_access

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session

# Seconds; a program that is killed so leaves no session for good.
_DEFAULT_IDLE = 30 * 60.0
_DEFAULT_RUNTIME = 12 * 3600.0
_STATUSES = (*sorted(states.LISTED), states.DELETING, "DELETED")


async def create(state: ServiceState, request: schema.CreateMcpSession) -> Answer:
    """Store a session and bind its contexts; its sandbox starts on first use."""
    new = new_session(state, request)
    to_bind = []
    if request.persistence_data_list:
        to_bind += sync.checked_bindings(state, request.persistence_data_list, may_be_new=True)
    if request.context_id:
        # Clients before 0.6 name one context and no path; their examples mount it at /mnt/data.
        item = schema.Persistence(context_id=request.context_id, path="/mnt/data")
        to_bind += sync.checked_bindings(state, [item], may_be_new=True)
    check_quota(state, 1)
    if to_bind:
        sync.add_missing_contexts(state, to_bind)
    # Files of contexts come before the programs of a session.
    lending = nullcontext(new) if to_bind or state.ready is None else state.ready.lend(new)
    with lending as admitted:
        (session,) = state.lifecycle.admit([admitted])
    if to_bind:
        sync.attach(state, session, to_bind)
    return Answer(
        schema.CreatedSession(
            session_id=session.id,
            success=True,
            app_instance_id=_instance(session),
            resource_id=resource_id(session.id),
            resource_url=resource_url(state, session.id),
            tool_list=state.images.tools[session.image].short_list,
            **_access_fields(state, session),
        )
    )


def new_session(state: ServiceState, request: schema.CreateMcpSession) -> NewSession:
    """Return the values of a new session.

    Raises:
        ApiError: This machine cannot isolate sessions, a field is invalid, or one asks for a
            feature that would be missing in silence.
    """
    if request.network_id:
        raise not_offered("NetworkId", "networks")
    if request.load_skill:
        raise not_offered("LoadSkill", "skills")
    image = state.images.offered(request.image_id)
    labels = checked_labels(request.labels or {})
    state.sandboxes.require()
    idle, runtime = lifetimes(request)
    return NewSession(
        id=new_session_id(),
        image=request.image_id or image.name,
        labels=labels,
        created=state.clock.time(),
        idle_seconds=idle,
        ends=None if runtime is None else state.clock.monotonic() + runtime,
    )


def check_quota(state: ServiceState, more: int) -> None:
    """Check that the quota allows `more` sessions.

    Raises:
        ApiError: It does not.
    """
    limit = state.instruments.quotas.sessions
    if limit is not None and state.store.sessions.alive() + more > limit:
        raise ApiError(
            f"{error_codes.QUOTA_EXCEEDED}.Session", f"At most {limit} sessions may live at once."
        )


def lifetimes(request: schema.CreateMcpSession) -> tuple[float | None, float | None]:
    """Return idle time and maximum run time in seconds, None for no limit.

    ``Timeout`` is in minutes beside ``MaxRuntime``, and in seconds alone: two generations of
    clients share the field. Without any of the three the session has the defaults of the service,
    as in the cloud those of the account's console.

    Raises:
        ApiError: A time is not positive, or is given for a session that is released manually.
    """
    for name, value in (("Timeout", request.timeout), ("MaxRuntime", request.max_runtime)):
        if value is not None and not 0 < value <= 10_000_000:
            raise invalid(name, f"must be between 1 and 10000000, not {value}.")
        if value is not None and request.manual_release:
            raise invalid(name, "cannot be combined with ManualRelease.")
    if request.timeout is None and request.max_runtime is None and not request.manual_release:
        return _DEFAULT_IDLE, _DEFAULT_RUNTIME
    if request.max_runtime is None:
        return request.timeout, None
    idle = None if request.timeout is None else request.timeout * 60
    return idle, request.max_runtime * 60


async def get(state: ServiceState, request: schema.GetSession) -> Answer:
    """Look up a session."""
    session = state.session(request.session_id)
    contexts = state.store.contexts.of_session(session.id)
    return Answer(
        schema.SessionRecord(
            session_id=session.id,
            status=session.status,
            app_instance_id=_instance(session),
            resource_id=resource_id(session.id),
            resource_url=resource_url(state, session.id),
            tool_list=state.images.tools[session.image].short_list,
            **_access_fields(state, session),
            contexts=[schema.SessionContext(id=entry.id, name=entry.name) for entry in contexts],
        )
    )


async def detail(state: ServiceState, request: schema.GetSessionDetail) -> Answer:
    """Return the state of a session; a released session is ``FINISH`` for a day.

    Clients ask this right after a delete, and again until the session is gone. The answer waits a
    moment for the end of the release, which saves them most of these requests.
    """
    session = state.store.sessions.get(required(request.session_id, "SessionId"))
    if session is not None and session.status == states.DELETING:
        await state.lifecycle.wait_briefly(session)
        session = state.store.sessions.get(session.id)
    if session is None:
        raise no_session()
    return Answer(
        schema.SessionDetail(
            status=session.status, image_id=session.image, end_reason=session.end_reason or None
        )
    )


async def resource(state: ServiceState, request: schema.GetMcpResource) -> Answer:
    """Describe the resource of a session, and its isolation level.

    There is no desktop, so that ticket and auth code are missing.
    """
    session = state.session(request.session_id)
    properties = compact_json({"isolation": state.sandboxes.isolation.value})
    desktop = schema.DesktopInfo(
        app_id=session.image,
        connection_properties=properties,
        resource_id=resource_id(session.id),
        resource_type="AIAgent",
    )
    url = resource_url(state, session.id)
    return Answer(schema.McpResource(session_id=session.id, resource_url=url, desktop_info=desktop))


async def list_page(state: ServiceState, request: schema.ListSession) -> Answer:
    """List the sessions that have all the labels and are not released, newest first."""
    size = state.pages.size(request.max_results)
    if request.status and request.status not in _STATUSES:
        raise invalid("Status", f"must be one of {', '.join(_STATUSES)}, not {request.status!r}.")
    labels = tuple(sorted(checked_labels(request.labels or {}).items()))
    criteria = Filter(labels, request.status, request.image_id, _created_by(state, request))
    listing = ["sessions", labels, request.status, request.image_id]
    cursor = state.pages.cursor(request.next_token, listing)
    total = cursor.total if cursor else state.store.sessions.count(criteria)
    rows = state.store.sessions.page(criteria, size + 1, cursor.last if cursor else None)
    page, more = rows[:size], rows[size:]
    following = paging.Cursor(page[-1].seq, total) if more else None
    return Answer(
        [_listed(session) for session in page],
        next_token=state.pages.token(following, listing),
        max_results=size,
        total_count=total,
    )


def _created_by(state: ServiceState, request: schema.ListSession) -> float | None:
    """Return the latest time of creation that the listing shows, None for any."""
    fault = state.instruments.faults.strike(Call(request.ACTION), Lag) if request.labels else None
    lag = max(state.instruments.quotas.list_lag_seconds, fault.seconds if fault else 0)
    return state.clock.time() - lag if lag else None


async def delete(state: ServiceState, request: schema.DeleteSessionAsync) -> Answer:
    """Start to release a session; a second request is not an error."""
    _start_release(state, request.session_id)
    return Answer()


async def release(state: ServiceState, request: schema.ReleaseMcpSession) -> Answer:
    """Release a session, and wait for the end: clients of this action do not poll."""
    session = _start_release(state, request.session_id)
    await state.lifecycle.wait_released(session)
    kept = state.store.sessions.get(session.id)
    if kept is not None and kept.status == states.RUNNING:
        raise wrong_state(states.RUNNING, "its files could not be uploaded, so it was kept")
    return Answer()


def _start_release(state: ServiceState, session_id: str | None) -> Session:
    session = state.session(session_id)
    if session.status in (states.PAUSING, states.PAUSED, states.RESUMING):
        raise wrong_state(session.status, "resume it before it can be released")
    state.lifecycle.release(session, "released by the client")
    return session


async def pause(state: ServiceState, request: schema.PauseSessionAsync) -> Answer:
    """Start to pause a session; its state has changed when this returns."""
    session = state.session(request.session_id)
    if session.status not in (states.PAUSING, states.PAUSED):
        state.lifecycle.pause(session)
    return Answer()


async def resume(state: ServiceState, request: schema.ResumeSessionAsync) -> Answer:
    """Start to resume a paused session."""
    session = state.session(request.session_id)
    if session.status == states.PAUSED:
        state.lifecycle.resume(session)
    elif session.status not in (states.RUNNING, states.RESUMING):
        raise wrong_state(session.status, "only a PAUSED session can be resumed")
    return Answer()


async def refresh(state: ServiceState, request: schema.RefreshSessionIdleTime) -> Answer:
    """Restart the idle time."""
    state.running_session(request.session_id)
    return Answer()


# Any, because mypy cannot match the keys with the fields of the record.
def _access_fields(state: ServiceState, session: Session) -> dict[str, Any]:
    """Return the fields with the URLs and the token of direct access."""
    access = session_access(state, session.id)
    return {"link_url": access.link_url, "ws_url": access.ws_url, "token": access.token}


def _listed(session: Session) -> schema.ListedSession:
    return schema.ListedSession(
        session_id=session.id,
        session_status=session.status,
        app_instance_id=_instance(session),
        image_id=session.image,
    )


def _instance(session: Session) -> str:
    return f"ai-{session.id[2:]}"
