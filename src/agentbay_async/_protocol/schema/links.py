"""Actions that return access to a session: ports, browser, debug bridge, file store."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request, as_json, named, secret


@attrs.define
class Link:
    """A URL that grants access to a session by itself; treat it as a secret."""

    url: str | None = secret()


@attrs.define
class GetLink(Request[Link]):
    """Get a URL for a port of a session, or for its browser."""

    ACTION: ClassVar[str] = "GetLink"
    DATA: ClassVar[type] = Link
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    protocol_type: str | None = None
    port: int | None = None
    option: str | None = None


@attrs.define
class GetCdpLink(Request[Link]):
    """Get the WebSocket URL of the browser's DevTools protocol."""

    ACTION: ClassVar[str] = "GetCdpLink"
    DATA: ClassVar[type] = Link
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None


@attrs.define
class GetAdbLink(Request[Link]):
    """Get the address of the Android debug bridge; ``option`` holds the public key."""

    ACTION: ClassVar[str] = "GetAdbLink"
    DATA: ClassVar[type] = Link
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    option: dict[str, str] | None = as_json()


@attrs.define
class BrowserPort:
    """``Data`` of InitBrowser: with a port if the browser is running."""

    port: int | None = None


@attrs.define
class InitBrowser(Request[BrowserPort]):
    """Start the browser of a session; no effect if it is running."""

    ACTION: ClassVar[str] = "InitBrowser"
    DATA: ClassVar[type] = BrowserPort
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    persistent_path: str = "/tmp/agentbay_browser"  # noqa: S108  # a path of the session
    # The options are not part of the protocol: any JSON object.
    browser_option: dict[str, Any] | None = as_json()


@attrs.define
class InternalContext:
    """A context that the service manages itself, and its path in the session."""

    context_id: str | None = None
    context_path: str | None = None
    context_type: str | None = None


@attrs.define
class GetAndLoadInternalContext(Request[list[InternalContext]]):
    """Attach an internal context to a session. The list of types is flattened, and has one."""

    ACTION: ClassVar[str] = "GetAndLoadInternalContext"
    DATA: ClassVar[object] = list[InternalContext]
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
    context_type: str = named("ContextTypes.1", "file_transfer")
