"""How a session is reached besides the API: its direct address, its WebSocket, its tools.

Values without any I/O. Thousands of sessions may live at once, so what belongs to an image, its
long list of tools, is kept once for all of them, and read when a tool is first looked for.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from agentbay_async._protocol import schema

logger = logging.getLogger("agentbay")

# Images, times the versions of their lists that one program meets.
_KNOWN_LISTS = 64


class ToolServers:
    """Which server of a session offers each tool.

    Args:
        text: The list as the service sends it: a JSON array of objects.
    """

    __slots__ = ("_servers", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._servers: dict[str, str] | None = None

    def of(self, tool: str) -> str:
        """Return the server that offers `tool`, or ``""`` where that is not known."""
        if self._servers is None:
            self._servers = _read(self._text)
        return self._servers.get(tool, "")


@lru_cache(maxsize=_KNOWN_LISTS)
def tool_servers(text: str) -> ToolServers:
    """Return the tools of a list; the same list is always the same object."""
    return ToolServers(text)


def _read(text: str) -> dict[str, str]:
    try:
        entries = json.loads(text) if text else []
    except (ValueError, RecursionError):
        logger.warning("a list of tools is not JSON; the tools are called by way of the API")
        return {}
    servers: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            # The first entry of a name counts.
            servers.setdefault(_first(entry, "name", "Name"), _first(entry, *_SERVER))
    return servers


_SERVER = ("server", "serverName", "Server")


def _first(entry: dict[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := entry.get(name), str)), "")


@attrs.define(eq=False)
class Access:
    """How one session is reached directly.

    Attributes:
        session_id: The session.
        link_url: Where tools are called directly; ``""`` where that is not offered.
        ws_url: Where its WebSocket is; ``""`` where that is not offered.
        token: What opens both. A secret, like the addresses.
        tools: Who offers its tools.
        avoided_until: Until when the direct address is not tried, on the client's clock.
    """

    session_id: str
    link_url: str = attrs.field(default="", repr=False)
    ws_url: str = attrs.field(default="", repr=False)
    token: str = attrs.field(default="", repr=False)
    tools: ToolServers = attrs.field(factory=lambda: tool_servers(""), repr=False)
    avoided_until: float = 0.0

    def server_for(self, tool: str, now: float) -> str:
        """Return the server to call `tool` at directly, or ``""`` if it has to go by the API."""
        if not (self.link_url and self.token) or now < self.avoided_until:
            return ""
        return self.tools.of(tool)


def remember_endpoint(
    known: MutableMapping[str, Access],
    session_id: str,
    record: schema.CreatedSession | schema.SessionRecord,
) -> Access:
    """Store the direct addresses of a session that `record` contains, and return them.

    An entry that exists is updated in place, because session objects hold it.
    """
    addresses = record.link_url or "", record.ws_url or "", record.token or ""
    tools = tool_servers(record.tool_list or "")
    access = known.get(session_id)
    if access is None:
        access = known[session_id] = Access(session_id, *addresses, tools)
    else:
        access.link_url, access.ws_url, access.token = addresses
        access.tools = tools
    return access
