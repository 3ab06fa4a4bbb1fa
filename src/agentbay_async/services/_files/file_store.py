"""The store through which the service carries whole files to and from a session.

A file travels under a name of its own in the store's directory of the session, so that no earlier
transfer can be taken for it, and is then moved to where it belongs. Each transfer asks for one
synchronisation, and waits for the task of exactly its own path.
"""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs

from agentbay_async._polling import poll
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
    from agentbay_async.models.context_status import ContextStatusData

logger = logging.getLogger("agentbay")

# These say that the question was not answered, and not that there is no such store.
_NO_ANSWER = (AuthenticationError, SessionNotFoundError, ThrottledError, ServiceError)
# Images spell the end of a task in several ways.
_DONE = frozenset({"success", "successful", "ok", "finished", "done", "completed", "complete"})


@attrs.frozen
class Store:
    """A store, and the directory under which a session sees it."""

    api: Api
    session_id: str
    context_id: str
    path: str

    @asynccontextmanager
    async def name(self) -> AsyncIterator[str]:
        """Give a new path in the store, whose copy outside the session is removed at the end."""
        path = f"{self.path.rstrip('/')}/agentbay-{os.urandom(8).hex()}"
        try:
            yield path
        finally:
            await self._forget(path)

    async def _forget(self, path: str) -> None:
        request = schema.DeleteContextFile(context_id=self.context_id, file_path=path)
        try:
            await self.api.call(request)
        except AgentBayError as error:
            # The file has arrived, or the error that matters is under way already.
            logger.debug("%s: the store keeps %s: %s", self.session_id, path, error)

    async def upload_url(self, path: str) -> str:
        """Return a URL to PUT the file to."""
        kind = schema.GetContextFileUploadUrl
        answer = await self.api.call(kind(context_id=self.context_id, file_path=path))
        return _url(kind.ACTION, answer.data, answer.request_id)

    async def download_url(self, path: str) -> str:
        """Return a URL to GET the file from."""
        kind = schema.GetContextFileDownloadUrl
        answer = await self.api.call(kind(context_id=self.context_id, file_path=path))
        return _url(kind.ACTION, answer.data, answer.request_id)

    async def sync(self, path: str, mode: str, timeout: float) -> None:
        """Let the file move, and wait until it has.

        Args:
            path: The file.
            mode: ``"download"`` (from the store into the session) or ``"upload"``.
            timeout: Seconds to wait.

        Raises:
            ContextSyncError: It did not move.
            OperationTimeoutError: It did not move in time.
        """
        await self.api.call(
            schema.SyncContext(
                session_id=self.session_id, context_id=self.context_id, path=path, mode=mode
            )
        )

        async def ask() -> list[ContextStatusData]:
            tasks, _ = await fetch_tasks(
                self.api, self.session_id, self.context_id, path, task_type=mode
            )
            return [task for task in tasks if _is_of(task, self.context_id, path, mode)]

        tasks = await poll(
            ask,
            lambda found: any(_ended(task) for task in found),
            clock=self.api.clock,
            timeout=timeout,
            what=f"the {mode} of {path}",
        )
        wrong = [task for task in tasks if _ended(task) and task.status.lower() not in _DONE]
        if wrong:
            reason = wrong[0].error_message or wrong[0].status
            error = ContextSyncError(
                f"the {mode} of {path} failed: {reason}", session_id=self.session_id
            )
            error.tasks = tuple(wrong)
            raise error


async def open_store(api: Api, session_id: str) -> Store | None:
    """Return the store for files of a session; ``None`` where the service offers none."""
    request = schema.GetAndLoadInternalContext(session_id=session_id)
    try:
        answer = await api.call(request)
    except _NO_ANSWER:
        raise
    except APIError as error:
        logger.debug("%s: no store for files: %s", session_id, error)
        return None
    for entry in answer.data or ():
        if entry.context_id and entry.context_path:
            return Store(api, session_id, entry.context_id, entry.context_path)
    return None


def _is_of(task: ContextStatusData, context_id: str, path: str, mode: str) -> bool:
    return (task.context_id, task.path, task.task_type) == (context_id, path, mode)


def _ended(task: ContextStatusData) -> bool:
    return task.finished or task.status.lower() in _DONE or bool(task.error_message)


def _url(action: str, data: schema.FileUrl | None, request_id: str) -> str:
    if data is None or not data.url:
        raise BadAnswerError(f"{action}: the answer holds no URL", request_id=request_id)
    return data.url
