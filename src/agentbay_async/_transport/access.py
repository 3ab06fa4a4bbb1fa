"""Access data of a session: its direct address, its WebSocket, its token, its tools.

Values without I/O. The list of tools is long, and the same for all sessions of an image. Thousands
of sessions share one object for it, which parses the list when a tool is first looked up.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import attrs

from agentbay_async._protocol.byte_calls import TAKES_BYTES

if TYPE_CHECKING:
    from agentbay_async._protocol import schema
    from agentbay_async.models.browser import BrowserOption

T = TypeVar("T")

logger = logging.getLogger("agentbay")

# Enough for the images that one program uses.
_KNOWN_LISTS = 64


class ToolServers:
    """The server that offers each tool of a session, and the tools whose calls may carry bytes.

    Args:
        text: The list as the service sends it: a JSON array of objects.
    """

    __slots__ = ("_bytes", "_servers", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._servers: dict[str, str] | None = None
        self._bytes: frozenset[str] = frozenset()

    def server_of(self, tool: str) -> str:
        """Return the server that offers `tool`, or ``""`` if it is unknown."""
        return self.all.get(tool, "")

    @property
    def all(self) -> dict[str, str]:
        """The server of each tool."""
        if self._servers is None:
            self._servers, self._bytes = _read(self._text)
        return self._servers

    def take_bytes(self, tool: str) -> bool:
        """Return whether direct calls of `tool` may carry bytes; only our local service says so."""
        return tool in self.all and tool in self._bytes


_NO_TOOLS = ToolServers("")


@lru_cache(maxsize=_KNOWN_LISTS)
def tool_servers(text: str) -> ToolServers:
    """Return the tools of a list; equal lists share one object."""
    return ToolServers(text)


def _read(text: str) -> tuple[dict[str, str], frozenset[str]]:
    try:
        entries = json.loads(text) if text else []
    except (ValueError, RecursionError):
        logger.warning("the list of tools is not JSON; tools are called through the API")
        return {}, frozenset()
    servers: dict[str, str] = {}
    bytes_: set[str] = set()
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            # Of several entries with one name, the first counts.
            name = _first(entry, "name", "Name")
            servers.setdefault(name, _first(entry, *_SERVER))
            if entry.get(TAKES_BYTES) is True:
                bytes_.add(name)
    return servers, frozenset(bytes_)


_SERVER = ("server", "serverName", "Server")


def _first(entry: dict[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := entry.get(name), str)), "")


@attrs.define(eq=False)
class Access:
    """The access data of one session.

    Attributes:
        session_id: The session.
        link_url: The URL for direct calls of tools; ``""`` if the session has none.
        ws_url: The URL of its WebSocket; ``""`` if the session has none.
        token: The token for both. A secret, like the URLs.
        tools: The servers of its tools.
        vpc_ip: The address of the machine in a network of the user's own, or ``""``.
        vpc_id: The id of that network, or ``""``.
        is_known: Whether the service has told the addresses; not yet of a session that was only
            listed.
        avoid_until: The time on the client's clock until which direct calls are not tried.
        has_contexts: Whether the session may see contexts; false if this client created it without
            any and bound none since.
        record_browser: Whether the service is to record its browser; ``None`` leaves it to it.
        browser_started: Whether this client started its browser, and has not stopped it.
        browser_option: The options with which this client started it, or ``None``.
        browser_port: The port that the service told for it, or ``None``.
        changes: The number of times that a call of this client that may write files began or ended.
        saved_changes: `changes` at the last confirmed upload of all contexts; ``None`` before one.
        can_change_unseen: Whether something was opened through which files change without a call: a
            terminal, a stream, a link.
    """

    session_id: str
    link_url: str = attrs.field(default="", repr=False)
    ws_url: str = attrs.field(default="", repr=False)
    token: str = attrs.field(default="", repr=False)
    tools: ToolServers = attrs.field(default=_NO_TOOLS, repr=False)
    vpc_ip: str = ""
    vpc_id: str = ""
    is_known: bool = False
    avoid_until: float = 0.0
    has_contexts: bool = True
    record_browser: bool | None = None
    browser_started: bool = False
    browser_option: BrowserOption | None = attrs.field(default=None, repr=False)
    browser_port: int | None = None
    changes: int = 0
    saved_changes: int | None = None
    can_change_unseen: bool = False

    @property
    def is_saved(self) -> bool:
        """Whether all files are known to be in their contexts, as far as this client wrote them."""
        if not self.has_contexts:
            return True
        return self.saved_changes == self.changes and not self.can_change_unseen

    def changing(self) -> _Change:
        """Count a call that may write files: the block.

        It counts twice, because an upload that runs meanwhile may have read a file before the call
        wrote it.
        """
        return _Change(self)

    def server_for(self, tool: str, now: float) -> str:
        """Return the server for a direct call of `tool`, or ``""`` if the API must be used."""
        if not (self.link_url and self.token) or now < self.avoid_until:
            return ""
        return self.tools.server_of(tool)

    def takes_bytes(self, tool: str, now: float) -> bool:
        """Return whether a call of `tool` is sent in a way that can carry bytes."""
        return self.server_for(tool, now) != "" and self.tools.take_bytes(tool)


class _Change:
    """A call that may write files. Every call of a tool makes one: a generator would cost more."""

    __slots__ = ("_access",)

    def __init__(self, access: Access) -> None:
        self._access = access

    def __enter__(self) -> None:
        self._access.changes += 1

    def __exit__(self, *_: object) -> None:
        self._access.changes += 1


class AccessMap(WeakValueDictionary[str, Access]):
    """The access data of a client's sessions, by session id.

    An entry lives as long as the last object that uses its session. A caller may keep only a
    service of a session, such as ``session.command``, and drop the session itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: WeakKeyDictionary[object, Access] = WeakKeyDictionary()

    def hold(self, holder: T, session_id: str) -> T:
        """Keep the entry of a session, or an empty one, as long as `holder` lives; return it."""
        self._held[holder] = self.setdefault(session_id, Access(session_id))
        return holder

    def remember(
        self, session_id: str, record: schema.CreatedSession | schema.SessionRecord
    ) -> Access:
        """Store the direct addresses of a session that `record` contains, and return its entry.

        An entry that exists is updated in place, because others hold it.
        """
        access = self.get(session_id)
        if access is None:
            access = self[session_id] = Access(session_id)
        access.link_url, access.ws_url = record.link_url or "", record.ws_url or ""
        access.token, access.tools = record.token or "", tool_servers(record.tool_list or "")
        access.vpc_ip, access.vpc_id = record.vpc_ip or "", record.vpc_id or ""
        access.is_known = True
        return access
