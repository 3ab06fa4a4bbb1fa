"""Actions on contexts: get or create, list, rename, clear, delete."""

from __future__ import annotations

from typing import ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request


@attrs.define
class ContextRecord:
    """A context, as GetContext and ListContexts describe it."""

    id: str | None = None
    name: str | None = None
    state: str | None = None
    os_type: str | None = None
    create_time: str | None = None
    last_used_time: str | None = None


@attrs.define
class GetContext(Request[ContextRecord]):
    """Look up a context by name or id; with ``allow_create``, create it if it is missing.

    ``login_region_id`` is sent with ``allow_create`` only.
    """

    ACTION: ClassVar[str] = "GetContext"
    DATA: ClassVar[type] = ContextRecord
    # Names are unique in an account, so a second create returns the first context.
    REPEATABLE: ClassVar[bool] = True

    allow_create: bool = False
    name: str | None = None
    context_id: str | None = None
    login_region_id: str | None = None


@attrs.define
class ListContexts(Request[list[ContextRecord]]):
    """List contexts, page by page."""

    ACTION: ClassVar[str] = "ListContexts"
    DATA: ClassVar[object] = list[ContextRecord]
    REPEATABLE: ClassVar[bool] = True

    max_results: int | None = None
    next_token: str | None = None
    session_id: str | None = None
    context_type: str | None = None


@attrs.define
class ModifyContext(Request[None]):
    """Rename a context."""

    ACTION: ClassVar[str] = "ModifyContext"
    REPEATABLE: ClassVar[bool] = True

    id: str | None = None
    name: str | None = None


@attrs.define
class DeleteContext(Request[None]):
    """Delete a context and its files."""

    ACTION: ClassVar[str] = "DeleteContext"
    REPEATABLE: ClassVar[bool] = True

    id: str | None = None


@attrs.define
class ClearContext(Request[None]):
    """Start to delete all files of a context; the context keeps its id."""

    ACTION: ClassVar[str] = "ClearContext"
    REPEATABLE: ClassVar[bool] = True

    id: str | None = None
