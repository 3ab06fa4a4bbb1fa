"""URLs that the service hands out: a session's tools, its WebSocket and ports, a context's files.

Each carries a token that is sealed with the service's secret and names all that it permits, so that
nothing is stored: a token stays valid for as long as its session lives, or until the time in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs

from agentbay_local.loopback import as_seen_here

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState

__all__ = [
    "FILE_PREFIX",
    "LINK_SUFFIX",
    "PORTS",
    "PORT_PREFIX",
    "TOKEN_HEADER",
    "SessionAccess",
    "control_session",
    "control_url",
    "devtools_host_url",
    "devtools_session",
    "devtools_url",
    "file_url",
    "is_link_host",
    "is_overview",
    "overview_url",
    "page_port",
    "page_url",
    "port_url",
    "resource_id",
    "resource_session",
    "resource_url",
    "session_access",
]

TOKEN_HEADER = "X-Access-Token"  # noqa: S105  # the name of a header

PORTS = range(30100, 30200)
"""The ports of a session that links can lead to."""

LINK_SUFFIX = ".localhost"
"""The end of a host that is for one link. Other hosts may have it elsewhere."""

PORT_PREFIX = "/port/"

FILE_PREFIX = "/files/"

_ALL = "service"


@attrs.frozen
class SessionAccess:
    """The direct way to a session.

    Attributes:
        link_url: Base URL of its tools; ``/callTool`` follows.
        ws_url: URL of its WebSocket.
        token: Opens both, in the header `TOKEN_HEADER`.
    """

    link_url: str = attrs.field(repr=False)
    ws_url: str = attrs.field(repr=False)
    token: str = attrs.field(repr=False)


def session_access(state: ServiceState, session_id: str) -> SessionAccess:
    """Return the URLs and the token of a session."""
    base = as_seen_here(state.endpoint)
    return SessionAccess(
        link_url=f"{base}/link/{session_id}",
        ws_url=f"{base.replace('http', 'ws', 1)}/ws/{session_id}",
        token=state.signer.seal("access", {"session": session_id}),
    )


def port_url(state: ServiceState, session_id: str, port: int) -> str:
    """Return the URL of a port, without a slash at its end."""
    token = state.signer.seal("port", {"session": session_id, "port": port})
    return f"{as_seen_here(state.endpoint)}{PORT_PREFIX}{token}"


def devtools_url(state: ServiceState, session_id: str) -> str:
    """Return the URL of the DevTools of a session's browser, without a slash at its end.

    It leads to the browser that runs when it is used.
    """
    token = state.signer.seal("devtools", {"session": session_id})
    return f"{as_seen_here(state.endpoint)}{PORT_PREFIX}{token}"


def devtools_host_url(state: ServiceState, session_id: str) -> str:
    """Return the URL of the DevTools of a session's browser, on a host of its own.

    It keeps its secret where a client replaces the path, and is good for programs only where names
    below ``localhost`` are found.
    """
    return state.link_url.format(label=state.signer.seal_label("devtools", session_id))


def devtools_session(state: ServiceState, label: str) -> str | None:
    """Return the session of the host of a `devtools_host_url`; None if it is not valid."""
    return state.signer.open_label("devtools", label)


def page_url(state: ServiceState, session_id: str, port: int) -> str:
    """Return the URL of a port for browsers, without a slash at its end: a host of its own."""
    label = state.signer.seal_label("page", f"{port}-{session_id}")
    return state.link_url.format(label=label)


def page_port(state: ServiceState, label: str) -> tuple[str, int] | None:
    """Return the session and the port of the host of a `page_url`; None if it is not valid."""
    text = state.signer.open_label("page", label)
    if text is None:
        return None
    port, _, session_id = text.partition("-")
    return session_id, int(port)


def resource_id(session_id: str) -> str:
    """Return the id of a session's desktop, in the form that the cloud uses."""
    return f"p-{session_id[2:]}"


def resource_url(state: ServiceState, session_id: str) -> str:
    """Return the URL of the page of a session for people: a host of its own."""
    label = state.signer.seal_label("resource", session_id)
    return f"{state.link_url.format(label=label)}/?resourceId={resource_id(session_id)}"


def control_url(state: ServiceState, session_id: str) -> str:
    """Return the URL of the page of a session on a host that allows input too."""
    label = state.signer.seal_label("control", session_id)
    return f"{state.link_url.format(label=label)}/?resourceId={resource_id(session_id)}"


def control_session(state: ServiceState, label: str) -> str | None:
    """Return the session of the host of a `control_url`; None if it is not valid."""
    return state.signer.open_label("control", label)


def overview_url(state: ServiceState) -> str:
    """Return the URL of the service's own page for people: a host of its own, and a secret."""
    return f"{state.link_url.format(label=state.signer.seal_label('overview', _ALL))}/"


def is_overview(state: ServiceState, label: str) -> bool:
    """Return whether a label is that of the host of an `overview_url`."""
    return state.signer.open_label("overview", label) == _ALL


def is_link_host(state: ServiceState, host: str) -> bool:
    """Return whether a host is that of a page, of an `overview_url` or of a `devtools_host_url`."""
    label, dot, rest = host.partition(".")
    if f"{dot}{rest}" != LINK_SUFFIX:
        return False
    return (
        page_port(state, label) is not None
        or resource_session(state, label) is not None
        or control_session(state, label) is not None
        or devtools_session(state, label) is not None
        or is_overview(state, label)
    )


def resource_session(state: ServiceState, label: str) -> str | None:
    """Return the session of the host of a `resource_url`; None if it is not valid."""
    return state.signer.open_label("resource", label)


def file_url(state: ServiceState, method: str, context_id: str, path: str) -> tuple[str, int]:
    """Return a URL for one file and its expiry in Unix seconds.

    The path travels inside the token, where no proxy or client can normalise it; the name at the
    end is for people.
    """
    expires = int(state.clock.time() + state.instruments.quotas.url_seconds)
    grant = {"method": method, "context": context_id, "path": path, "expires": expires}
    name = quote(path.rpartition("/")[2], errors="surrogateescape")
    token = state.signer.seal("file", grant)
    return f"{as_seen_here(state.endpoint)}{FILE_PREFIX}{token}/{name}", expires
