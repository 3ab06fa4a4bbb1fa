"""The client of a command, and how errors are told.

With the endpoint ``"local"``, the library would start a service inside this process, which the
next command could not see. So commands use the service in the background, and start it if none
runs.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from agentbay_cli.output import printable

# The library is imported when a client is made: help and mistakes need none of it.
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    from agentbay import AgentBay, Session

__all__ = ["connect", "control_of", "deleted_on_error", "explain", "find_session", "tls_of"]

_ANSWER_WITHIN = 30.0


def connect(
    endpoint: str | None,
    *,
    may_start: bool = True,
    allow_hosts: Sequence[str] = (),
    **settings: Any,
) -> AgentBay:
    """Return a client of the configured service; use it as a context manager.

    Args:
        endpoint: The service; None takes the configured one.
        may_start: Whether to start the local service if that is meant and does not run.
        allow_hosts: Hosts that the sessions of the command may reach. A service that runs has its
            own, so this takes one in this process.
        settings: Fields of :class:`agentbay.Config`.

    Raises:
        ConfigurationError: There is no key, a setting is invalid, or the local service did not
            start.
        OSError: The local service cannot be started.
    """
    from agentbay_async.config import LOCAL, resolve

    # Checked first: making a client takes longer.
    found = resolve(endpoint=endpoint)
    from agentbay import AgentBay, Config, ConfigurationError

    if allow_hosts:
        from agentbay_async import LocalOptions

        # Also for another service, which the client refuses.
        options = LocalOptions(allow_hosts=allow_hosts)
        return AgentBay(cfg=Config(**settings), endpoint=endpoint, local=options)
    if found.endpoint != LOCAL:
        return AgentBay(cfg=Config(**settings), endpoint=endpoint)
    try:
        key, url, context = _local_service(may_start=may_start)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return AgentBay(key, Config(ssl_context=context, **settings), endpoint=url)


def _local_service(*, may_start: bool) -> tuple[str, str, ssl.SSLContext | None]:
    """Return key, address and TLS settings of the service in the background."""
    from agentbay_local.commands.program import client_variables
    from agentbay_local.commands.running_service import default_home, find_running

    home = default_home().absolute()
    running = find_running(home)
    if running is None:
        if not may_start:
            raise ValueError("no local service runs; start it with: agentbay local start")
        # Importing what it takes to start one takes longer than some commands.
        from agentbay_local.commands.background import ensure_started

        running = ensure_started(home)
    variables = client_variables(running.endpoint, running.api_key, running.ca_bundle)
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = variables[name] or ""
    import ssl

    bundle = running.ca_bundle
    context = ssl.create_default_context(cafile=bundle) if bundle else None
    return running.api_key, variables["AGENTBAY_ENDPOINT"] or "", context


def tls_of(endpoint: str | None) -> ssl.SSLContext | None:
    """Return the TLS settings of the service that `connect` would use; None is the system's."""
    from agentbay_async.config import LOCAL, resolve

    found = resolve(endpoint=endpoint)
    return _local_service(may_start=True)[2] if found.endpoint == LOCAL else found.ssl_context


def control_of(endpoint: str | None) -> Callable[..., Any] | None:
    """Return a function that asks the local service; None if another service is meant."""
    from agentbay_async.config import LOCAL, resolve
    from agentbay_local.loopback import is_loopback

    found = resolve(endpoint=endpoint)
    key, url, context = found.api_key, found.endpoint, found.ssl_context
    if url == LOCAL:
        key, url, context = _local_service(may_start=True)
    elif not is_loopback(urlsplit(url).hostname or ""):
        return None

    from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

    def ask(name: str, **query: object) -> Any:
        address = f"{url}/_control/{name}?{urlencode(query)}"
        headers = {"Authorization": f"Bearer {key}"}
        request = Request(address, headers=headers)  # noqa: S310  # the host is this machine: checked above
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        with opener.open(request, timeout=_ANSWER_WITHIN) as answer:
            return json.load(answer)

    return ask


def find_session(bay: AgentBay, session_id: str) -> Session:
    """Return a session of the account.

    Raises:
        SessionNotFoundError: There is none of this id; the error says where to look.
    """
    from agentbay import SessionNotFoundError

    try:
        return bay.get(session_id).unwrap()
    except SessionNotFoundError as error:
        cure = "To list the sessions, run: agentbay ls"
        error.hint = f"{error.hint.rstrip('.')}. {cure}" if error.hint else cure
        raise


@contextlib.contextmanager
def deleted_on_error(bay: AgentBay, *sessions: Session) -> Iterator[None]:
    """Delete new sessions if the block that tells their ids ends with an error, or by Ctrl-C."""
    try:
        yield
    except BaseException:
        bay.delete_many(sessions).run()
        raise


def explain(error: Exception) -> str:
    r"""Return an error as one line: what is wrong, its cure, and the id of the request.

    Example:
        >>> explain(ValueError("it is\nbroken"))
        'it is broken'
    """
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror}"
    request_id = getattr(error, "request_id", "")
    # A session may have written a part of it.
    return printable(f"{text} [request {request_id}]" if request_id else text)
