"""``agentbay port``: a link to a port of a session."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
from typing import Annotated

import typer

from agentbay_cli.client import connect, find_session
from agentbay_cli.options import Endpoint, Json, SessionId
from agentbay_cli.output import print_row

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("port")(port)


def port(
    session_id: SessionId,
    number: Annotated[
        int, typer.Argument(metavar="PORT", help="From 30100 to 30199.", min=30100, max=30199)
    ],
    websocket: Annotated[bool, typer.Option("--websocket", help="A link for a WebSocket.")] = False,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Print a URL that leads to a port of a session. Who has it may use it: keep it secret."""
    with connect(endpoint) as bay:
        link = find_session(bay, session_id).get_link("wss" if websocket else "https", number)
        url = link.unwrap()
    print_row(("url",), (url,), as_json=as_json)
    return 0
