"""The client: where sessions come from, and where they go."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._api import Api
from agentbay_async._channels import know
from agentbay_async._creation import create_request, created
from agentbay_async._ownership import finish, make
from agentbay_async._persistence import SYNC_TIMEOUT, downloaded
from agentbay_async._reporting import reports
from agentbay_async._wire import schema
from agentbay_async.config import resolve
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    BadAnswerError,
    InvalidArgumentError,
)
from agentbay_async.listing import AsyncSessionListing, fetch_page
from agentbay_async.records import SessionStatus
from agentbay_async.results import (
    DeleteResult,
    SessionListResult,
    SessionResult,
    SessionStatusResult,
)
from agentbay_async.session import AsyncSession
from agentbay_async.session_params import CreateSessionParams, ListSessionParams

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Mapping
    from datetime import timedelta
    from types import TracebackType

    from agentbay_async._clock import Clock
    from agentbay_async._retry import RetryPolicy
    from agentbay_async.config import Config
    from agentbay_async.contexts import AsyncContextService

logger: logging.Logger = logging.getLogger("agentbay")


class AsyncAgentBay:
    """A client of AgentBay. One is enough for a program; it may be used from many places at once.

    Each setting that is not given is looked up: see :mod:`agentbay_async.config`.

    Args:
        api_key: The key of the account; not needed with ``endpoint="local"``.
        cfg: Settings as one value.
        env_file: A file of variables instead of the nearest ``.env``.
        endpoint: Where the service is: a URL, a host, or ``"local"`` for one inside this process.
        region_id: The region of the service.
        timeout: Seconds to wait for one answer. Default 60.
        retry: How patient to be with a service that is not well.
        clock: Time, for tests; see :class:`agentbay_async.Clock`.

    Attributes:
        context: The account's persistent stores of files.

    Raises:
        ConfigurationError: There is no key, or a setting cannot be used.

    Example:
        ::

            async with AsyncAgentBay(endpoint="local") as bay:
                async with bay.session() as session:
                    print((await session.command.run("echo hi")).stdout)
    """

    def __init__(
        self,
        api_key: str | None = None,
        cfg: Config | None = None,
        env_file: str | os.PathLike[str] | None = None,
        *,
        endpoint: str | None = None,
        region_id: str | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = resolve(
            api_key,
            cfg,
            endpoint=endpoint,
            region_id=region_id,
            timeout=timeout,
            env_file=env_file,
        )
        self._api = Api(settings, retry, clock)
        self._context: AsyncContextService | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._api.settings.endpoint!r})"

    @property
    def region_id(self) -> str:
        """The region that sessions are asked for in."""
        return self._api.settings.region_id

    @property
    def context(self) -> AsyncContextService:
        """The account's persistent stores of files."""
        if self._context is None:
            from agentbay_async.contexts import AsyncContextService

            self._context = AsyncContextService(self._api)
        return self._context

    async def __aenter__(self) -> AsyncAgentBay:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client's connections. Sessions live on; later calls raise ClosedError."""
        await self._api.aclose()

    @reports(SessionResult)
    async def create(
        self, params: CreateSessionParams | None = None
    ) -> SessionResult[AsyncSession]:
        """Create a session, and wait until the files of its contexts have arrived.

        If they do not arrive the session is deleted, and the result is a failed one. If the caller
        is cancelled, no session is left behind.

        Args:
            params: What it is like; by default as the service pleases.
        """
        params = CreateSessionParams() if params is None else params
        if not isinstance(params, CreateSessionParams):
            raise ArgumentTypeError(
                f"params must be CreateSessionParams, not {type(params).__name__}"
            )
        request = create_request(params, self.region_id)
        # The one step that must not be cut short: afterwards the session has an id.
        session, request_id = await make(self._ask_for(request), lambda made: _release(made[0]))
        if wanted := downloaded(params.context_syncs):
            await self._wait_for_files(session, wanted)
        return SessionResult.ok(session, request_id)

    async def _ask_for(self, request: schema.CreateMcpSession) -> tuple[AsyncSession, str]:
        answer = await self._api.call(request)
        session = created(self._api, answer.data, answer.request_id, request.image_id)
        return session, answer.request_id

    async def _wait_for_files(self, session: AsyncSession, wanted: set[str]) -> None:
        from agentbay_async._tasks import wait_for_tasks

        try:
            await wait_for_tasks(
                self._api, session.session_id, wanted, kind="download", timeout=SYNC_TIMEOUT
            )
        except BaseException:
            # Nobody will ever hold this session, so nobody else can delete it.
            await finish(_release(session))
            raise

    @reports(SessionResult)
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
            access=know(self._api, record, record.session_id or session_id),
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

    @reports(SessionListResult)
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
            await finish(_release(session, sync_context=sync_context))
            raise
        try:
            result = await session.delete(sync_context)
        except BaseException:
            # A cancel does not wait for the files: what the policies say is uploaded at release.
            await finish(_release(session))
            raise
        result.unwrap()


async def _release(session: AsyncSession, *, sync_context: bool = False) -> None:
    """Delete a session while an error is on its way, which must not be replaced by another."""
    try:
        (await session.delete(sync_context)).unwrap()
    except AgentBayError as error:
        logger.warning(
            "%r is still there and may cost money: it could not be deleted (%s)", session, error
        )


def _status(status: SessionStatus | str) -> str:
    name = _check.identifier(status, "status").upper()
    if name not in SessionStatus.__members__:
        raise InvalidArgumentError(
            f"status must be one of {', '.join(SessionStatus.__members__)}, not {status!r}"
        )
    return SessionStatus[name].value
