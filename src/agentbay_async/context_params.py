"""Which contexts to list: values only."""

from __future__ import annotations

import attrs

from agentbay_async import _check


@attrs.define
class ContextListParams:
    """Which page of contexts to list.

    Attributes:
        max_results: Contexts on a page. Default 10.
        next_token: Where to go on; ``""`` is the first page. May be assigned.
        session_id: Only the contexts of this session.

    Example:
        >>> ContextListParams(max_results=50).next_token
        ''
    """

    max_results: int = attrs.field(
        default=10, validator=lambda _self, field, value: _check.positive_int(value, field.name)
    )
    next_token: str = attrs.field(
        default="", validator=lambda _self, field, value: _check.string(value, field.name)
    )
    session_id: str | None = attrs.field(
        default=None,
        validator=lambda _self, field, value: value and _check.identifier(value, field.name),
    )
