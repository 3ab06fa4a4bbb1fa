"""The labels of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import schema
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import invalid, missing, valid_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.state import ServiceState

# Each label is an index entry, so their number and size are bounded. The real bounds are not
# known; these are far beyond what labels are for.
_MOST = 100
_LONGEST_KEY = 256
_LONGEST_VALUE = 4096


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels that can be stored.

    Raises:
        Problem: There are too many, or a key or value is blank, too long or no text.
    """
    if len(labels) > _MOST:
        raise invalid("Labels", f"has {len(labels)} entries; at most {_MOST} are allowed.")
    for key, value in labels.items():
        _check(f"the key {key!r:.60}", key, _LONGEST_KEY)
        _check(f"the value of {key!r:.60}", value, _LONGEST_VALUE)
    return dict(labels)


def _check(what: str, text: str, longest: int) -> None:
    if not text.strip():
        raise invalid("Labels", f"must not be blank: {what}.")
    if len(text) > longest:
        raise invalid("Labels", f"is too long: {what} may have {longest} characters.")
    valid_text("Labels", text)


async def replace(state: ServiceState, request: schema.SetLabel) -> Answer:
    """Replace all labels of a session; whether the real service merges is not documented."""
    session = state.session(request.session_id)
    if request.labels is None:
        raise missing("Labels")
    state.store.sessions.set_labels(session.id, checked_labels(request.labels))
    return Answer()


async def get(state: ServiceState, request: schema.GetLabel) -> Answer:
    """Return the labels of a session."""
    session = state.session(request.session_id)
    labels = state.store.sessions.labels(session.id)
    return Answer(schema.LabelSet(labels=labels), max_results=len(labels), total_count=len(labels))
