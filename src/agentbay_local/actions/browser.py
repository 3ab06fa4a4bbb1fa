"""The browser of a session: start it, and return the address of its DevTools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yarl import URL

from agentbay_async._protocol import error_codes, schema
from agentbay_local.actions.session_paths import check_session_path
from agentbay_local.loopback import is_loopback, names_are_found
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import ApiError
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.urls import devtools_host_url, devtools_url

if TYPE_CHECKING:
    from agentbay_local.browser.chromium import Chromium
    from agentbay_local.browser.options import BrowserOptions
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session


async def start(state: ServiceState, request: schema.InitBrowser) -> Answer:
    """Start the browser of a session; one that runs stays as it is."""
    session = state.running_session(request.session_id)
    _check_offered(state, session)
    # Not before a browser is wanted: other services never need these modules.
    from agentbay_local.browser.options import parse_options

    profile = check_session_path(request.persistent_path, "PersistentPath")
    options = parse_options(request.browser_option or {}, profile)
    browser = await _running_browser(state, session, options)
    return Answer(schema.BrowserPort(port=browser.port))


async def link(state: ServiceState, request: schema.GetCdpLink) -> Answer:
    """Return the WebSocket address of a browser's DevTools; start the browser if necessary."""
    session = state.running_session(request.session_id)
    return Answer(schema.Link(url=await browser_link(state, session, "wss")))


async def browser_link(state: ServiceState, session: Session, protocol: str) -> str:
    """Return the address of the DevTools of a session's browser, started if necessary.

    Args:
        state: The service.
        session: The session.
        protocol: ``"wss"`` for the WebSocket, ``"https"`` for the address that describes it.

    Raises:
        ApiError: The image of the session has no browser, or it does not start.
    """
    _check_offered(state, session)
    browser = await _running_browser(state, session, None)
    if protocol == "https":
        return f"{await _description_url(state, session)}/"
    return f"ws{devtools_url(state, session.id).removeprefix('http')}{browser.path}"


async def _description_url(state: ServiceState, session: Session) -> str:
    """Return the address that describes a browser, for as many clients as possible.

    Some of them ask for `/json/version` of its host, whatever its path is.
    """
    is_here = is_loopback(URL(state.endpoint).host or "")
    if is_here and await names_are_found():
        return devtools_host_url(state, session.id)
    return devtools_url(state, session.id)


def _check_offered(state: ServiceState, session: Session) -> None:
    if "stopChrome" not in state.images.tools[session.image]:
        raise ApiError(
            error_codes.INVALID_PARAMETER,
            f"A browser is not offered by image {session.image!r} here; create the session with "
            "image_id='browser_latest'.",
        )


async def _running_browser(
    state: ServiceState, session: Session, options: BrowserOptions | None
) -> Chromium:
    with state.lifecycle.using(session):
        try:
            return await state.browsers.start(session.id, options)
        except SandboxError as error:
            text = f"{error!s}".rstrip(".")
            message = f"{text[:1].upper()}{text[1:]}."
            raise ApiError(error_codes.SANDBOX_UNAVAILABLE, message) from error
