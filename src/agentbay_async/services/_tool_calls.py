"""Tool calls: call a tool of a session, directly or through the API; list tools; get the WebSocket.

A tool is called directly if the session has a direct address and the tool's server is known. A
direct call that fails is repeated through the API only if that does no harm: if nothing reached the
session, or if the tool only reads. A command that may have run is never run a second time.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._protocol import schema
from agentbay_async._protocol.codec import compact_json, decode_base64
from agentbay_async.errors import (
    AgentBayError,
    APIError,
    ArgumentTypeError,
    BadAnswerError,
    ConnectionFailedError,
    ConnectionLostError,
    InvalidArgumentError,
    ServiceError,
    SessionError,
    ToolError,
)
from agentbay_async.models.tools import McpTool, McpToolResult, McpToolsResult, ToolContent

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async._protocol.envelope import Answer
    from agentbay_async._transport.access import Access
    from agentbay_async._transport.websocket import SessionSocket

logger = logging.getLogger("agentbay")

_WRAPPED_ERROR = re.compile(
    r"Execution failed\. Error code: ?-?\d+ Error message: ?(.*\S.*)", re.DOTALL
)

# Tools that only read, so that a second call does no harm.
_READ_ONLY = frozenset(
    {
        "get_env",
        "get_file_info",
        "get_metrics",
        "list_directory",
        "read_file",
        "read_multiple_files",
        "search_files",
    }
)

#: Extra seconds for the exchange. The session's own report of a timeout, which has the output, must
#: arrive before the connection times out.
ANSWER_GRACE = 15.0
#: Characters of a streamed output that a result keeps, as many as a session keeps of any other.
MAX_OUTPUT = 16 * 1024 * 1024
# The arguments of tools that limit their time, and their units in seconds.
_TIMES = {"timeout_ms": 0.001, "timeout_s": 1.0}
_MAX_TIME = 1e9
# Seconds for which a direct address is not tried after it could not be reached.
_AVOIDED_SECONDS = 30.0
# The gateway refused the call without acting on it: the token expired, or the route is gone.
_NOT_ACCEPTED = frozenset({401, 403, 404})
# The session may have acted on the call. Timeouts are not listed: no time is left to repeat it.
_PERHAPS_DONE = (ConnectionLostError, BadAnswerError, ServiceError)
# A refusal with another status, 400 or even 200, may mean that the gateway wants another form of
# call; only of a tool that reads is it safe to find out.
_MAY_BE_REPEATED = (*_PERHAPS_DONE, APIError)


async def check_one_request(
    api: Api, session_id: str, tool: str, limit: float, most: float, cure: str
) -> None:
    """Check that a call of `limit` seconds can be one request.

    The gateway ends a request after 60 seconds, and what it started may go on unseen. Calls to the
    session's own address do not pass it.

    Raises:
        InvalidArgumentError: The session has no address of its own, and `limit` is above `most`.
    """
    if limit <= most:
        return
    access = await get_access(api, session_id)
    if not (access.link_url and access.token and access.tools.server_of(tool)):
        raise InvalidArgumentError(
            f"timeout must be at most {most:g} seconds for this session, not {limit:g}: the service"
            f" ends a request after 60 seconds; {cure}"
        )


async def call_tool(
    api: Api,
    session_id: str,
    name: str,
    args: Mapping[str, Any],
    timeout: float | None = None,
    auto_gen_session: bool = False,
) -> McpToolResult:
    """Call a tool and return its whole answer.

    Args:
        api: The service.
        session_id: The session.
        name: The tool.
        args: Its arguments.
        timeout: Seconds for one attempt; ``None`` takes the client's, or more if the arguments give
            the tool more time.
        auto_gen_session: Whether the service may create a session if this one is gone.

    Raises:
        ToolError: The tool answered with an error; the message is its text.
        BadAnswerError: The answer has no content at all.
        AgentBayError: The call failed, and was not repeated, or failed again.
    """
    request = schema.CallMcpTool(
        session_id=session_id, name=name, args=dict(args), auto_gen_session=auto_gen_session
    )
    if timeout is None and (own := _own_time(args)) is not None:
        timeout = max(api.settings.timeout, own + ANSWER_GRACE)
    return _result(request, await _send(api, request, timeout))


async def read_bytes(
    api: Api, session_id: str, name: str, args: Mapping[str, Any]
) -> tuple[bytes, str]:
    """Call a tool that answers bytes; return them, and the id of the request.

    They come as base64, unless the session's own address can send them as they are.

    Raises:
        BadAnswerError: They are no base64.
        AgentBayError: As :func:`call_tool`.
    """
    request = schema.CallMcpTool(session_id=session_id, name=name, args=dict(args))
    answer = await _send(api, request, None, accept_bytes=True)
    if isinstance(answer.data, schema.BytesAnswer):
        return answer.data.body, answer.request_id
    try:
        return decode_base64(_result(request, answer).data), answer.request_id
    except ValueError:
        raise BadAnswerError(
            f"{name}: {args.get('path')} did not arrive as base64",
            request_id=answer.request_id,
            session_id=session_id,
        ) from None


def _result(request: schema.CallMcpTool, answer: Answer[schema.ToolAnswer]) -> McpToolResult:
    name, session_id = request.name or "", request.session_id or ""
    if answer.data is None:
        raise BadAnswerError(
            f"{name}: the answer has no data", request_id=answer.request_id, session_id=session_id
        )
    content = [_content(item) for item in answer.data.content or ()]
    if answer.data.is_error:
        text = "\n".join(item.text for item in content if item.text) or f"{name} failed"
        raise _tool_error(text, answer.request_id, session_id)
    return McpToolResult.ok(content, answer.request_id)


def _own_time(args: Mapping[str, Any]) -> float | None:
    """Return the seconds that the arguments of a tool give it, if they do."""
    for name, seconds in _TIMES.items():
        value = args.get(name)
        if isinstance(value, (int, float)) and 0 < value < _MAX_TIME:
            return value * seconds
    return None


def _tool_error(text: str, request_id: str, session_id: str) -> ToolError:
    """Return the error of a tool, without the service's wrapping of its text."""
    wrapped = _WRAPPED_ERROR.fullmatch(text)
    message = wrapped[1] if wrapped else text
    error = ToolError(message, request_id=request_id, session_id=session_id)
    error.detail = text if wrapped else ""
    return error


