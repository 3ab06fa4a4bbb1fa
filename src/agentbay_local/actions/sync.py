"""Contexts in sessions: bind them, transfer their files, report the transfers."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from agentbay_async._protocol import schema
from agentbay_async._protocol.codec import tasks_to_text
from agentbay_async._protocol.policy import policy_from_text
from agentbay_local.actions.beta import not_offered
from agentbay_local.actions.session_paths import check_session_path
from agentbay_local.clock import iso
from agentbay_local.contexts.mount_paths import key_of_mount_path, mount_path_of
from agentbay_local.contexts.sync import DOWNLOAD, UPLOAD
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import invalid, missing, no_context, required, valid_text
from agentbay_local.store.bindings import PathTakenError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_local.state import ServiceState
    from agentbay_local.store import Binding, Session, Task

_LIST = "PersistenceDataList"
_MAX_BINDINGS = 50
_MAX_ID = 256

BindingToAdd = tuple[str, str, str]
"""Context id, path and policy of a context to bind."""


def checked_bindings(
    state: ServiceState, items: Sequence[schema.Persistence], *, may_be_new: bool = False
) -> list[BindingToAdd]:
    """Check the contexts to bind, before anything is stored.

    Args:
        state: The service.
        items: The contexts, with their paths and policies.
        may_be_new: A context need not exist; `add_missing_contexts` adds it.

    Raises:
        ApiError: One does not exist, or its path or policy is wrong.
    """
    if len(items) > _MAX_BINDINGS:
        raise invalid(_LIST, f"has {len(items)} entries; at most {_MAX_BINDINGS} are allowed.")
    to_bind = [_checked_binding(state, item, may_be_new) for item in items]
    paths = [path for _, path, _ in to_bind]
    for path in paths:
        if paths.count(path) > 1:
            raise invalid(_LIST, f"names the path {path!r} more than once.")
    return to_bind


def _checked_binding(
    state: ServiceState, item: schema.Persistence, may_be_new: bool
) -> BindingToAdd:
    if item.type == "mount" or item.mount_config is not None:
        raise not_offered(f"{_LIST}.MountConfig", "contexts that are mounted directly")
    valid_text(_LIST, item.context_id or "")
    valid_text(_LIST, item.policy or "")
    context_id = required(item.context_id, f"{_LIST}.ContextId")
    if not may_be_new:
        state.context(context_id)
    elif len(context_id) > _MAX_ID or not context_id.isprintable():
        raise invalid(
            f"{_LIST}.ContextId", f"must be printable, with at most {_MAX_ID} characters."
        )
    try:
        policy_from_text(item.policy)
    except (ValueError, TypeError, RecursionError) as error:
        raise invalid(f"{_LIST}.Policy", f"cannot be read: {error!s:.200}") from error
    return context_id, check_session_path(item.path, f"{_LIST}.Path"), item.policy or ""


def add_missing_contexts(state: ServiceState, to_bind: Sequence[BindingToAdd]) -> None:
    """Add the contexts of a new session that do not exist yet, empty and named like their id.

    The cloud creates a session with the id of a context that it does not know.
    """
    for context_id, _, _ in to_bind:
        if state.store.contexts.get(context_id) is None:
            taken = state.store.contexts.by_name(context_id) is not None
            name = f"{context_id}-{secrets.token_hex(4)}" if taken else context_id
            state.store.contexts.add(context_id, name, state.clock.time())


def attach(state: ServiceState, session: Session, to_bind: Sequence[BindingToAdd]) -> None:
    """Bind contexts to a session and start to download their files.

    Raises:
        ApiError: The session has a context at one of the paths; then none is bound.
    """
    try:
        bindings = state.store.bindings.add(session.id, to_bind, state.clock.time())
    except PathTakenError as taken:
        path = taken.args[0]
        raise invalid(_LIST, f"names {path!r}, where the session has a context already.") from None
    for binding in bindings:
        policy = policy_from_text(binding.policy)
        _add_mount_path(state, binding.context_id, mount_path_of(binding.path, policy))
        state.syncing.start(binding, DOWNLOAD, move=policy.download_policy.auto_download)


def _add_mount_path(state: ServiceState, context_id: str, mount_path: str) -> None:
    context = state.context(context_id)
    if mount_path not in context.mount_paths:
        has_files = state.files.current(context_id).has_directory
        key = key_of_mount_path(context.mount_paths, mount_path, has_files)
        state.store.contexts.set_mount_paths(context_id, {**context.mount_paths, mount_path: key})


async def bind(state: ServiceState, request: schema.BindContexts) -> Answer:
    """Bind more contexts to a session."""
    session = state.running_session(request.session_id)
    if not request.persistence_data_list:
        raise missing(_LIST)
    attach(state, session, checked_bindings(state, request.persistence_data_list))
    return Answer()


async def bindings(state: ServiceState, request: schema.DescribeSessionContexts) -> Answer:
    """List the contexts of a session."""
    session = state.session(request.session_id)
    return Answer([_binding(state, entry) for entry in _user_bindings(state, session)])


def _user_bindings(state: ServiceState, session: Session) -> list[Binding]:
    """Return the bindings of users, without the session's internal context."""
    own = state.store.contexts.own(session.id)
    bindings = state.store.bindings.of(session.id)
    return [entry for entry in bindings if own is None or entry.context_id != own.id]


