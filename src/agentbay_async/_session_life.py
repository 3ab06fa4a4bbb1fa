"""How a session rests, goes on and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._polling import poll
from agentbay_async._reporting import reports
from agentbay_async._session_services import Services
from agentbay_async._wire import schema
from agentbay_async.errors import ContextSyncError, SessionNotFoundError, SessionStateError
from agentbay_async.records import SessionStatus
from agentbay_async.results import DeleteResult, OperationResult, SessionStatusResult

if TYPE_CHECKING:
    from datetime import timedelta

    from agentbay_async._api import Api

_GONE = (SessionStatus.FINISH, SessionStatus.DELETED)


class Lifetime(Services):
    """Asks for the state of a session and changes it.

    Attributes:
        status: Its state when this object was made, or ``""``; :meth:`get_status` asks anew.
    """

    __slots__ = ("status",)

    def __init__(self, api: Api, session_id: str, status: str) -> None:
        super().__init__(api, session_id)
        self.status = status

    @reports(SessionStatusResult)
    async def get_status(self) -> SessionStatusResult:
        """Ask for the state of the session; ``"FINISH"`` means it was released."""
        answer = await self._api.call(schema.GetSessionDetail(session_id=self.session_id))
        status = answer.data.status if answer.data is not None else None
        return SessionStatusResult.ok(status or "", answer.request_id)

    @reports(OperationResult)
    async def keep_alive(self) -> OperationResult[None]:
        """Let the idle time of the session count from now on."""
        request = schema.RefreshSessionIdleTime(session_id=self.session_id)
        answer = await self._api.call(request)
        return OperationResult.ok(None, answer.request_id)

    @reports(SessionStatusResult)
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

    @reports(SessionStatusResult)
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

    @reports(DeleteResult)
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
        request = schema.DeleteSessionAsync(session_id=self.session_id)
        try:
            request_id = (await self._api.call(request)).request_id
            await poll(
                self._is_gone,
                bool,
                clock=self._api.clock,
                timeout=limit,
                what=f"the release of {self.session_id}",
            )
        except SessionNotFoundError as gone:
            request_id = gone.request_id
        await self._api.sockets.close(self.session_id)
        return DeleteResult.ok(None, request_id)

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

    async def _is_gone(self) -> bool:
        answer = await self._api.call(schema.GetSessionDetail(session_id=self.session_id))
        return answer.data is not None and answer.data.status in _GONE
