"""The sessions of an account, one at a time: made, found, listed and ended."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._lifecycle.creation import CreatedSession, create_session
from agentbay_async._lifecycle.deletion import insist, left, release
from agentbay_async._lifecycle.shielding import run_or_undo, run_shielded
from agentbay_async._protocol import schema
from agentbay_async._sync.persistence import SYNC_TIMEOUT, downloaded
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    BadAnswerError,
    ContextSyncError,
    InvalidArgumentError,
)
from agentbay_async.listing import AsyncSessionListing, fetch_page
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import (
    DeleteResult,
    SessionListResult,
    SessionResult,
    SessionStatusResult,
)
from agentbay_async.models.sessions import CreateSessionParams, ListSessionParams, SessionStatus
from agentbay_async.services._routing import remember_endpoint
from agentbay_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import timedelta

    from agentbay_async._api import Api


class Sessions:
    """What a client does with single sessions."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @returns_result(SessionResult)
    async def create(
        self, params: CreateSessionParams | None = None
    ) -> SessionResult[AsyncSession]:
        """Create a session, and wait until the files of its contexts have arrived.

        If they do not arrive the session is deleted, and the result is a failed one. If the caller
        is cancelled, no session is left behind. If the answer of the service is lost, the session
        is looked for before another is asked for.

        Args:
            params: What it is like; by default as the service pleases, for
                :data:`~agentbay_async.models.sessions.DEFAULT_LIFETIME`.
        """
        params = CreateSessionParams() if params is None else params
        if not isinstance(params, CreateSessionParams):
            raise ArgumentTypeError(
                f"params must be CreateSessionParams, not {type(params).__name__}"
            )
        # The one step that must not be cut short: afterwards the session has an id.
        made = await run_or_undo(create_session(self._api, params), _unmake)
        if wanted := downloaded(params.context_syncs):
            await self._wait_for_files(made, wanted, keep=params.keep_on_failure)
        return SessionResult.ok(made.session, made.request_id)

    async def _wait_for_files(self, made: CreatedSession, wanted: set[str], *, keep: bool) -> None:
        from agentbay_async._sync.tasks import wait_for_tasks

        session_id = made.session.session_id
        try:
            await wait_for_tasks(
                self._api, session_id, wanted, kind="download", timeout=SYNC_TIMEOUT
            )
        except AgentBayError as error:
            error.session_id = session_id
            if not keep:
                await run_shielded(_unmake(made))
            raise
        except BaseException:
            # Nobody will ever hold this session, so nobody else can delete it.
            await run_shielded(_unmake(made))
            raise

    @returns_result(SessionResult)
    async def get(self, session_id: str) -> SessionResult[AsyncSession]:
        """Look a session up.

        Args:
            session_id: Its id.

        Raises:
            InvalidArgumentError: The id is blank.
            ArgumentTypeError: It is not a string.
        """
        request = schema.GetSession(session_id=_check.identifier(session_id, "session_id"))
        answer = await self._api.call(request)
        record = answer.data
        if record is None:
            raise BadAnswerError("GetSession: the answer has no data", request_id=answer.request_id)
        session = AsyncSession(
            self._api,
            record.session_id or session_id,
            status=record.status or "",
            app_instance_id=record.app_instance_id or "",
            resource_url=record.resource_url or "",
            access=remember_endpoint(self._api, record, record.session_id or session_id),
        )
        return SessionResult.ok(session, answer.request_id)

    def list(
        self,
        labels: Mapping[str, str] | None = None,
        page: int | None = None,
        limit: int | None = None,
        status: SessionStatus | str | None = None,
        image_id: str | None = None,
    ) -> AsyncSessionListing:
        """List sessions: one page, or by iterating all of them.

        Args:
            labels: Only those that have all of these labels.
            page: The number of the page to begin with; the first is 1.
            limit: Sessions on a page. Default 10 for one page, 100 when iterating.
            status: Only those in this state, such as ``"RUNNING"``.
            image_id: Only those of this image.

        Raises:
            InvalidArgumentError: A value cannot be meant.
            ArgumentTypeError: A value has the wrong type.
        """
        query = schema.ListSession(
            labels=_check.labels(labels or {}),
            max_results=None if limit is None else _check.positive_int(limit, "limit"),
            status=None if status is None else _status(status),
            image_id=None if image_id is None else _check.identifier(image_id, "image_id"),
        )
        number = 1 if page is None else _check.positive_int(page, "page")
        return AsyncSessionListing(self._api, query, number)

    @returns_result(SessionListResult)
    async def list_by_labels(
        self, params: ListSessionParams | Mapping[str, str] | None = None
    ) -> SessionListResult[AsyncSession]:
        """Return one page of the sessions that have all of some labels.

        Args:
            params: Labels, page size and token; or just labels.
        """
        if not isinstance(params, ListSessionParams):
            params = ListSessionParams(labels=_check.labels(params or {}, "params"))
        query = schema.ListSession(
            labels=_check.labels(params.labels),
            max_results=_check.positive_int(params.max_results, "max_results"),
            next_token=params.next_token or None,
        )
        page, request_id = await fetch_page(self._api, query)
        return SessionListResult.ok(page, request_id)

    async def delete(
        self, session: AsyncSession | str, sync_context: bool = False, *, force: bool = False
    ) -> DeleteResult:
        """Release a session and wait until it is gone. What is gone already is a success.

        Args:
            session: The session, or its id.
            sync_context: First upload the files of its contexts, and verify that they arrived.
            force: Delete even if that upload failed; its files are then lost.
        """
        return await self._session(session).delete(sync_context, force=force)

    async def pause(
        self,
        session: AsyncSession | str,
        timeout: float | timedelta = 600,
        poll_interval: float = 2.0,
    ) -> SessionStatusResult:
        """Pause a session; see :meth:`AsyncSession.pause`."""
        return await self._session(session).pause(timeout, poll_interval)

    async def resume(
        self,
        session: AsyncSession | str,
        timeout: float | timedelta = 600,
        poll_interval: float = 2.0,
    ) -> SessionStatusResult:
        """Let a paused session go on; see :meth:`AsyncSession.resume`."""
        return await self._session(session).resume(timeout, poll_interval)

    beta_pause = pause
    beta_resume = resume

    def _session(self, session: AsyncSession | str) -> AsyncSession:
        if isinstance(session, AsyncSession):
            return session
        if not isinstance(session, str):
            raise ArgumentTypeError(
                f"session must be a session or its id, not {type(session).__name__}"
            )
        return AsyncSession(self._api, _check.identifier(session, "session"))

    @asynccontextmanager
    async def session(
        self, params: CreateSessionParams | None = None, *, sync_context: bool = False
    ) -> AsyncIterator[AsyncSession]:
        """Create a session for the length of a block, and delete it at the end, come what may.

        Args:
            params: What it is like.
            sync_context: Upload the files of its contexts before it is deleted.

        Raises:
            AgentBayError: It could not be created; or, after a block without an error, not deleted.

        Example:
            ::

                async with bay.session() as session:
                    await session.command.run("make test")
        """
        session = (await self.create(params)).unwrap()
        try:
            yield session
        except BaseException:
            await run_shielded(_release(session, sync_context=sync_context))
            raise
        try:
            error = (await session.delete(sync_context)).error
            if error is not None and error.retryable and not isinstance(error, ContextSyncError):
                error = await insist(self._api, session.session_id)
        except BaseException:
            # A cancel does not wait for the files: what the policies say is uploaded at release.
            await run_shielded(_release(session))
            raise
        if error is not None:
            raise error


async def _unmake(made: CreatedSession) -> None:
    """Delete what was made for nobody; an earlier session of the same idempotency key stays."""
    if made.new:
        await _release(made.session)


async def _release(session: AsyncSession, *, sync_context: bool = False) -> None:
    """Delete a session while an error is on its way, which must not be replaced by another."""
    api = session._api
    if not sync_context:
        await release(api, session.session_id)
        return
    try:
        (await session.delete(sync_context)).unwrap()
    except AgentBayError as error:
        left(api, session.session_id, error)


def _status(status: SessionStatus | str) -> str:
    name = _check.identifier(status, "status").upper()
    if name not in SessionStatus.__members__:
        raise InvalidArgumentError(
            f"status must be one of {', '.join(SessionStatus.__members__)}, not {status!r}"
        )
    return SessionStatus[name].value