def _binding(state: ServiceState, binding: Binding) -> schema.BindingRecord:
    context = state.store.contexts.get(binding.context_id)
    return schema.BindingRecord(
        context_id=binding.context_id,
        context_name=context.name if context else None,
        path=binding.path,
        policy=binding.policy or None,
        bind_time=iso(binding.bound),
    )


async def start(state: ServiceState, request: schema.SyncContext) -> Answer:
    """Start to transfer the files of one context, of one path, or of all contexts of a session."""
    session = state.running_session(request.session_id)
    kind = (request.mode or UPLOAD).lower()
    if kind not in (UPLOAD, DOWNLOAD):
        raise invalid("Mode", f"must be {UPLOAD!r} or {DOWNLOAD!r}, not {request.mode!r:.40}.")
    selected = _selected_bindings(state, session, request.context_id, request.path)
    if kind == UPLOAD:
        await state.browsers.flush(session.id)
    for binding in selected:
        state.syncing.start(binding, kind, request.path or "")
    return Answer()


def _selected_bindings(
    state: ServiceState, session: Session, context_id: str | None, path: str | None
) -> list[Binding]:
    bindings = state.store.bindings.of(session.id)
    if context_id:
        bindings = [binding for binding in bindings if binding.context_id == context_id]
        if not bindings:
            raise no_context(context_id)
        own = state.store.contexts.own(session.id)
        if path and own is not None and own.id == context_id:
            check_session_path(path, "Path")
            return bindings
    if not path:
        return bindings if context_id else _user_bindings(state, session)
    if ".." in path.split("/") or "\0" in path:
        raise invalid("Path", "must not contain '..' or NUL.")
    # Mounts can be nested: the innermost one owns the path.
    mounts = [entry for entry in bindings if f"{path.rstrip('/')}/".startswith(f"{entry.path}/")]
    if not mounts:
        raise invalid("Path", f"{path!r:.200} is not within a context of this session.")
    return [max(mounts, key=lambda entry: len(entry.path))]


async def info(state: ServiceState, request: schema.GetContextInfo) -> Answer:
    """Report the transfers of a session."""
    session = state.session(request.session_id)
    tasks = state.store.bindings.tasks(
        session.id,
        request.context_id or None,
        request.path or None,
        (request.task_type or "").lower() or None,
    )
    own = None if request.context_id else state.store.contexts.own(session.id)
    shown = (_task(task) for task in tasks if own is None or task.context_id != own.id)
    return Answer(schema.ContextInfo(context_status=tasks_to_text(shown)))


def _task(task: Task) -> schema.ContextTask:
    return schema.ContextTask(
        context_id=task.context_id,
        path=task.path,
        task_type=task.kind,
        status=task.status,
        error_message=task.error or None,
        start_time=int(task.started),
        finish_time=None if task.finished is None else int(task.finished),
    )
