"""How a session rests, goes on and ends."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._lifecycle.deletion import delete
from agentbay_async._polling import poll
from agentbay_async._protocol import schema
from agentbay_async._session_services import Services
from agentbay_async.errors import ContextSyncError, SessionNotFoundError, SessionStateError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import DeleteResult, OperationResult, SessionStatusResult
from agentbay_async.models.sessions import SessionStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import timedelta


class Lifetime(Services):
    """Asks for the state of a session and changes it.

    Attributes:
        status: Its state when this object was made, or ``""``; :meth:`get_status` asks anew.
    """

    __slots__ = ("_ends", "status")

    # When its longest run time is over, on the client's clock.
    _ends: float | None
    status: str

    @returns_result(SessionStatusResult)
    async def get_status(self) -> SessionStatusResult:
        """Ask for the state of the session; ``"FINISH"`` means it was released."""
        answer = await self._api.call(schema.GetSessionDetail(session_id=self.session_id))
        status = answer.data.status if answer.data is not None else None
        return SessionStatusResult.ok(status or "", answer.request_id)

    @property
    def remaining(self) -> timedelta | None:
        """How long the session lives at most, never below 0.

        It is what is left of the ``max_runtime`` that was asked for; a session that is not used may
        end earlier. ``None`` where that is not known: of a session that was looked up or listed,
        and of one that ends only when it is deleted.
        """
        from datetime import timedelta

        if self._ends is None:
            return None
        return timedelta(seconds=max(0.0, self._ends - self._api.clock.monotonic()))

    @returns_result(OperationResult)
    async def keep_alive(self) -> OperationResult[None]:
        """Let the idle time of the session count from now on."""
        request = schema.RefreshSessionIdleTime(session_id=self.session_id)
        answer = await self._api.call(request)
        return OperationResult.ok(None, answer.request_id)

    @asynccontextmanager
    async def keep_alive_while(
        self,
        every: float | timedelta = 60.0,
        *,
        warn: Callable[[timedelta], Awaitable[None] | None] | None = None,
        warn_before: float | timedelta = 300.0,
    ) -> AsyncIterator[None]:
        """Keep the session from being idle for the length of a block.

        It does not lengthen ``max_runtime``; `warn` tells when that is nearly over.

        Args:
            every: Seconds (or a timedelta) between two signs of life; less than the idle time.
            warn: Called once, with what is left, when little time is left. Needs a session whose
                :attr:`remaining` is known.
            warn_before: How long before the end that is, in seconds or as a timedelta.

        Raises:
            SessionNotFoundError: The session ended while the block ran; raised at its end, unless
                the block raised an error of its own.

        Example:
            ::

                async with session.keep_alive_while(every=60):
                    await think_for_an_hour()
        """
        from agentbay_async._lifecycle.keepalive import KeepAlive, kept

        interval = _check.seconds(every, "every")
        early = _check.seconds(warn_before, "warn_before")
        keeper = KeepAlive(
            self._api, self.session_id, interval, warn, early, lambda: self.remaining
        )
        async with kept(keeper):
            yield

    @returns_result(SessionStatusResult)
    async def pause(
        self, timeout: float | timedelta = 600, poll_interval: float = 2.0
    ) -> SessionStatusResult:
        """Pause the session: its processes stand still until it is resumed.

        Args:
            timeout: Seconds (or a timedelta) to wait until it stands still.
            poll_interval: Seconds between two looks at its state, at most.
        """
        return await self._change(
            schema.PauseSessionAsync(session_id=self.session_id),
            (SessionStatus.PAUSING, SessionStatus.PAUSED),
            _check.seconds(timeout, "timeout"),
            _check.seconds(poll_interval, "poll_interval"),
        )

    @returns_result(SessionStatusResult)
    async def resume(
        self, timeout: float | timedelta = 600, poll_interval: float = 2.0
    ) -> SessionStatusResult:
        """Let a paused session go on.

        Args:
            timeout: Seconds (or a timedelta) to wait until it runs.
            poll_interval: Seconds between two looks at its state, at most.
        """
        return await self._change(
            schema.ResumeSessionAsync(session_id=self.session_id),
            (SessionStatus.RESUMING, SessionStatus.RUNNING),
            _check.seconds(timeout, "timeout"),
            _check.seconds(poll_interval, "poll_interval"),
        )

    beta_pause = pause
    beta_resume = resume

    async def _change(
        self,
        request: schema.PauseSessionAsync | schema.ResumeSessionAsync,
        states: tuple[SessionStatus, SessionStatus],
        timeout: float,
        interval: float,
    ) -> SessionStatusResult:
        """Send `request`, then wait until the first of `states` has given way to the second."""
        under_way, wanted = states
        answer = await self._api.call(request)
        status = await poll(
            self._status,
            lambda status: status != under_way,
            clock=self._api.clock,
            timeout=timeout,
            what=f"{request.ACTION} of {self.session_id}",
            interval=interval,
        )
        if status != wanted:
            error = SessionStateError(
                f"{self.session_id} is {status or 'in no known state'}, not {wanted.value}",
                request_id=answer.request_id,
                session_id=self.session_id,
            )
            error.status = status
            raise error
        self.status = status
        return SessionStatusResult.ok(status, answer.request_id)

    async def _status(self) -> str:
        answer = await self._api.call(schema.GetSession(session_id=self.session_id))
        return (answer.data.status if answer.data is not None else None) or ""

    @returns_result(DeleteResult)
    async def delete(
        self,
        sync_context: bool = False,
        *,
        force: bool = False,
        timeout: float | timedelta = 300,
    ) -> DeleteResult:
        """Release the session and wait until it is gone. What is gone already is a success.

        Args:
            sync_context: First upload the files of its contexts, and verify that they arrived.
            force: Delete even if that upload failed; its files are then lost.
            timeout: Seconds (or a timedelta) to wait until the session is gone.
        """
        limit = _check.seconds(timeout, "timeout")
        if sync_context:
            await self._upload_before_delete(force=force)
        return DeleteResult.ok(None, await delete(self._api, self.session_id, limit))

    async def _upload_before_delete(self, *, force: bool) -> None:
        result = await self.context.sync(mode="upload")
        if isinstance(result.error, SessionNotFoundError) or result.error is None or force:
            return
        raise ContextSyncError(
            f"{self.session_id} was not deleted, because its files could not be saved: "
            f"{result.error_message}",
            request_id=result.request_id,
            session_id=self.session_id,
            hint="Try again, or pass force=True to give the files up",
        ) from result.error
