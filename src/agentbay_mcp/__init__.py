"""An MCP server: sessions of AgentBay as tools for any client of the Model Context Protocol.

``agentbay mcp`` runs it. It needs the extra ``mcp``. :func:`make_server` returns the server for
programs that serve it in another way.
"""

from __future__ import annotations

from agentbay_mcp.options import McpOptions
from agentbay_mcp.server import make_server

__all__ = ["McpOptions", "make_server"]
