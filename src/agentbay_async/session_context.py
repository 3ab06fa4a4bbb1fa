"""``session.context``: transfer files between a session and its contexts.

A transfer is a background task of the service. The client starts it and polls the session's list
of tasks (see :mod:`agentbay_async._sync.tasks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async._sync import convert as convert
from agentbay_async._sync.persistence import SYNC_TIMEOUT, downloaded, persistence
from agentbay_async._sync.tasks import Arrival, fetch_tasks, wait_for_tasks
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    ContextSyncError,
    InvalidArgumentError,
    SessionNotFoundError,
    SyncUnknownError,
)
from agentbay_async.models.context_mount import BetaContextMount
from agentbay_async.models.contexts import (
    ContextBinding,
    ContextBindingsResult,
    ContextInfoResult,
    ContextSyncResult,
    SyncReceipt,
)
from agentbay_async.models.results import returns_result
from agentbay_async.models.sync_policy import ContextSync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.models.context_status import ContextStatusData
    from agentbay_async.session import AsyncSession


# How the official client looks whether a sync is done: how often, and the pauses in milliseconds.
_LOOKS = 150
_LOOK_PAUSE = 500
_LOOK_GROWTH = 1.1
_LONGEST_PAUSE = 5000
# So many pauses of 1 ms, each a tenth longer, until the longest.
_GROWING = 100


class AsyncSessionContext:
    """Transfer files between a session and its contexts, and report the state of transfers."""

    __slots__ = ("__weakref__", "_api", "_find_session", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    @returns_result(ContextInfoResult)
    async def info(
        self, context_id: str | None = None, path: str | None = None, task_type: str | None = None
    ) -> ContextInfoResult:
        """List the file transfers of this session, finished ones included.

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
        max_retries: int | None = None,
        retry_interval: int | None = None,
        *,
        timeout: float | timedelta | None = None,
        strict: bool | None = None,
    ) -> ContextSyncResult:
        """Transfer files now, and wait until they have arrived.

        Args:
            context_id: Only this context; by default all contexts of the session.
            path: Only this mount path.
            mode: ``"upload"`` (session to context, the default) or ``"download"``.
            max_retries: The official client's form of `timeout`: the number of its looks.
            retry_interval: Milliseconds before its second look; each wait is a tenth longer than
                the one before, up to 5 seconds. The two last 11 minutes by default.
            timeout: Seconds (or a timedelta) to wait until all files have arrived. Default 300.
            strict: Whether it is an error if the service lists no task for a context. Default
                ``Config.strict_sync``, which is off.

        Returns:
            A result whose ``receipt`` lists the finished tasks. ``receipt.confirmed`` tells whether
            they prove that all files arrived; the service often lists no task when there is nothing
            to move. A session without contexts has nothing to move. A failed result carries
            SyncFailedError, SyncTimeoutError or, if `strict`, SyncMissingError.
        """
        limit = _sync_limit(timeout, max_retries, retry_interval)
        request = self._sync_request(context_id, path, mode)
        began = self._api.clock.monotonic()
        kind = mode or "upload"
        access = self._api.access.get(self._session_id)
        changes = None if access is None else access.changes
        deadline = self._api.deadline(limit)
        listed = await fetch_tasks(self._api, self._session_id, context_id, path, kind, deadline)
        answer = await self._api.call(request, deadline=deadline)
        context_ids = await self._affected_ids(context_id, path, deadline)
        limit = min(limit, deadline - self._api.clock.monotonic())
        if context_ids:
            arrival = await self._arrival(context_ids, kind, listed[0], limit, strict)
        else:
            arrival = Arrival((), confirmed=True)
        saves_all = kind == "upload" and context_id is None and path is None
        if access is not None and saves_all and arrival.confirmed:
            access.saved_changes = changes
        return ContextSyncResult.ok(self._receipt(arrival, began), answer.request_id)

    async def _save(self) -> None:
        """Upload all files before the session is deleted.

        Raises:
            SyncUnknownError: The session is gone, and whether its files were saved is unknown.
            ContextSyncError: They could not be saved.
        """
        access = self._api.access.get(self._session_id)
        try:
            (await self.sync(mode="upload")).unwrap()
        except SessionNotFoundError as gone:
            if access is not None and access.is_saved:
                return
            raise _unknown(self._session_id, gone) from gone
        except AgentBayError as error:
            raise ContextSyncError(
                f"{self._session_id} was not deleted, because its files could not be saved: "
                f"{error.message}",
                request_id=error.request_id,
                session_id=self._session_id,
                hint="Try again, or pass force=True to give the files up",
            ) from error

    def _receipt(self, arrival: Arrival, began: float) -> SyncReceipt:
        duration = self._api.clock.monotonic() - began
        return SyncReceipt(arrival.tasks, duration, arrival.confirmed)

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

    async def _affected_ids(
        self, context_id: str | None, path: str | None, deadline: float
    ) -> set[str]:
        """Return the ids of the contexts whose files must move."""
        if context_id is not None:
            return {context_id}
        bindings = (await self._bindings(deadline))[0]
        return {entry.context_id for entry in bindings if path is None or entry.path == path}

    async def _arrival(
        self,
        context_ids: set[str],
        kind: str,
        before: Iterable[ContextStatusData],
        limit: float,
        strict: bool | None,
    ) -> Arrival:
        return await wait_for_tasks(
            self._api,
            self._session_id,
            context_ids,
            kind=kind,
            timeout=limit,
            before=before,
            strict=strict,
        )

    @returns_result(ContextSyncResult)
    async def bind(
        self,
        *contexts: ContextSync | BetaContextMount,
        wait_for_completion: bool = True,
        timeout: float | timedelta = SYNC_TIMEOUT,
        strict: bool | None = None,
    ) -> ContextSyncResult:
        """Mount more contexts in the running session. They cannot be unmounted.

        Args:
            contexts: The contexts, with their paths and policies; at least one. A
                :class:`BetaContextMount` is mounted directly, and has no files to wait for.
            wait_for_completion: Wait until their files have arrived.
            timeout: Seconds (or a timedelta) to wait.
            strict: Whether it is an error if the service lists no download for a context. Default
                ``Config.strict_sync``, which is off.
        """
        limit = _check.seconds(timeout, "timeout")
        syncs, mounts = _checked(contexts)
        entries = persistence(syncs, mounts)
        began = self._api.clock.monotonic()
        request = schema.BindContexts(session_id=self._session_id, persistence_data_list=entries)
        deadline = self._api.deadline(limit)
        before, _ = await fetch_tasks(
            self._api, self._session_id, task_type="download", deadline=deadline
        )
        answer = await self._api.call(request, deadline=deadline)
        limit = min(limit, deadline - self._api.clock.monotonic())
        context_ids = downloaded(syncs) if wait_for_completion else set()
        if (access := self._api.access.get(self._session_id)) is not None:
            access.has_contexts = True
            access.saved_changes = None
        if context_ids:
            arrival = await self._arrival(context_ids, "download", before, limit, strict)
        else:
            arrival = Arrival((), confirmed=wait_for_completion)
        return ContextSyncResult.ok(self._receipt(arrival, began), answer.request_id)

    @returns_result(ContextBindingsResult)
    async def list_bindings(self) -> ContextBindingsResult:
        """List the contexts of the session."""
        bindings, request_id = await self._bindings()
        return ContextBindingsResult.ok(bindings, request_id)

    async def _bindings(self, deadline: float | None = None) -> tuple[list[ContextBinding], str]:
        request = schema.DescribeSessionContexts(session_id=self._session_id)
        answer = await self._api.call(request, deadline=deadline)
        bindings = [convert.binding(entry) for entry in answer.data or ()]
        return bindings, answer.request_id


