"""A session: one isolated machine in which an agent works."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._deletion import delete
from agentbay_async._labels import reserved as reserved_part
from agentbay_async._labels import visible
from agentbay_async._polling import poll
from agentbay_async._reporting import reports
from agentbay_async._wire import schema
from agentbay_async.errors import (
    BadAnswerError,
    ContextSyncError,
    InvalidArgumentError,
    SessionNotFoundError,
    SessionStateError,
)
from agentbay_async.records import SessionInfo, SessionStatus
from agentbay_async.results import DeleteResult, OperationResult, SessionStatusResult
from agentbay_async.tool_results import (
    LinkResult,
    McpToolResult,
    McpToolsResult,
    SessionMetricsResult,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from datetime import timedelta
    from typing import Any, Literal

    from agentbay_async._access import Access
    from agentbay_async._api import Api
    from agentbay_async.services.agent import AsyncAgent
    from agentbay_async.services.browser import AsyncBrowser
    from agentbay_async.services.code import AsyncCode
    from agentbay_async.services.command import AsyncCommand
    from agentbay_async.services.computer import AsyncComputer
    from agentbay_async.services.env import AsyncEnv
    from agentbay_async.services.file_system import AsyncFileSystem
    from agentbay_async.services.git import AsyncGit
    from agentbay_async.services.mobile import AsyncMobile
    from agentbay_async.services.oss import AsyncOss
    from agentbay_async.services.pty import AsyncPty
    from agentbay_async.syncing import AsyncSessionContext


class AsyncSession:
    """A session of the account.

    Sessions come from :meth:`AsyncAgentBay.create`, :meth:`~AsyncAgentBay.get` and
    :meth:`~AsyncAgentBay.list`; nobody makes them by hand. A session that was listed knows less of
    itself than one that was created or looked up: its URLs are empty.

    Attributes:
        session_id: What it is addressed by.
        image_id: The image it runs, or ``""`` when that is not known.
        status: Its state when this object was made, or ``""``; :meth:`get_status` asks anew.
        app_instance_id: The service's id of the machine.
        resource_url: Where a person may watch it in a browser; holds a code, so treat it as secret.

    Example:
        ::

            result = await bay.create()
            session = result.session
            print((await session.command.run("echo hi")).stdout)
            await session.delete()
    """

    __slots__ = (
        "__weakref__",
        "_access",
        "_agent",
        "_api",
        "_browser",
        "_code",
        "_command",
        "_computer",
        "_context",
        "_ends",
        "_env",
        "_file_system",
        "_git",
        "_mobile",
        "_oss",
        "_pty",
        "_reserved",
        "app_instance_id",
        "image_id",
        "resource_url",
        "session_id",
        "status",
    )

    def __init__(
        self,
        api: Api,
        session_id: str,
        image_id: str = "",
        status: str = "",
        app_instance_id: str = "",
        resource_url: str = "",
        access: Access | None = None,
        reserved: dict[str, str] | None = None,
        ends: float | None = None,
    ) -> None:
        self._api = api
        self._access = access
        # Labels of the library's own, or None while they are not known.
        self._reserved = reserved
        # When its longest run time is over, on the client's clock.
        self._ends = ends
        self.session_id = session_id
        self.image_id = image_id
        self.status = status
        self.app_instance_id = app_instance_id
        self.resource_url = resource_url
        self._agent: AsyncAgent | None = None
        self._browser: AsyncBrowser | None = None
        self._code: AsyncCode | None = None
        self._command: AsyncCommand | None = None
        self._computer: AsyncComputer | None = None
        self._context: AsyncSessionContext | None = None
        self._env: AsyncEnv | None = None
        self._file_system: AsyncFileSystem | None = None
        self._git: AsyncGit | None = None
        self._mobile: AsyncMobile | None = None
        self._oss: AsyncOss | None = None
        self._pty: AsyncPty | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r})"

    @property
    def command(self) -> AsyncCommand:
        """Runs commands in the session."""
        if self._command is None:
            from agentbay_async.services.command import AsyncCommand

            self._command = AsyncCommand(self._api, self.session_id)
        return self._command

    @property
    def code(self) -> AsyncCode:
        """Runs code in the session."""
        if self._code is None:
            from agentbay_async.services.code import AsyncCode

            self._code = AsyncCode(self._api, self.session_id)
        return self._code

    @property
    def file_system(self) -> AsyncFileSystem:
        """Reads and writes the files of the session."""
        if self._file_system is None:
            from agentbay_async.services.file_system import AsyncFileSystem

            self._file_system = AsyncFileSystem(self._api, self.session_id)
        return self._file_system

    fs = filesystem = files = file_system

    @property
    def env(self) -> AsyncEnv:
        """Sets and reads the variables of the session."""
        if self._env is None:
            from agentbay_async.services.env import AsyncEnv

            self._env = AsyncEnv(self._api, self.session_id)
        return self._env

    @property
    def git(self) -> AsyncGit:
        """Works on git repositories in the session."""
        if self._git is None:
            from agentbay_async.services.git import AsyncGit

            self._git = AsyncGit(self._api, self.session_id)
        return self._git

    @property
    def agent(self) -> AsyncAgent:
        """The service's own agents, which do tasks in the session."""
        if self._agent is None:
            from agentbay_async.services.agent import AsyncAgent

            self._agent = AsyncAgent(self._api, self.session_id)
        return self._agent

    @property
    def browser(self) -> AsyncBrowser:
        """Starts and stops the session's browser."""
        if self._browser is None:
            from agentbay_async.services.browser import AsyncBrowser

            self._browser = AsyncBrowser(self._api, self.session_id)
        return self._browser

    @property
    def computer(self) -> AsyncComputer:
        """Mouse, keyboard, windows and apps of the session's desktop."""
        if self._computer is None:
            from agentbay_async.services.computer import AsyncComputer

            self._computer = AsyncComputer(self._api, self.session_id)
        return self._computer

    @property
    def mobile(self) -> AsyncMobile:
        """Touch, elements and apps of the session's phone."""
        if self._mobile is None:
            from agentbay_async.services.mobile import AsyncMobile

            self._mobile = AsyncMobile(self._api, self.session_id)
        return self._mobile

    @property
    def oss(self) -> AsyncOss:
        """Carries files between the session and object storage."""
        if self._oss is None:
            from agentbay_async.services.oss import AsyncOss

            self._oss = AsyncOss(self._api, self.session_id)
        return self._oss

    @property
    def pty(self) -> AsyncPty:
        """Opens terminals in the session."""
        if self._pty is None:
            from agentbay_async.services.pty import AsyncPty

            self._pty = AsyncPty(self._api, self.session_id)
        return self._pty

    @property
    def context(self) -> AsyncSessionContext:
        """Moves files between the session and its contexts."""
        if self._context is None:
            from agentbay_async.syncing import AsyncSessionContext

            self._context = AsyncSessionContext(self._api, self.session_id)
        return self._context

    @reports(OperationResult)
    async def set_labels(self, labels: Mapping[str, str]) -> OperationResult[None]:
        """Replace all labels of the session.

        The service replaces the labels that the library set by itself as well, so they are sent
        again. They are known of a session that this client created; of others, the first call asks
        for them, which is one request more.

        Args:
            labels: The labels it shall have; at least one, none of them blank.

        Raises:
            InvalidArgumentError: There is no label, or a key or value is blank.
        """
        checked = _check.labels(labels)
        if not checked:
            raise InvalidArgumentError("labels must not be empty; give at least one")
        labels_to_keep = await self._own_labels()
        request = schema.SetLabel(session_id=self.session_id, labels={**checked, **labels_to_keep})
        answer = await self._api.call(request)
        return OperationResult.ok(None, answer.request_id)

    async def _own_labels(self) -> dict[str, str]:
        if self._reserved is None:
            if not self._api.settings.reserved_labels:
                return {}
            await self._all_labels()
        return self._reserved or {}

    async def _all_labels(self) -> tuple[dict[str, str], str]:
        answer = await self._api.call(schema.GetLabel(session_id=self.session_id))
        labels = (answer.data.labels if answer.data is not None else None) or {}
        self._reserved = reserved_part(labels)
        return labels, answer.request_id

    @reports(OperationResult)
    async def get_labels(self) -> OperationResult[dict[str, str]]:
        """Ask for the labels of the session; they are in ``data``."""
        labels, request_id = await self._all_labels()
        return OperationResult.ok(visible(labels), request_id)

    @reports(OperationResult)
    async def info(self) -> OperationResult[SessionInfo]:
        """Ask how a person reaches the session; the answer is in ``data``."""
        answer = await self._api.call(schema.GetMcpResource(session_id=self.session_id))
        if answer.data is None:
            raise BadAnswerError("GetMcpResource: the answer has no data")
        info = _session_info(answer.data)
        return OperationResult.ok(info, answer.request_id)

    @reports(SessionStatusResult)
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

    @reports(OperationResult)
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
        from agentbay_async._keeping import Keeper, kept

        interval = _check.seconds(every, "every")
        early = _check.seconds(warn_before, "warn_before")
        keeper = Keeper(self._api, self.session_id, interval, warn, early, lambda: self.remaining)
        async with kept(keeper):
            yield

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

    @reports(LinkResult)
    async def get_link(
        self,
        protocol_type: Literal["https", "wss"] | None = None,
        port: int | None = None,
        options: str | None = None,
    ) -> LinkResult:
        """Ask for a URL that leads to a port of the session; it is in ``data``.

        The URL carries its own permission: treat it as a secret. Without arguments it leads to the
        session's browser, where its image has one.

        Args:
            protocol_type: ``"https"``, or ``"wss"`` for a WebSocket; by default ``"wss"``.
            port: From 30100 to 30199, where a program in the session listens.
            options: Handed on to the service as it is.

        Raises:
            InvalidArgumentError: `port` or `protocol_type` is none of those.
        """
        from agentbay_async._links import get_link

        return await get_link(self._api, self.session_id, protocol_type, port, options)

    @reports(SessionMetricsResult)
    async def get_metrics(
        self, *, timeout: float | timedelta | None = None
    ) -> SessionMetricsResult:
        """Ask how busy the session's machine is.

        Args:
            timeout: Seconds (or a timedelta) to wait for its answer; ``None`` takes the client's.
        """
        from agentbay_async._metrics import get_metrics

        limit = None if timeout is None else _check.seconds(timeout, "timeout")
        return await get_metrics(self._api, self.session_id, limit)

    @reports(McpToolResult)
    async def call_mcp_tool(
        self,
        tool_name: str,
        # Each tool defines its own arguments, so any JSON value may stand in them.
        args: Mapping[str, Any],
        *,
        timeout: float | timedelta | None = None,
    ) -> McpToolResult:
        """Call a tool of the session by name.

        Args:
            tool_name: Its name, such as ``"shell"``.
            args: Its arguments, as its input schema wants them.
            timeout: Seconds (or a timedelta) to wait for its answer; ``None`` takes the client's.
        """
        from agentbay_async._tools import call_tool, checked_args

        limit = None if timeout is None else _check.seconds(timeout, "timeout")
        name = _check.identifier(tool_name, "tool_name")
        return await call_tool(self._api, self.session_id, name, checked_args(args), limit)

    @reports(McpToolsResult)
    async def list_mcp_tools(self, image_id: str | None = None) -> McpToolsResult:
        """List the tools that the session's image, or another one, offers.

        Args:
            image_id: An image; ``None`` takes the session's, or ``"linux_latest"``.
        """
        from agentbay_async._tools import list_tools

        image = self.image_id or "linux_latest" if image_id is None else image_id
        return await list_tools(self._api, _check.identifier(image, "image_id"))


def _session_info(record: schema.McpResource) -> SessionInfo:
    desktop = record.desktop_info if record.desktop_info is not None else schema.DesktopInfo()
    return SessionInfo(
        session_id=record.session_id or "",
        resource_url=record.resource_url or "",
        app_id=desktop.app_id or "",
        auth_code=desktop.auth_code or "",
        connection_properties=desktop.connection_properties or "",
        resource_id=desktop.resource_id or "",
        resource_type=desktop.resource_type or "",
        ticket=desktop.ticket or "",
    )
