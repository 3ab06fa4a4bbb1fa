"""Actions that attach contexts to a session and move files between them."""

from __future__ import annotations

from typing import ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request, as_json, named


@attrs.define
class MountConfig:
    """How a context is mounted directly; ``object_key`` is in no client's public interface."""

    access_mode: str | None = None
    storage_mode: str | None = None
    object_key: str | None = None
    source_path: str | None = None


@attrs.define
class Persistence:
    """A context attached to a session. ``policy`` is JSON text inside the JSON of the list.

    ``type`` is ``"mount"``, with a ``mount_config``; a context whose files are copied has neither.
    """

    context_id: str | None = None
    path: str | None = None
    policy: str | None = None
    type: str | None = None
    mount_config: MountConfig | None = None


@attrs.define
class SyncContext(Request[None]):
    """Start to move files; ``mode`` is ``"upload"`` (session to context) or ``"download"``.

    All official clients send ``Authorization`` of this action in the query. Here it is sent in the
    form, as for every other action, because URLs end up in access logs. Only if the gateway answers
    that nobody is logged in is it sent in the query too.
    """

    ACTION: ClassVar[str] = "SyncContext"
    KEY_MAY_BE_IN_QUERY: ClassVar[bool] = True

    session_id: str | None = None
    context_id: str | None = None
    path: str | None = None
    mode: str | None = None


@attrs.define
class ContextTask:
    """A sync task. Its ``status`` is ``"Success"``, ``"Failed"``, or something else while it runs.

    ``files`` and ``bytes`` are not in the service's documentation, and may be missing.
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
    """Get the sync tasks of a session."""

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
    """A context attached to a session. ``policy`` is JSON text."""

    context_id: str | None = None
    context_name: str | None = None
    path: str | None = None
    policy: str | None = None
    bind_time: str | None = None


@attrs.define
class DescribeSessionContexts(Request[list[BindingRecord]]):
    """List the contexts attached to a session."""

    ACTION: ClassVar[str] = "DescribeSessionContexts"
    DATA: ClassVar[object] = list[BindingRecord]
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