def _sync_limit(
    timeout: float | timedelta | None, max_retries: int | None, retry_interval: int | None
) -> float:
    """Return the seconds to wait for a sync, as `timeout` or the official client's looks say."""
    if timeout is not None:
        if max_retries is not None or retry_interval is not None:
            raise InvalidArgumentError("timeout excludes max_retries and retry_interval; give one")
        return _check.seconds(timeout, "timeout")
    if max_retries is None and retry_interval is None:
        return SYNC_TIMEOUT
    looks = _LOOKS if max_retries is None else _check.positive_int(max_retries, "max_retries")
    pause = (
        _LOOK_PAUSE
        if retry_interval is None
        else _check.positive_int(retry_interval, "retry_interval")
    )
    # Beyond this, every pause is the longest.
    growing = min(looks, _GROWING)
    total = sum(min(pause * _LOOK_GROWTH**number, _LONGEST_PAUSE) for number in range(growing))
    return (total + (looks - growing) * _LONGEST_PAUSE) / 1000


def _checked(
    contexts: tuple[ContextSync | BetaContextMount, ...],
) -> tuple[list[ContextSync], list[BetaContextMount]]:
    if not contexts:
        raise InvalidArgumentError("contexts must not be empty; give at least one ContextSync")
    for context in contexts:
        if not isinstance(context, (ContextSync, BetaContextMount)):
            raise ArgumentTypeError(
                f"each of contexts must be a ContextSync, not {type(context).__name__}"
            )
    syncs = [context for context in contexts if isinstance(context, ContextSync)]
    return syncs, [context for context in contexts if isinstance(context, BetaContextMount)]


def _unknown(session_id: str, gone: SessionNotFoundError) -> SyncUnknownError:
    reason = f" ({gone.reason})" if gone.reason else ""
    return SyncUnknownError(
        f"{session_id} is already gone{reason}, and it is unknown whether its files were saved:"
        " this client has no confirmed upload after its last change",
        request_id=gone.request_id,
        session_id=session_id,
        hint="Look at the files of its contexts, or pass force=True if they do not matter",
    )