def _read_json(answer: McpToolResult, tool: str) -> Any:
    """Return the JSON value in the answer of a tool.

    Raises:
        BadAnswerError: The answer is not JSON.
    """
    try:
        return json.loads(answer.data)
    except (ValueError, RecursionError):
        raise BadAnswerError(
            f"{tool}: the answer is not JSON", request_id=answer.request_id
        ) from None


def read_json_object(answer: McpToolResult, tool: str) -> dict[str, Any]:
    """Return the JSON object in the answer of a tool.

    Raises:
        BadAnswerError: The answer is not a JSON object.
    """
    value = _read_json(answer, tool)
    if not isinstance(value, dict):
        raise BadAnswerError(
            f"{tool}: the answer is not a JSON object", request_id=answer.request_id
        )
    return value


def read_json_objects(answer: McpToolResult, tool: str) -> list[dict[str, Any]]:
    """Return the list of JSON objects in the answer of a tool; an empty answer has none.

    Raises:
        BadAnswerError: The answer is not a list of JSON objects.
    """
    value = _read_json(answer, tool) if answer.data.strip() else []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise BadAnswerError(
            f"{tool}: the answer is not a list of JSON objects", request_id=answer.request_id
        )
    return value


def check_args(args: object) -> dict[str, Any]:
    """Return `args` if it is a mapping that can be written as JSON."""
    if not isinstance(args, Mapping):
        raise ArgumentTypeError(f"args must be a mapping, not {type(args).__name__}")
    try:
        compact_json(dict(args))
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"args cannot be written as JSON: {error}") from None
    return dict(args)


