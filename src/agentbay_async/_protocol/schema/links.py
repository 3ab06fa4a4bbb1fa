"""Actions that open ways into a session: ports, its browser, its debug bridge, its file store."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request, as_json, named


@attrs.define
class Link:
    """A URL into a session. It carries its own permission; treat it as a secret."""

    url: str | None = attrs.field(default=None, repr=False)


@attrs.define
class GetLink(Request[Link]):
    """Ask for a URL that leads to a port of a session, or to its browser."""

    ACTION: ClassVar[str] = "GetLink"
    DATA: ClassVar[type] = Link
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    protocol_type: str | None = None
    port: int | None = None
    option: str | None = None


@attrs.define
class GetCdpLink(Request[Link]):
    """Ask for the WebSocket URL by which the session's browser is driven."""

    ACTION: ClassVar[str] = "GetCdpLink"
    DATA: ClassVar[type] = Link
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None


@attrs.define
class GetAdbLink(Request[Link]):
    """Ask for the address of the Android debug bridge; ``option`` holds the public key."""

    ACTION: ClassVar[str] = "GetAdbLink"
    DATA: ClassVar[type] = Link
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    option: dict[str, str] | None = as_json()


@attrs.define
class BrowserPort:
    """``Data`` of InitBrowser: a port means that the browser runs."""

    port: int | None = None


@attrs.define
class InitBrowser(Request[BrowserPort]):
    """Start the browser of a session; one that runs already is left as it is."""

    ACTION: ClassVar[str] = "InitBrowser"
    DATA: ClassVar[type] = BrowserPort
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    persistent_path: str = "/tmp/agentbay_browser"  # noqa: S108  # a path of the session
    # Options are JSON values of many shapes; the service knows them, the wire does not.
    browser_option: dict[str, Any] | None = as_json()


@attrs.define
class InternalContext:
    """A context that the service keeps for its own purposes, and where the session sees it."""

    context_id: str | None = None
    context_path: str | None = None
    context_type: str | None = None


@attrs.define
class GetAndLoadInternalContext(Request[list[InternalContext]]):
    """Attach such a context to a session. The list of types is flattened; we ask for one."""

    ACTION: ClassVar[str] = "GetAndLoadInternalContext"
    DATA: ClassVar[object] = list[InternalContext]
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    context_type: str = named("ContextTypes.1", "file_transfer")
