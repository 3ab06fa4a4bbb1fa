"""The service's file store: whole files between its bucket and a session.

Each transfer uses a unique name in the store's directory of the session, so that the task of an
earlier transfer is never mistaken for this one. It requests one synchronization, and waits for the
task with exactly that path.
"""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import attrs

from agentbay_async._clock import poll
from agentbay_async._protocol import schema
from agentbay_async._sync.tasks import fetch_tasks
from agentbay_async.errors import (
    AgentBayError,
    APIError,
    AuthenticationError,
    BadAnswerError,
    ContextSyncError,
    ServiceError,
    SessionNotFoundError,
    ThrottledError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_async._api import Api
    from agentbay_async._sync.transfers import Progress
    from agentbay_async.models.context_status import ContextStatusData

logger = logging.getLogger("agentbay")

# Errors that leave open whether there is a store. Any other error means that there is none.
_STORE_UNKNOWN = (AuthenticationError, SessionNotFoundError, ThrottledError, ServiceError)


@attrs.frozen
class Options:
    """How a file is transferred.

    Attributes:
        progress: Called after every chunk.
        timeout: Seconds for the move between store and session.
        interval: Longest pause between two looks whether it is done, in seconds.
        wait: Whether to wait for that move. Without it, the file is not verified in the session.
        content_type: The content type of the file in the store, or ``""``.
    """

    progress: Progress | None = None
    timeout: float = 300.0
    interval: float | None = None
    wait: bool = True
    content_type: str = ""


@attrs.frozen
class FileStore:
    """The file store of one session, mounted there at `path`."""

    api: Api
    session_id: str
    context_id: str
    path: str

    @asynccontextmanager
    async def temporary_path(self) -> AsyncIterator[str]:
        """Provide a unique path in the store; the store's copy is deleted at the end."""
        path = f"{self.path.rstrip('/')}/agentbay-{os.urandom(8).hex()}"
        try:
            yield path
        finally:
            await self._delete(path)

    async def _delete(self, path: str) -> None:
        request = schema.DeleteContextFile(context_id=self.context_id, file_path=path)
        try:
            await self.api.call(request)
        except AgentBayError as error:
            # Not raised: the file has arrived, or a more important error is being raised.
            logger.debug("%s: could not delete %s from the store: %s", self.session_id, path, error)

    async def upload_url(self, path: str) -> tuple[str, str]:
        """Return a URL for a PUT request with the file, and the id of this request."""
        kind = schema.GetContextFileUploadUrl
        answer = await self.api.call(kind(context_id=self.context_id, file_path=path))
        return _check_url(kind.ACTION, answer.data, answer.request_id), answer.request_id

    async def download_url(self, path: str) -> tuple[str, str]:
        """Return a URL for a GET request for the file, and the id of this request."""
        kind = schema.GetContextFileDownloadUrl
        answer = await self.api.call(kind(context_id=self.context_id, file_path=path))
        return _check_url(kind.ACTION, answer.data, answer.request_id), answer.request_id

    async def sync(self, path: str, mode: str, options: Options) -> str:
        """Have the file moved between store and session; return the id of the request.

        Args:
            path: The file.
            mode: ``"download"`` (from the store into the session) or ``"upload"``.
            options: Whether to wait until it is done, how long, and how often to look.

        Raises:
            ContextSyncError: The move failed.
            OperationTimeoutError: The move took longer than allowed.
        """
        request = schema.SyncContext(
            session_id=self.session_id, context_id=self.context_id, path=path, mode=mode
        )
        access = self.api.access.get(self.session_id)
        # A download into the session changes its files, an upload from it does not.
        with nullcontext() if access is None or mode == "upload" else access.changing():
            deadline = self.api.deadline(options.timeout)
            answer = await self.api.call(request, deadline=deadline)
            if options.wait:
                limit = min(options.timeout, deadline - self.api.clock.monotonic())
                tasks = await self._wait_for_tasks(path, mode, limit, options.interval)
                _check_tasks(tasks, path, mode, self.session_id)
            elif access is not None and mode == "download":
                # The file changes after this call.
                access.can_change_unseen = True
        return answer.request_id

    async def _wait_for_tasks(
        self, path: str, mode: str, timeout: float, interval: float | None
    ) -> list[ContextStatusData]:
        """Return the tasks of `path` once one of them has ended."""

        async def fetch_own_tasks() -> list[ContextStatusData]:
            tasks, _ = await fetch_tasks(
                self.api, self.session_id, self.context_id, path, task_type=mode
            )
            return [task for task in tasks if _matches(task, self.context_id, path, mode)]

        return await poll(
            fetch_own_tasks,
            lambda tasks: any(_has_ended(task) for task in tasks),
            clock=self.api.clock,
            timeout=timeout,
            what=f"the {mode} of {path}",
            interval=interval,
        )


def _check_tasks(tasks: list[ContextStatusData], path: str, mode: str, session_id: str) -> None:
    """Raise the error of a task that failed."""
    failed = [task for task in tasks if task.failed or (task.error_message and not task.finished)]
    if failed:
        reason = failed[0].error_message or failed[0].status
        error = ContextSyncError(f"the {mode} of {path} failed: {reason}", session_id=session_id)
        error.tasks = tuple(failed)
        raise error


async def open_store(api: Api, session_id: str) -> FileStore | None:
    """Return the file store of a session; ``None`` if the service offers none."""
    request = schema.GetAndLoadInternalContext(session_id=session_id)
    try:
        answer = await api.call(request)
    except _STORE_UNKNOWN:
        raise
    except APIError as error:
        logger.debug("%s: no file store: %s", session_id, error)
        return None
    for entry in answer.data or ():
        if entry.context_id and entry.context_path:
            return FileStore(api, session_id, entry.context_id, entry.context_path)
    return None


def _matches(task: ContextStatusData, context_id: str, path: str, mode: str) -> bool:
    return (task.context_id, task.path, task.task_type) == (context_id, path, mode)


def _has_ended(task: ContextStatusData) -> bool:
    return task.finished or bool(task.error_message)


def _check_url(action: str, data: schema.FileUrl | None, request_id: str) -> str:
    if data is None or not data.url:
        raise BadAnswerError(f"{action}: the answer holds no URL", request_id=request_id)
    return data.url
