"""A session: one isolated machine in which an agent works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async._session_life import Lifetime
from agentbay_async.errors import BadAnswerError, InvalidArgumentError
from agentbay_async.models._reserved_labels import reserved as reserved_part
from agentbay_async.models._reserved_labels import visible
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import OperationResult
from agentbay_async.models.sessions import SessionInfo
from agentbay_async.models.tools import (
    LinkResult,
    McpToolResult,
    McpToolsResult,
    SessionMetricsResult,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from typing import Any, Literal

    from agentbay_async._api import Api
    from agentbay_async._transport.access import Access

_USUAL_IMAGE = "linux_latest"


class AsyncSession(Lifetime):
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

    __slots__ = ("_access", "_reserved", "app_instance_id", "image_id", "resource_url")

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
        # None until a service is asked for: few of the sessions of a listing are spoken to.
        self._services = None
        self._ends = ends
        self.status = status
        self._access = access
        # Labels of the library's own, or None while they are not known.
        self._reserved = reserved
        self.image_id = image_id
        self.app_instance_id = app_instance_id
        self.resource_url = resource_url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r})"

    @returns_result(OperationResult)
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

    @returns_result(OperationResult)
    async def get_labels(self) -> OperationResult[dict[str, str]]:
        """Ask for the labels of the session; they are in ``data``."""
        labels, request_id = await self._all_labels()
        return OperationResult.ok(visible(labels), request_id)

    @returns_result(OperationResult)
    async def info(self) -> OperationResult[SessionInfo]:
        """Ask how a person reaches the session; the answer is in ``data``."""
        answer = await self._api.call(schema.GetMcpResource(session_id=self.session_id))
        if answer.data is None:
            raise BadAnswerError("GetMcpResource: the answer has no data")
        info = _session_info(answer.data)
        return OperationResult.ok(info, answer.request_id)

    @returns_result(LinkResult)
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
        from agentbay_async.services._links import get_link

        return await get_link(self._api, self.session_id, protocol_type, port, options)

    @returns_result(SessionMetricsResult)
    async def get_metrics(
        self, *, timeout: float | timedelta | None = None
    ) -> SessionMetricsResult:
        """Ask how busy the session's machine is.

        Args:
            timeout: Seconds (or a timedelta) to wait for its answer; ``None`` takes the client's.
        """
        from agentbay_async.services._metrics import get_metrics

        limit = None if timeout is None else _check.seconds(timeout, "timeout")
        return await get_metrics(self._api, self.session_id, limit)

    @returns_result(McpToolResult)
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
        from agentbay_async.services._tools import call_tool, checked_args

        limit = None if timeout is None else _check.seconds(timeout, "timeout")
        name = _check.identifier(tool_name, "tool_name")
        return await call_tool(self._api, self.session_id, name, checked_args(args), limit)

    @returns_result(McpToolsResult)
    async def list_mcp_tools(self, image_id: str | None = None) -> McpToolsResult:
        """List the tools that the session's image, or another one, offers.

        Args:
            image_id: An image; ``None`` takes the session's, which is asked for if need be.
        """
        from agentbay_async.services._tools import list_tools

        name = await self._image() if image_id is None else image_id
        return await list_tools(self._api, _check.identifier(name, "image_id"))

    async def _image(self) -> str:
        """Return the image, which is not known where the session was looked up."""
        if not self.image_id:
            request = schema.GetSessionDetail(session_id=self.session_id)
            answer = await self._api.call(request)
            told = answer.data.image_id if answer.data is not None else None
            self.image_id = told or _USUAL_IMAGE
        return self.image_id


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
