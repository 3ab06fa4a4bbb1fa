"""``agentbay port`` and ``agentbay open``: links to a port of a session, and to its page."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import asyncio
import sys
import webbrowser
from typing import Annotated

import typer

from agentbay_cli.client import connect, find_session, tls_of
from agentbay_cli.options import Endpoint, Json, SessionId, usage_error
from agentbay_cli.output import print_row

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("port")(port)
    app.command("open")(open_page)


def port(
    session_id: SessionId,
    number: Annotated[
        int, typer.Argument(metavar="PORT", help="From 30100 to 30199.", min=30100, max=30199)
    ],
    websocket: Annotated[bool, typer.Option("--websocket", help="A link for a WebSocket.")] = False,
    local: Annotated[
        int | None,
        typer.Option(
            "--local",
            metavar="PORT",
            help="Forward this port of 127.0.0.1 until Ctrl-C; 0 takes a free one.",
            min=0,
            max=65535,
        ),
    ] = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Print a URL that leads to a port of a session. Who has it may use it: keep it secret.

    With --local, the URL is one of this machine, for HTTP and WebSockets.
    """
    if websocket and local is not None:
        raise usage_error("--local takes HTTP and WebSockets; leave --websocket out")
    with connect(endpoint) as bay:
        link = find_session(bay, session_id).get_link("wss" if websocket else "https", number)
        url = link.unwrap()
    if local is None:
        print_row(("url",), (url,), as_json=as_json)
        return 0
    from agentbay_cli.local_port import forward

    def tell(port: int) -> None:
        print_row(("url",), (f"http://127.0.0.1:{port}",), as_json=as_json)

    asyncio.run(forward(url, local, tls_of(endpoint), tell))
    return 0


def open_page(
    session_id: SessionId,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Show what happens in a session: print the address of its page, and open it in a browser.

    A browser is opened only if the output is a terminal. Who has the address can see the session.
    """
    with connect(endpoint) as bay:
        url = find_session(bay, session_id).info().unwrap().resource_url
    print_row(("url",), (url,), as_json=as_json)
    if sys.stdout.isatty():
        webbrowser.open(url)
    return 0
