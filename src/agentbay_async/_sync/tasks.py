"""Transfer tasks of a session: list them, and wait for them.

The service keeps finished tasks in the list. Tasks that were listed before a request are therefore
remembered, so that they are not taken for its result.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from agentbay_async._clock import poll
from agentbay_async._protocol import codec, schema
from agentbay_async._sync import convert as convert
from agentbay_async.errors import (
    ContextSyncError,
    OperationTimeoutError,
    SyncFailedError,
    SyncMissingError,
    SyncTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentbay_async._api import Api
    from agentbay_async.models.context_status import ContextStatusData

logger = logging.getLogger("agentbay")


async def fetch_tasks(
    api: Api,
    session_id: str,
    context_id: str | None = None,
    path: str | None = None,
    task_type: str | None = None,
    deadline: float | None = None,
) -> tuple[list[ContextStatusData], str]:
    """Return the transfer tasks of a session, and the id of the request."""
    request = schema.GetContextInfo(
        session_id=session_id, context_id=context_id, path=path, task_type=task_type
    )
    answer = await api.call(request, deadline=deadline)
    text = None if answer.data is None else answer.data.context_status
    try:
        tasks = codec.tasks_from_text(schema.ContextTask, text)
    except ValueError as error:
        # Such a list proves nothing, and nothing is lost: a transfer without a task is unconfirmed.
        logger.warning("GetContextInfo: the tasks of %s cannot be read: %s", session_id, error)
        tasks = []
    return [convert.task(task) for task in tasks], answer.request_id


@attrs.frozen
class Arrival:
    """The outcome of a wait for transfers.

    Attributes:
        tasks: The finished tasks, each of them a success.
        confirmed: Whether each context has a finished task. Without a task the service may have had
            nothing to move, but nothing proves it.
    """

    tasks: tuple[ContextStatusData, ...]
    confirmed: bool


async def wait_for_tasks(
    api: Api,
    session_id: str,
    context_ids: set[str],
    *,
    kind: str,
    timeout: float,
    before: Iterable[ContextStatusData] = (),
    strict: bool | None = None,
) -> Arrival:
    """Wait until the transfers of contexts are finished.

    The cloud often lists no task when there is nothing to move: for an empty context, or after a
    bind. So a context without a new task within ``settings.task_listing_timeout`` is waited for no
    longer, and the arrival is not confirmed.

    Args:
        api: The service.
        session_id: The session.
        context_ids: Ids of the contexts.
        kind: ``"upload"`` or ``"download"``.
        timeout: Seconds to wait in all.
        before: Tasks that were listed before the transfer was requested; they prove nothing.
        strict: Whether a context without a task is an error. Default ``settings.strict_sync``.

    Raises:
        SyncFailedError: A task failed.
        SyncTimeoutError: A task was not finished in time.
        SyncMissingError: With `strict`: the service lists no task for a context.
    """
    old = Counter(_identity(task) for task in before)
    give_up = api.clock.monotonic() + api.settings.task_listing_timeout
    tasks: list[ContextStatusData] = []

    async def fetch() -> list[ContextStatusData]:
        nonlocal tasks
        listed = (await fetch_tasks(api, session_id, task_type=kind))[0]
        tasks = [task for task in _since(old, listed) if task.context_id in context_ids]
        return tasks

    def done(listed: list[ContextStatusData]) -> bool:
        if _missing(context_ids, listed) and api.clock.monotonic() <= give_up:
            return False
        return all(task.finished for task in listed)

    try:
        await poll(fetch, done, clock=api.clock, timeout=timeout, what=f"the {kind}")
    except OperationTimeoutError:
        names = _joined(f"{t.context_id} at {t.path}" for t in tasks if not t.finished)
        message = f"{kind} of {names or _joined(context_ids)} did not finish within {timeout:g} s"
        raise _error(SyncTimeoutError, message, session_id, tasks) from None
    _raise_failed(tasks, kind, session_id)
    missing = _missing(context_ids, tasks)
    if missing and (api.settings.strict_sync if strict is None else strict):
        message = f"the service lists no {kind} of {_joined(missing)}"
        raise _error(SyncMissingError, message, session_id, tasks)
    return Arrival(tuple(tasks), confirmed=not missing)


def _missing(context_ids: set[str], tasks: Iterable[ContextStatusData]) -> set[str]:
    return context_ids - {task.context_id for task in tasks}


def _identity(task: ContextStatusData) -> tuple[str, str, str, int | None]:
    return task.context_id, task.path, task.task_type, task.start_time


def _since(
    old: Counter[tuple[str, str, str, int | None]], tasks: Iterable[ContextStatusData]
) -> list[ContextStatusData]:
    """Return the tasks that are not in `old`, or occur more often than in `old`.

    Times are whole seconds, so tasks of the same second can only be told apart by counting.
    """
    seen: Counter[tuple[str, str, str, int | None]] = Counter()
    new = []
    for task in tasks:
        seen[_identity(task)] += 1
        if seen[_identity(task)] > old[_identity(task)]:
            new.append(task)
    return new


def _raise_failed(tasks: list[ContextStatusData], kind: str, session_id: str) -> None:
    failed = [task for task in tasks if task.failed]
    if failed:
        reasons = "; ".join(
            f"{task.context_id} at {task.path}: {task.error_message or 'no reason given'}"
            for task in failed
        )
        raise _error(SyncFailedError, f"{kind} failed: {reasons}", session_id, failed)


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _error(
    error_type: type[ContextSyncError],
    message: str,
    session_id: str,
    tasks: Iterable[ContextStatusData],
) -> ContextSyncError:
    error = error_type(message, session_id=session_id)
    error.tasks = tuple(tasks)
    return error
