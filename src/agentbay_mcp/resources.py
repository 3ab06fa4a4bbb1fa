"""Resources: the files of a session, and the log of what was run in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from agentbay_mcp.open_sessions import OpenSessions

__all__ = ["add_resources"]

_LARGEST = 16 * 1024 * 1024


def add_resources(server: MCPServer, sessions: OpenSessions) -> None:
    """Add the templates of the resources to a server."""

    async def session_file(session_id: str, path: str) -> str | bytes:
        """Return a file of a session, by its path without the first slash."""
        files = sessions.get(session_id).file_system
        content = (await files.read_file(f"/{path}", format="bytes", max_size=_LARGEST)).unwrap()
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content

    async def session_log(session_id: str) -> str:
        """Return the commands that this server has run in a session, one JSON object a line."""
        return "".join(f"{json.dumps(entry)}\n" for entry in sessions.entries(session_id))

    server.resource("agentbay://{session_id}/files/{+path}", name="session_file")(session_file)
    server.resource(
        "agentbay://{session_id}/log", name="session_log", mime_type="application/x-ndjson"
    )(session_log)
