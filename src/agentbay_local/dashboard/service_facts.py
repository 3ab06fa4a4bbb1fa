"""What the overview page shows of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_local.clock import iso
from agentbay_local.dashboard.calls import calls_after
from agentbay_local.manual_clock import ManualClock
from agentbay_local.urls import control_url, resource_url

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Context, Session

__all__ = ["service_facts"]

# Rows of a table. A service may have ten thousand sessions, and a browser must draw them.
_MOST = 200


def service_facts(state: ServiceState, after: int) -> dict[str, Any]:
    """Return sessions, contexts, test controls, and the calls after a number.

    Args:
        state: The service.
        after: See `calls_after`.
    """
    sessions = sorted(state.store.sessions.live(), key=lambda one: one.created, reverse=True)
    contexts = state.store.contexts.page(_MOST, None)
    clock = state.clock
    return {
        "endpoint": state.endpoint,
        "isolation": state.sandboxes.isolation.value,
        "time": iso(clock.time()),
        "manual_clock": isinstance(clock, ManualClock),
        "sessions": [_session(state, one) for one in sessions[:_MOST]],
        "session_count": len(sessions),
        "contexts": [_context(state, one) for one in contexts],
        "context_count": state.store.contexts.count(),
        "faults": [rule.as_json() for rule in state.instruments.faults],
        **calls_after(state.instruments.journal, after),
    }


def _session(state: ServiceState, session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "image": session.image,
        "status": session.status,
        "created": iso(session.created),
        "labels": state.store.sessions.labels(session.id),
        "started": state.sandboxes.alive(session.id) is not None,
        "page": resource_url(state, session.id),
        "control": control_url(state, session.id),
    }


def _context(state: ServiceState, context: Context) -> dict[str, Any]:
    return {
        "id": context.id,
        "name": context.name,
        "state": context.state,
        "used": iso(context.used),
        "version": state.files.version(context.id),
    }