async def list_tools(api: Api, image_id: str) -> McpToolsResult:
    """Return the tools of an image."""
    answer = await api.call(schema.ListMcpTools(image_id=image_id))
    tools = [_tool(tool) for tool in answer.data or ()]
    return McpToolsResult.ok(tools, answer.request_id)


async def get_access(api: Api, session_id: str) -> Access:
    """Return the access data of a session; of one that was only listed, look it up first."""
    access = api.access.get(session_id)
    if access is None or not access.is_known:
        answer = await api.call(schema.GetSession(session_id=session_id))
        access = api.access.remember(session_id, answer.data or schema.SessionRecord())
    return access


async def get_socket(api: Api, session_id: str) -> SessionSocket:
    """Return the WebSocket of a session, which connects when the first frame is sent.

    Raises:
        SessionError: The session has no WebSocket.
        AgentBayError: The access data of the session could not be looked up.
    """
    api.check_open()
    access = await get_access(api, session_id)
    if not (access.ws_url and access.token):
        raise SessionError(
            f"{session_id} has no WebSocket",
            session_id=session_id,
            hint="Terminals and streams need an image that offers one",
        )
    access.can_change_unseen = True
    return api.sockets.get(access)


async def _send(
    api: Api, request: schema.CallMcpTool, timeout: float | None, *, accept_bytes: bool = False
) -> Answer[schema.ToolAnswer]:
    access = api.access.get(request.session_id or "")
    if access is None:
        return await api.call(request, timeout)
    if request.name in _READ_ONLY:
        return await _send_best_way(api, access, request, timeout, accept_bytes)
    with access.changing():
        return await _send_best_way(api, access, request, timeout)


async def _send_best_way(
    api: Api,
    access: Access,
    request: schema.CallMcpTool,
    timeout: float | None,
    accept_bytes: bool = False,
) -> Answer[schema.ToolAnswer]:
    """Send a call directly if possible, otherwise, or after a harmless failure, through the API."""
    name, began = request.name or "", api.clock.monotonic()
    limit = api.settings.timeout if timeout is None else timeout
    if server := access.server_for(name, began):
        # Imported here, so that importing the package does not load aiohttp.
        from agentbay_async._transport.direct_call import call_directly

        api.check_open()
        try:
            return await call_directly(
                api.transport,
                access,
                server,
                name,
                request.args or {},
                limit,
                accept_bytes=accept_bytes and access.tools.take_bytes(name),
            )
        except AgentBayError as error:
            if not _repeatable(error, name):
                raise
            logger.info("%s; using the API instead", error)
            if not isinstance(error, _PERHAPS_DONE):
                access.avoid_until = api.clock.monotonic() + _AVOIDED_SECONDS
    args = dict(request.args or {})
    if isinstance(content := args.get("content"), (bytes, memoryview)):
        args["content"] = base64.b64encode(content).decode("ascii")
    request = attrs.evolve(request, server=access.tools.server_of(name), args=args)
    return await api.call(request, limit, deadline=began + max(api.settings.deadline, limit))


def _repeatable(error: AgentBayError, tool: str) -> bool:
    if isinstance(error, ConnectionFailedError):
        return True
    if isinstance(error, APIError) and error.http_status in _NOT_ACCEPTED:
        return True
    return tool in _READ_ONLY and isinstance(error, _MAY_BE_REPEATED)


def _tool(record: schema.Tool) -> McpTool:
    return McpTool(
        name=record.name or "",
        server=record.server or "",
        description=record.description or "",
        input_schema=record.input_schema or {},
    )


def _content(record: schema.ContentItem) -> ToolContent:
    return ToolContent(
        type=record.type or "text",
        text=record.text or "",
        data=record.data or record.blob or "",
        mime_type=record.mime_type or "",
    )
