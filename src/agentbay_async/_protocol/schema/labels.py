"""Actions on the labels of a session."""

from __future__ import annotations

from typing import ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request, as_json


@attrs.define
class SetLabel(Request[None]):
    """Replace the labels of a session.

    The service's documentation does not say whether it replaces or merges. Its examples always send
    the full set, so it is taken as replace.
    """

    ACTION: ClassVar[str] = "SetLabel"
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    labels: dict[str, str] | None = as_json()


@attrs.define
class LabelSet:
    """``Data`` of GetLabel."""

    labels: dict[str, str] | None = as_json()


@attrs.define
class GetLabel(Request[LabelSet]):
    """Get the labels of a session."""

    ACTION: ClassVar[str] = "GetLabel"
    DATA: ClassVar[type] = LabelSet
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    max_results: int | None = None
    next_token: str | None = None
