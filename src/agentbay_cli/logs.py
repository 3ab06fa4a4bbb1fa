"""``agentbay logs``: the calls of a session, and the output of its background processes."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import contextlib
import sys
from collections.abc import Iterator
from http import HTTPStatus
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, control_of, find_session
from agentbay_cli.options import Endpoint, Json, SessionId
from agentbay_cli.output import print_row, write_bytes

if TYPE_CHECKING:
    from agentbay import Session

__all__ = ["register"]

_COLUMNS = ("time", "call", "outcome", "seconds")
# Seconds between two looks.
_INTERVAL = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)


def logs(
    session_id: SessionId,
    process: Annotated[
        str | None,
        typer.Option(
            "--process", metavar="PROCESS", help="Show the output of this one, until its end."
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on, and show new calls.")
    ] = False,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Show the newest calls of a session, or the output of a process in its background.

    Only the local service keeps calls; in the cloud, --process shows the output of a program that
    `agentbay exec -d` started, which prints its id.
    """
    if process is not None and (follow or as_json):
        raise options.usage_error("--process shows output as it comes; leave --follow, --json out")
    with connect(endpoint) as bay:
        if process is not None:
            return _show_output(find_session(bay, session_id), process)
        session, ask = find_session(bay, session_id), control_of(endpoint)
        if ask is None:
            raise options.usage_error(_no_calls(session))
        for call in _calls(ask, session, follow=follow):
            _print_call(call, as_json=as_json)
    return 0


def _print_call(call: dict[str, Any], *, as_json: bool) -> None:
    name = f"{call['action']} {call['name']}".rstrip()
    row = call["time"], name, call["code"] or call["status"], call["seconds"]
    print_row(_COLUMNS, row, as_json=as_json)


def _calls(ask: Any, session: "Session", *, follow: bool) -> Iterator[dict[str, Any]]:
    from urllib.error import HTTPError

    after = 0
    while True:
        try:
            found = ask("calls", session=session.session_id, after=after)
        except HTTPError as error:
            # Another service at an address of this machine, such as a tunnel to the cloud.
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            raise options.usage_error(_no_calls(session)) from None
        yield from found["calls"]
        if not follow:
            return
        after = found["next"]
        sleep(_INTERVAL)


def _show_output(session: "Session", process_id: str) -> int:
    process = session.command.attach(process_id)
    for chunk in process:
        write_bytes(chunk, sys.stdout)
    return 0


def _no_calls(session: "Session") -> str:
    """Return what can be seen of a session whose service keeps no calls."""
    from agentbay import AgentBayError

    found: list[str] = []
    # A session without terminals has no processes either.
    with contextlib.suppress(AgentBayError):
        found = [one.pty_session_id for one in session.pty.list()]
    running = (
        f" of those that run ({', '.join(found)})" if found else " that agentbay exec -d started"
    )
    return (
        "the service of this session does not list its calls, only the local service does; "
        f"for the output of a program{running}, add --process ID; to watch the session, "
        f"run: agentbay open {session.session_id}"
    )
