"""Make the MCP server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import wraps
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from agentbay_async import AgentBayError
from agentbay_async import __version__ as version
from agentbay_mcp.command_tools import CommandTools
from agentbay_mcp.context_tools import ContextTools
from agentbay_mcp.file_tools import FileTools
from agentbay_mcp.open_sessions import OpenSessions
from agentbay_mcp.options import McpOptions
from agentbay_mcp.resources import add_resources
from agentbay_mcp.screen_tools import ScreenTools
from agentbay_mcp.session_tools import SessionTools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentbay_async import AsyncAgentBay

__all__ = ["make_server"]

_INSTRUCTIONS = (
    "Isolated Linux sessions. Create one with session_create, and pass its session_id to the other "
    "tools. Files and processes live until session_delete; contexts keep files for longer."
)


def make_server(bay: AsyncAgentBay, options: McpOptions | None = None) -> MCPServer:
    """Return an MCP server whose tools work in sessions of a client.

    The sessions that it creates are deleted when it ends, unless ``options.keep``.

    Args:
        bay: The client. The caller closes it after the server has ended.
        options: What clients of the server may do.

    Example:
        ::

            async with AsyncAgentBay(endpoint="local") as bay:
                await make_server(bay).run_stdio_async()
    """
    sessions = OpenSessions(bay, options or McpOptions())

    @asynccontextmanager
    async def lifespan(_: MCPServer) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await sessions.close()

    server = MCPServer(
        "agentbay",
        title="AgentBay",
        instructions=_INSTRUCTIONS,
        version=version,
        lifespan=lifespan,
        # Standard output belongs to the protocol, and standard error to the client's log.
        log_level="WARNING",
    )
    for kind in (SessionTools, CommandTools, FileTools, ContextTools, ScreenTools):
        for tool in kind(sessions).tools():
            server.add_tool(_telling(tool), description=cleandoc(tool.__doc__ or ""))
    add_resources(server, sessions)
    return server


def _telling(tool: Callable[..., Any]) -> Callable[..., Any]:
    """Return a tool whose errors reach the model as text: what is wrong, and the cure."""

    @wraps(tool)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return await tool(*args, **kwargs)
        except AgentBayError as error:
            raise ToolError(str(error)) from error

    return wrapper
