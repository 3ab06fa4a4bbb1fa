"""The labels of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._protocol import schema
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import invalid, missing, valid_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.state import ServiceState

# Limits and words are those of the cloud's documents and clients.
_MAX_LABELS = 20
_MAX_KEY = 128
_MAX_VALUE = 256


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels that can be stored.

    Raises:
        ApiError: There are too many, or a key or value is blank, too long or not valid text.
    """
    if len(labels) > _MAX_LABELS:
        raise invalid("Labels:", f"Maximum {_MAX_LABELS} labels allowed")
    for key, value in labels.items():
        _check(f"the key {key!r:.60}", key)
        _check(f"the value of {key!r:.60}", value)
        if len(key) > _MAX_KEY:
            raise invalid("Labels:", f"Label key cannot exceed {_MAX_KEY} characters: {key:.60}")
        if len(value) > _MAX_VALUE:
            raise invalid(
                "Labels:", f"Label value cannot exceed {_MAX_VALUE} characters for key: {key:.60}"
            )
    return dict(labels)


def _check(what: str, text: str) -> None:
    if not text.strip():
        raise invalid("Labels", f"must not be blank: {what}.")
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
