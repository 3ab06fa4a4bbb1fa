"""Actions that attach contexts to a session and move files between them."""

from __future__ import annotations

from typing import ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request, as_json, named


@attrs.define
class Persistence:
    """A context attached to a session. ``policy`` is JSON text inside the JSON of the list."""

    context_id: str | None = None
    path: str | None = None
    policy: str | None = None


@attrs.define
class SyncContext(Request[None]):
    """Start to move files; ``mode`` is ``"upload"`` (session to context) or ``"download"``.

    Official clients send this action's ``Authorization`` in the query. We send it in the form, as
    with every other action, because URLs end up in access logs and the gateway reads parameters
    from both places.
    """

    ACTION: ClassVar[str] = "SyncContext"

    session_id: str | None = None
    context_id: str | None = None
    path: str | None = None
    mode: str | None = None


@attrs.define
class ContextTask:
    """One movement of files. ``status`` is ``"Success"``, ``"Failed"``, or it is still going on.

    ``files`` and ``bytes`` are not in the service's documentation; they are read where they are.
    """

    context_id: str | None = named("contextId")
    path: str | None = named("path")
    task_type: str | None = named("taskType")
    status: str | None = named("status")
    error_message: str | None = named("errorMessage")
    start_time: int | None = named("startTime")
    finish_time: int | None = named("finishTime")
    files: int | None = named("files")
    bytes: int | None = named("bytes")


@attrs.define
class ContextInfo:
    """``Data`` of GetContextInfo: the tasks, as JSON in JSON in JSON."""

    context_status: str | None = None


@attrs.define
class GetContextInfo(Request[ContextInfo]):
    """Ask how the movements of files of a session are going."""

    ACTION: ClassVar[str] = "GetContextInfo"
    DATA: ClassVar[type] = ContextInfo
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    context_id: str | None = None
    path: str | None = None
    task_type: str | None = None


@attrs.define
class BindContexts(Request[None]):
    """Attach more contexts to a running session."""

    ACTION: ClassVar[str] = "BindContexts"

    session_id: str | None = None
    persistence_data_list: list[Persistence] | None = as_json()


@attrs.define
class BindingRecord:
    """A context that is attached to a session. ``policy`` is JSON text."""

    context_id: str | None = None
    context_name: str | None = None
    path: str | None = None
    policy: str | None = None
    bind_time: str | None = None


@attrs.define
class DescribeSessionContexts(Request[list[BindingRecord]]):
    """Ask which contexts are attached to a session."""

    ACTION: ClassVar[str] = "DescribeSessionContexts"
    DATA: ClassVar[object] = list[BindingRecord]
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
