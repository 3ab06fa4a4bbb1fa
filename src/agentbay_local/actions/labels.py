"""The labels of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import schema
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import invalid, missing, valid_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.state import ServiceState

# Each label is an index entry, so their number and size need limits. Those of the cloud are not
# known; these are far above any real use.
_MAX_LABELS = 100
_MAX_KEY = 256
_MAX_VALUE = 4096


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels that can be stored.

    Raises:
        ApiError: There are too many, or a key or value is blank, too long or not valid text.
    """
    if len(labels) > _MAX_LABELS:
        raise invalid("Labels", f"has {len(labels)} entries; at most {_MAX_LABELS} are allowed.")
    for key, value in labels.items():
        _check(f"the key {key!r:.60}", key, _MAX_KEY)
        _check(f"the value of {key!r:.60}", value, _MAX_VALUE)
    return dict(labels)


def _check(what: str, text: str, max_length: int) -> None:
    if not text.strip():
        raise invalid("Labels", f"must not be blank: {what}.")
    if len(text) > max_length:
        raise invalid("Labels", f"is too long: {what} may have {max_length} characters.")
    valid_text("Labels", text)


async def replace(state: ServiceState, request: schema.SetLabel) -> Answer:
    """Replace all labels of a session; the cloud does not document whether it merges them."""
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
