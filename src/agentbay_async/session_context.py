"""``session.context``: files on their way between a session and its contexts.

A movement of files is a task of the service: it is asked for, runs in the background, and is
watched through the session's list of tasks (see :mod:`agentbay_async._sync.tasks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async._sync import convert as convert
from agentbay_async._sync.persistence import SYNC_TIMEOUT, downloaded, persistence
from agentbay_async._sync.tasks import fetch_tasks, wait_for_tasks
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.contexts import (
    ContextBinding,
    ContextBindingsResult,
    ContextInfoResult,
    ContextSyncResult,
    SyncReceipt,
)
from agentbay_async.models.sync_policy import ContextSync

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.models.context_status import ContextStatusData


class AsyncSessionContext:
    """Moves files between one session and its contexts, and says how that is going."""

    __slots__ = ("__weakref__", "_api", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    @returns_result(ContextInfoResult)
    async def info(
        self, context_id: str | None = None, path: str | None = None, task_type: str | None = None
    ) -> ContextInfoResult:
        """List the movements of files of this session, also those of the past.

        Args:
            context_id: Only those of this context.
            path: Only those of this mount path.
            task_type: Only ``"upload"`` or only ``"download"``.
        """
        for name, value in (("context_id", context_id), ("path", path), ("task_type", task_type)):
            if value is not None:
                _check.text(value, name)
        tasks, request_id = await fetch_tasks(
            self._api, self._session_id, context_id, path, task_type
        )
        return ContextInfoResult.ok(tasks, request_id)

    @returns_result(ContextSyncResult)
    async def sync(
        self,
        context_id: str | None = None,
        path: str | None = None,
        mode: Literal["upload", "download"] | None = None,
        *,
        timeout: float | timedelta = SYNC_TIMEOUT,
    ) -> ContextSyncResult:
        """Move files now, and wait until they have arrived.

        Args:
            context_id: Only this context; by default all that the session sees.
            path: Only this mount path.
            mode: ``"upload"`` (session to context, the default) or ``"download"``.
            timeout: Seconds (or a timedelta) to wait until all has arrived.

        Returns:
            A result whose ``receipt`` lists the finished tasks. A session without contexts has
            nothing to move, and answers with an empty receipt. A failed result carries
            SyncFailedError, SyncTimeoutError or SyncMissingError where files did not arrive.
        """
        limit = _check.seconds(timeout, "timeout")
        request = self._sync_request(context_id, path, mode)
        began = self._api.clock.monotonic()
        kind = mode or "upload"
        before = (await fetch_tasks(self._api, self._session_id, context_id, path, kind))[0]
        answer = await self._api.call(request)
        wanted = await self._wanted(context_id, path)
        if not wanted:
            return ContextSyncResult.ok(SyncReceipt(), answer.request_id)
        tasks = await self._arrival(wanted, kind, before, limit)
        return ContextSyncResult.ok(self._receipt(tasks, began), answer.request_id)

    def _receipt(self, tasks: Iterable[ContextStatusData], began: float) -> SyncReceipt:
        return SyncReceipt(tuple(tasks), self._api.clock.monotonic() - began)

    def _sync_request(
        self, context_id: str | None, path: str | None, mode: str | None
    ) -> schema.SyncContext:
        if mode not in (None, "upload", "download"):
            raise InvalidArgumentError(f"mode must be 'upload' or 'download', not {mode!r}")
        return schema.SyncContext(
            session_id=self._session_id,
            context_id=None if context_id is None else _check.identifier(context_id, "context_id"),
            path=None if path is None else _check.absolute_path(path, "path"),
            mode=mode,
        )

    async def _wanted(self, context_id: str | None, path: str | None) -> set[str]:
        """Return the ids of the contexts whose files must move."""
        if context_id is not None:
            return {context_id}
        bindings = (await self._bindings())[0]
        return {entry.context_id for entry in bindings if path is None or entry.path == path}

    async def _arrival(
        self, wanted: set[str], kind: str, before: Iterable[ContextStatusData], limit: float
    ) -> list[ContextStatusData]:
        return await wait_for_tasks(
            self._api, self._session_id, wanted, kind=kind, timeout=limit, before=before
        )

    @returns_result(ContextSyncResult)
    async def bind(
        self,
        *contexts: ContextSync,
        wait_for_completion: bool = True,
        timeout: float | timedelta = SYNC_TIMEOUT,
    ) -> ContextSyncResult:
        """Let the running session see more contexts. There is no way to unbind.

        Args:
            contexts: Which, where and how; at least one.
            wait_for_completion: Wait until their files have arrived.
            timeout: Seconds (or a timedelta) to wait.
        """
        limit = _check.seconds(timeout, "timeout")
        entries = persistence(_all_syncs(contexts))
        began = self._api.clock.monotonic()
        request = schema.BindContexts(session_id=self._session_id, persistence_data_list=entries)
        before = (await fetch_tasks(self._api, self._session_id, task_type="download"))[0]
        answer = await self._api.call(request)
        wanted = downloaded(contexts) if wait_for_completion else set()
        tasks = await self._arrival(wanted, "download", before, limit) if wanted else []
        return ContextSyncResult.ok(self._receipt(tasks, began), answer.request_id)

    @returns_result(ContextBindingsResult)
    async def list_bindings(self) -> ContextBindingsResult:
        """List the contexts that the session sees."""
        bindings, request_id = await self._bindings()
        return ContextBindingsResult.ok(bindings, request_id)

    async def _bindings(self) -> tuple[list[ContextBinding], str]:
        request = schema.DescribeSessionContexts(session_id=self._session_id)
        answer = await self._api.call(request)
        bindings = [convert.binding(entry) for entry in answer.data or ()]
        return bindings, answer.request_id


def _all_syncs(contexts: tuple[ContextSync, ...]) -> list[ContextSync]:
    if not contexts:
        raise InvalidArgumentError("contexts must not be empty; give at least one ContextSync")
    for sync in contexts:
        if not isinstance(sync, ContextSync):
            raise ArgumentTypeError(
                f"each of contexts must be a ContextSync, not {type(sync).__name__}"
            )
    return list(contexts)
