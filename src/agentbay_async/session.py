"""Sessions: one isolated machine each, in which an agent works."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async._clock import poll
from agentbay_async._lifecycle import reserved_labels
from agentbay_async._lifecycle.back_references import finder
from agentbay_async._lifecycle.deletion import delete
from agentbay_async._protocol import schema
from agentbay_async._transport.access import Access
from agentbay_async.errors import (
    BadAnswerError,
    InvalidArgumentError,
    SessionStateError,
)
from agentbay_async.models.results import (
    DeleteResult,
    OperationResult,
    SessionStatusResult,
    returns_result,
)
from agentbay_async.models.sessions import GetSessionData, SessionInfo, SessionStatus
from agentbay_async.models.tools import (
    LinkResult,
    McpTool,
    McpToolResult,
    McpToolsResult,
    SessionMetricsResult,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from datetime import timedelta
    from typing import Any, Literal

    from agentbay_async._api import Api
    from agentbay_async.client import AsyncAgentBay
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
    from agentbay_async.session_context import AsyncSessionContext

T = TypeVar("T")

_DEFAULT_IMAGE = "linux_latest"


class AsyncSession:
    """A session of the account.

    Get sessions from :meth:`AsyncAgentBay.create`, :meth:`~AsyncAgentBay.get` and
    :meth:`~AsyncAgentBay.list`. A listing returns fewer details than a create or a look-up: the
    URLs of a listed session are empty.

    Attributes:
        session_id: Its id.
        image_id: The image it runs, or ``""`` if unknown.
        status: Its state when this object was made, or ``""``; :meth:`get_status` asks again.
        app_instance_id: The service's id of the machine.
        resource_url: Page on which a person can watch it. It contains an access code: a secret.

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
        "_api",
        "_ends",
        "_find",
        "_reserved",
        "_services",
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
        self.session_id = session_id
        # None until first used: a listing returns thousands of sessions, of which few are used.
        self._services: dict[Callable[[Api, str], Any], Any] | None = None
        self._find: Callable[[], AsyncSession] | None = None
        self._ends = ends
        self.status = status
        self._access = access
        # The reserved labels of the session, or None while unknown.
        self._reserved = reserved
        self.image_id = image_id
        self.app_instance_id = app_instance_id
        self.resource_url = resource_url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r})"

    @property
    def token(self) -> str:
        """The token for direct calls and the WebSocket, a secret; ``""`` if there is none.

        As :attr:`link_url` and :attr:`ws_url`, it is empty in a listed session.
        """
        return self._known.token

    @property
    def link_url(self) -> str:
        """The URL for direct calls of tools, a secret; ``""`` if there is none."""
        return self._known.link_url

    @property
    def ws_url(self) -> str:
        """The URL of the session's WebSocket, a secret; ``""`` if there is none."""
        return self._known.ws_url

    @property
    def vpc_ip(self) -> str:
        """The address of the machine in a network of yours, or ``""``."""
        return self._known.vpc_ip

    @property
    def vpc_id(self) -> str:
        """The id of that network, or ``""``."""
        return self._known.vpc_id

    @property
    def mcp_tools(self) -> list[McpTool]:
        """The tools that the service listed when the session was created or looked up.

        :meth:`list_mcp_tools` asks for them, with their descriptions and schemas.
        """
        tools = self._known.tools.all
        return [McpTool(name, server) for name, server in tools.items()]

    @property
    def enable_browser_replay(self) -> bool | None:
        """Whether the service records the browser; ``None`` if that is left to it, or unknown."""
        return self._known.record_browser

    @property
    def _known(self) -> Access:
        return self._access or self._api.access.get(self.session_id) or Access(self.session_id)

    @property
    def agent_bay(self) -> AsyncAgentBay:
        """The client; another object for it if the program has dropped the first one."""
        client: AsyncAgentBay = self._api.find_client()
        return client

    @property
    def command(self) -> AsyncCommand:
        """Run commands in the session."""
        from agentbay_async.services.command import AsyncCommand

        return self._service(AsyncCommand)

    @property
    def code(self) -> AsyncCode:
        """Run code in the session."""
        from agentbay_async.services.code import AsyncCode

        return self._service(AsyncCode)

    @property
    def file_system(self) -> AsyncFileSystem:
        """Read and write the files of the session."""
        from agentbay_async.services.file_system import AsyncFileSystem

        return self._service(AsyncFileSystem)

    @property
    def env(self) -> AsyncEnv:
        """Set and read the environment variables of the session."""
        from agentbay_async.services.env import AsyncEnv

        return self._service(AsyncEnv)

    @property
    def git(self) -> AsyncGit:
        """Work with git repositories in the session."""
        from agentbay_async.services.git import AsyncGit

        return self._service(AsyncGit)

    @property
    def agent(self) -> AsyncAgent:
        """Let the service's agents do tasks in the session."""
        from agentbay_async.services.agent import AsyncAgent

        return self._service(AsyncAgent)

    @property
    def browser(self) -> AsyncBrowser:
        """Start and stop the session's browser."""
        from agentbay_async.services.browser import AsyncBrowser

        return self._service(AsyncBrowser)

    @property
    def computer(self) -> AsyncComputer:
        """Control mouse, keyboard, windows and apps of the session's desktop."""
        from agentbay_async.services.computer import AsyncComputer

        return self._service(AsyncComputer)

    @property
    def mobile(self) -> AsyncMobile:
        """Control touch screen, elements and apps of the session's phone."""
        from agentbay_async.services.mobile import AsyncMobile

        return self._service(AsyncMobile)

    @property
    def oss(self) -> AsyncOss:
        """Copy files between the session and object storage."""
        from agentbay_async.services.oss import AsyncOss

        return self._service(AsyncOss._of)

    @property
    def pty(self) -> AsyncPty:
        """Open terminals in the session."""
        from agentbay_async.services.pty import AsyncPty

        return self._service(AsyncPty)

    @property
    def context(self) -> AsyncSessionContext:
        """Sync files between the session and its contexts."""
        from agentbay_async.session_context import AsyncSessionContext

        return self._service(AsyncSessionContext)

    @returns_result(OperationResult)
    async def set_labels(self, labels: Mapping[str, str]) -> OperationResult[None]:
        """Replace all labels of the session.

        The service would also remove the library's reserved labels, so they are sent again. For a
        session that this client did not create, the first call fetches them with one more request.

        Args:
            labels: The new labels; at least one, none of them blank.

        Raises:
            InvalidArgumentError: `labels` is empty, has more entries than a session has room for
                (20, of which the library needs 3 or 4), or a key or value is blank or too long.
        """
        checked = _check.labels(labels)
        if not checked:
            raise InvalidArgumentError("labels must not be empty; give at least one")
        deadline = self._api.deadline()
        kept = await self._reserved_labels(deadline)
        if len(checked) + len(kept) > _check.MAX_LABELS:
            raise reserved_labels.too_many_labels(checked, len(kept))
        request = schema.SetLabel(session_id=self.session_id, labels={**checked, **kept})
        answer = await self._api.call(request, deadline=deadline)
        return OperationResult.ok(None, answer.request_id)

    @returns_result(OperationResult)
    async def get_labels(self) -> OperationResult[dict[str, str]]:
        """Return the labels of the session in ``data``."""
        labels, request_id = await self._fetch_labels()
        return OperationResult.ok(reserved_labels.visible(labels), request_id)

    @returns_result(OperationResult)
    async def info(self) -> OperationResult[SessionInfo]:
        """Return in ``data`` how a person connects to the session."""
        answer = await self._api.call(schema.GetMcpResource(session_id=self.session_id))
        if answer.data is None:
            raise BadAnswerError("GetMcpResource: the answer has no data")
        info = _session_info(answer.data)
        return OperationResult.ok(info, answer.request_id)

    @returns_result(SessionStatusResult)
    async def get_status(self) -> SessionStatusResult:
        """Return the state of the session; ``"FINISH"`` means that it was deleted."""
        answer = await self._api.call(schema.GetSessionDetail(session_id=self.session_id))
        status = answer.data.status if answer.data is not None else None
        return SessionStatusResult.ok(status or "", answer.request_id)

    @returns_result(OperationResult)
    async def get_details(self) -> OperationResult[GetSessionData]:
        """Return in ``data`` what the service says of the session: its state, links and contexts.

        Example:
            ::

                details = (await session.get_details()).data
                print(details.status, [one["name"] for one in details.contexts])
        """
        answer = await self._api.call(schema.GetSession(session_id=self.session_id))
        if answer.data is None:
            raise BadAnswerError("GetSession: the answer has no data", request_id=answer.request_id)
        return OperationResult.ok(_session_data(answer.data), answer.request_id)

    @property
    def remaining(self) -> timedelta | None:
        """Longest time that the session still lives, never below 0.

        This is the rest of its ``max_runtime``; an idle session may end earlier. ``None`` if that
        is unknown, as for a session that was looked up or listed, and for a session that ends only
        when it is deleted.
        """
        from datetime import timedelta

        if self._ends is None:
            return None
        return timedelta(seconds=max(0.0, self._ends - self._api.clock.monotonic()))

    @returns_result(OperationResult)
    async def keep_alive(self) -> OperationResult[None]:
        """Restart the idle time of the session."""
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
        """Keep the session from becoming idle while a block runs.

        This does not extend ``max_runtime``; use `warn` to learn that it is nearly over.

        Args:
            every: Seconds (or a timedelta) between two requests; less than the idle time.
            warn: Called once, with the remaining time, shortly before ``max_runtime`` is over.
                Needs a session whose :attr:`remaining` is known.
            warn_before: Time between the warning and the end, in seconds or as a timedelta.

        Raises:
            SessionNotFoundError: The session ended while the block ran. Raised at the end of the
                block, unless the block itself raised.

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
        """Pause the session: its processes stop until it is resumed.

        Args:
            timeout: Seconds (or a timedelta) to wait until it is paused.
            poll_interval: Longest pause between two polls, in seconds.
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
        """Resume a paused session.

        Args:
            timeout: Seconds (or a timedelta) to wait until it runs.
            poll_interval: Longest pause between two polls, in seconds.
        """
        return await self._change(
            schema.ResumeSessionAsync(session_id=self.session_id),
            (SessionStatus.RESUMING, SessionStatus.RUNNING),
            _check.seconds(timeout, "timeout"),
            _check.seconds(poll_interval, "poll_interval"),
        )

    @returns_result(DeleteResult)
    async def delete(
        self,
        sync_context: bool = False,
        *,
        force: bool = False,
        timeout: float | timedelta = 300,
    ) -> DeleteResult:
        """Delete the session and wait until it is gone. It is a success if it is gone already.

        With `sync_context`, a session that is gone already is a success only if this client has a
        confirmed upload after its last change of files. Otherwise the result carries
        SyncUnknownError, because nobody can tell whether the files were saved.

        Args:
            sync_context: First upload the files of its contexts, and verify that they arrived.
            force: Delete the session even if that upload fails or its outcome is unknown; files may
                be lost then.
            timeout: Seconds (or a timedelta) to wait until the session is gone.
        """
        limit = _check.seconds(timeout, "timeout")
        if sync_context and force:
            await self.context.sync(mode="upload")
        elif sync_context:
            await self.context._save()
        return DeleteResult.ok(None, await delete(self._api, self.session_id, limit))

    @returns_result(LinkResult)
    async def get_link(
        self,
        protocol_type: Literal["https", "wss"] | None = None,
        port: int | None = None,
        options: str | None = None,
    ) -> LinkResult:
        """Return in ``data`` a URL that leads to a port of the session.

        Anyone who has the URL may use it: keep it secret. Without arguments it leads to the
        session's browser, if its image has one.

        Args:
            protocol_type: ``"https"``, or ``"wss"`` (the default) for a WebSocket.
            port: The port, from 30100 to 30199, on which a program in the session listens.
            options: Sent to the service unchanged.

        Raises:
            InvalidArgumentError: `port` or `protocol_type` is invalid.
        """
        from agentbay_async.services._links import get_link

        return await get_link(self._api, self.session_id, protocol_type, port, options)

    @returns_result(SessionMetricsResult)
    async def get_metrics(
        self,
        read_timeout: int | None = None,
        connect_timeout: int | None = None,
        *,
        timeout: float | timedelta | None = None,
    ) -> SessionMetricsResult:
        """Return load, memory and disk usage of the session's machine.

        Args:
            read_timeout: Milliseconds to wait for its answer, as in the official client.
            connect_timeout: Milliseconds to wait for a connection; together they are `timeout`.
            timeout: Seconds (or a timedelta) to wait for its answer; ``None`` takes the client's.
        """
        from agentbay_async.services._metrics import get_metrics

        limit = _call_limit(timeout, read_timeout, connect_timeout)
        return await get_metrics(self._api, self.session_id, limit)

    @returns_result(McpToolResult)
    async def call_mcp_tool(
        self,
        tool_name: str,
        # Each tool defines its own arguments, so any JSON value is possible.
        args: Mapping[str, Any],
        read_timeout: int | None = None,
        connect_timeout: int | None = None,
        auto_gen_session: bool = False,
        *,
        timeout: float | timedelta | None = None,
    ) -> McpToolResult:
        """Call a tool of the session by name.

        Args:
            tool_name: Its name, such as ``"shell"``.
            args: Its arguments, by its input schema.
            read_timeout: Milliseconds to wait for its answer, as in the official client.
            connect_timeout: Milliseconds to wait for a connection; together they are `timeout`.
            auto_gen_session: Let the service create a session if this one is gone.
            timeout: Seconds (or a timedelta) to wait for its answer; ``None`` takes the client's.
        """
        from agentbay_async.services._tool_calls import call_tool, check_args

        limit = _call_limit(timeout, read_timeout, connect_timeout)
        name = _check.identifier(tool_name, "tool_name")
        auto = _check.boolean(auto_gen_session, "auto_gen_session")
        return await call_tool(self._api, self.session_id, name, check_args(args), limit, auto)

    @returns_result(McpToolsResult)
    async def list_mcp_tools(self, image_id: str | None = None) -> McpToolsResult:
        """List the tools of an image.

        Args:
            image_id: The image; ``None`` takes the session's.
        """
        from agentbay_async.services._tool_calls import list_tools

        name = await self._image() if image_id is None else image_id
        return await list_tools(self._api, _check.identifier(name, "image_id"))

    def _service(self, kind: Callable[[Api, str], T]) -> T:
        """Return the service of class `kind`; the same one each time."""
        if self._services is None:
            self._services = {}
        service: T | None = self._services.get(kind)
        if service is None:
            service = kind(self._api, self.session_id)
            # Typed as Any, because the services, which all have the attribute, share no base.
            part: Any = service
            part._find_session = self._finder()
            self._services[kind] = self._api.access.hold(service, self.session_id)
        return service

    def _finder(self) -> Callable[[], AsyncSession]:
        """Return what gives this session to its services, which may outlive it."""
        if self._find is None:
            again = partial(
                AsyncSession,
                self._api,
                self.session_id,
                self.image_id,
                self.status,
                self.app_instance_id,
                self.resource_url,
                self._access,
                self._reserved,
                self._ends,
            )
            self._find = finder(self, again)
        return self._find

    async def _reserved_labels(self, deadline: float) -> dict[str, str]:
        if self._reserved is None:
            if not self._api.settings.reserved_labels:
                return {}
            await self._fetch_labels(deadline)
        return self._reserved or {}

    async def _fetch_labels(self, deadline: float | None = None) -> tuple[dict[str, str], str]:
        request = schema.GetLabel(session_id=self.session_id)
        answer = await self._api.call(request, deadline=deadline)
        labels = (answer.data.labels if answer.data is not None else None) or {}
        self._reserved = reserved_labels.reserved(labels)
        return labels, answer.request_id

    async def _change(
        self,
        request: schema.PauseSessionAsync | schema.ResumeSessionAsync,
        states: tuple[SessionStatus, SessionStatus],
        timeout: float,
        interval: float,
    ) -> SessionStatusResult:
        """Send `request`, then wait until the session leaves the first of `states`.

        Raises:
            SessionStateError: It is not in the second one then.
        """
        transitional, wanted = states
        deadline = self._api.deadline(timeout)
        answer = await self._api.call(request, deadline=deadline)
        status = await poll(
            self._status,
            lambda status: status != transitional,
            clock=self._api.clock,
            timeout=min(timeout, deadline - self._api.clock.monotonic()),
            what=f"{request.ACTION} of {self.session_id}",
            interval=interval,
        )
        if status != wanted:
            error = SessionStateError(
                f"{self.session_id} is {status or 'in an unknown state'}, not {wanted.value}",
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

    async def _image(self) -> str:
        """Return the image of the session; fetch it if a look-up left it unknown."""
        if not self.image_id:
            request = schema.GetSessionDetail(session_id=self.session_id)
            answer = await self._api.call(request)
            image_id = answer.data.image_id if answer.data is not None else None
            self.image_id = image_id or _DEFAULT_IMAGE
        return self.image_id

    # Names of the official client, from scripts/official_names.toml.
    fs = file_system
    filesystem = file_system
    files = file_system
    mcpTools = mcp_tools
    enableBrowserReplay = enable_browser_replay
    beta_pause = pause
    beta_pause_async = pause
    beta_resume = resume
    beta_resume_async = resume

    def get_token(self) -> str:
        """Return :attr:`token`, under the name of the official client; deprecated."""
        _check.warn_deprecated("get_token()", "token")
        return self.token

    def get_link_url(self) -> str:
        """Return :attr:`link_url`, under the name of the official client; deprecated."""
        _check.warn_deprecated("get_link_url()", "link_url")
        return self.link_url

    def getToken(self) -> str:
        """Return :attr:`token`, under the name of the official client; deprecated."""
        _check.warn_deprecated("getToken()", "token")
        return self.token

    def getLinkUrl(self) -> str:
        """Return :attr:`link_url`, under the name of the official client; deprecated."""
        _check.warn_deprecated("getLinkUrl()", "link_url")
        return self.link_url


def _call_limit(
    timeout: float | timedelta | None, read_timeout: int | None, connect_timeout: int | None
) -> float | None:
    """Return the seconds for one call; the other two limits are in milliseconds."""
    if timeout is not None:
        return _check.seconds(timeout, "timeout")
    parts = {"read_timeout": read_timeout, "connect_timeout": connect_timeout}
    given = [_check.positive_int(value, name) for name, value in parts.items() if value is not None]
    return sum(given) / 1000 if given else None


def _session_data(record: schema.SessionRecord) -> GetSessionData:
    contexts = [{"id": one.id or "", "name": one.name or ""} for one in record.contexts or ()]
    names = set(attrs.fields_dict(GetSessionData)) - {"contexts", "success"}
    # Typed as Any, because mypy cannot match the keys with the fields of the class.
    found: dict[str, Any] = {
        name: value for name in names if (value := getattr(record, name)) is not None
    }
    return GetSessionData(**found, success=True, contexts=contexts)


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
