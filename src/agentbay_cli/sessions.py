"""``agentbay create``, ``ls``, ``rm``, ``pause``, ``resume`` and ``keep-alive``: sessions."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import sys
from collections.abc import Iterator, Sequence
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, deleted_on_error, explain, find_session
from agentbay_cli.options import Endpoint, Envs, Image, Json, Labels, SessionId, Timeout
from agentbay_cli.output import (
    is_terminal,
    print_line,
    print_message,
    print_rows,
    print_value,
    table,
)

if TYPE_CHECKING:
    from agentbay import AgentBay, AgentBayError, CreateSessionParams, Session

__all__ = [
    "Idle",
    "MaxRuntime",
    "Volumes",
    "make_params",
    "parse_create",
    "print_session",
    "register",
]

Volumes = Annotated[
    list[str] | None,
    typer.Option(
        "--volume",
        "-v",
        metavar="CONTEXT:PATH",
        help="A context to mount; it is created if it is missing. May be repeated.",
    ),
]
Idle = Annotated[
    float | None,
    typer.Option(
        "--idle",
        parser=options.duration,
        metavar="TIME",
        help="End the session when it was not used for so long.",
    ),
]
MaxRuntime = Annotated[
    float | None,
    typer.Option(
        "--max-runtime",
        parser=options.duration,
        metavar="TIME",
        help="End the session after this time in any case.",
    ),
]
Interval = Annotated[
    float | None,
    typer.Option(
        "--interval", parser=options.duration, metavar="TIME", help="Time between looks; 2s."
    ),
]
_COLUMNS = ("id", "status", "image")
_MINUTE = 60
_PAUSED = ("PAUSED", "PAUSING", "RESUMING")
# Seconds between two looks, and until a session has changed its state.
_INTERVAL = 2.0
_CHANGE_LIMIT = 600.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("create")(create)
    app.command("ls")(ls)
    app.command("rm")(rm)
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("keep-alive")(keep_alive)


def create(
    image: Image = None,
    labels: Labels = None,
    envs: Envs = None,
    volumes: Volumes = None,
    idle: Idle = None,
    max_runtime: MaxRuntime = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Create a session, and print its id. It lives until it is deleted or expires."""
    given = parse_create(image, labels, volumes, idle, max_runtime)
    given["envs"] = options.parse_envs(envs)
    # Without a record in the ledger: `agentbay reap` deletes what outlives the process that
    # created it, and this is meant to.
    with connect(endpoint, ledger=False) as bay:
        session = bay.create(make_params(bay, given)).unwrap()
        with deleted_on_error(bay, session):
            print_session(session, as_json=as_json)
    return 0


def print_session(session: "Session", *, as_json: bool) -> None:
    """Print the id of a new session."""
    if as_json:
        print_value(dict(zip(_COLUMNS, _row(session), strict=True)))
    else:
        print_line(session.session_id)


def parse_create(
    image: str | None,
    labels: Sequence[str] | None,
    volumes: Sequence[str] | None,
    idle: float | None = None,
    max_runtime: float | None = None,
) -> dict[str, Any]:
    """Check the options of a new session; `make_params` makes its parameters of them."""
    return {
        "image": image,
        "labels": options.parse_labels(labels),
        "volumes": [_parse_volume(text) for text in volumes or ()],
        "idle": _minutes(idle, "--idle"),
        "max_runtime": _minutes(max_runtime, "--max-runtime"),
    }


def make_params(bay: "AgentBay", given: dict[str, Any]) -> "CreateSessionParams":
    """Return the parameters of a new session; find or create its contexts."""
    from agentbay import ContextSync, CreateSessionParams, LifecyclePolicy

    idle, longest = given["idle"], given["max_runtime"]
    return CreateSessionParams(
        image_id=given["image"],
        labels=given["labels"],
        lifecycle_policy=LifecyclePolicy(idle, longest) if idle or longest else None,
        context_syncs=[
            ContextSync.new(bay.context.create(name).unwrap().id, path)
            for name, path in given["volumes"]
        ],
        envs=given.get("envs"),
    )


def _parse_volume(text: str) -> tuple[str, str]:
    name, _, path = text.partition(":")
    if not name or not path.startswith("/"):
        raise options.usage_error(f"--volume must be CONTEXT:/PATH, not {text!r}")
    return name, path


def _minutes(seconds: float | None, name: str) -> int | None:
    """Return whole minutes, in which the service counts."""
    if seconds is not None and seconds < _MINUTE:
        raise options.usage_error(f"{name} must be at least 1m")
    return None if seconds is None else -int(-seconds // _MINUTE)


def ls(
    labels: Labels = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only sessions in this state, such as RUNNING.")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Only those of this image.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and show changes.")] = False,
    interval: Interval = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """List sessions."""
    wanted = options.parse_labels(labels)
    with connect(endpoint) as bay:

        def look() -> list[tuple[str, ...]]:
            return sorted(_row(one) for one in bay.list(wanted, status=status, image_id=image))

        if watch:
            _watch(look, interval or _INTERVAL, as_json=as_json)
        rows = look()
    if quiet and not as_json:
        for row in rows:
            print_line(row[0])
    else:
        print_rows(_COLUMNS, rows, as_json=as_json)
    return 0


def _row(session: "Session") -> tuple[str, ...]:
    return session.session_id, session.status, session.image_id


def _watch(look: Any, interval: float, *, as_json: bool) -> None:
    """Show the sessions until Ctrl-C: the table on a terminal, changes elsewhere."""
    if as_json or not is_terminal(sys.stdout):
        known: list[tuple[str, ...]] = []
        while True:
            rows = look()
            print_rows(("event", *_COLUMNS), changes(known, rows), as_json=True)
            known = rows
            sleep(interval)
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        while True:
            live.update(Text.from_ansi("\n".join(table(_COLUMNS, look()))), refresh=True)
            sleep(interval)


def changes(
    old: Sequence[tuple[str, ...]], new: Sequence[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """Yield what differs between two listings.

    Example:
        >>> list(changes([("s-1", "RUNNING", "")], [("s-1", "PAUSED", ""), ("s-2", "RUNNING", "")]))
        [('changed', 's-1', 'PAUSED', ''), ('added', 's-2', 'RUNNING', '')]
    """
    before = {row[0]: row for row in old}
    for row in new:
        found = before.pop(row[0], None)
        if found != row:
            yield ("added" if found is None else "changed", *row)
    for row in before.values():
        yield ("removed", *row)


def rm(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Sessions.", autocompletion=options.complete_ids),
    ] = None,
    labels: Labels = None,
    every: Annotated[bool, typer.Option("--all", help="Delete every session.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Resume paused sessions first, to delete them.")
    ] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="First save the files of the contexts.")
    ] = False,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Delete sessions; one that is gone already is deleted too."""
    wanted = options.parse_labels(labels)
    if sum(map(bool, (ids, wanted, every))) != 1:
        raise options.usage_error("give ids, or --label, or --all")
    with connect(endpoint) as bay:
        targets = list(ids) if ids else [one.session_id for one in bay.list(wanted)]
        if every and not yes:
            options.confirm(f"Delete all {len(targets)} sessions?")
        failures = _delete(bay, targets, sync=sync, force=force)
        deleted = [one for index, one in enumerate(targets) if index not in failures]
    if as_json:
        print_rows(("id",), [(one,) for one in deleted], as_json=True)
    else:
        for one in deleted:
            print_line(one)
    for index, error in failures.items():
        print_message(f"{targets[index]} could not be deleted: {explain(error)}")
    return 1 if failures else 0


def _delete(
    bay: "AgentBay", targets: Sequence[str], *, sync: bool, force: bool
) -> dict[int, "AgentBayError"]:
    """Delete sessions, and return the errors by the places of those that failed."""
    failures = dict(bay.delete_many(targets, sync_context=sync).run().failures)
    for index, error in list(failures.items()):
        if not _is_paused(bay, targets[index], error):
            continue
        # The service does not delete what is paused.
        if not force:
            error.hint = "Resume it, or give --force"
        elif (last := _resume_and_delete(bay, targets[index], sync=sync)) is None:
            del failures[index]
        else:
            failures[index] = last
    return failures


def _is_paused(bay: "AgentBay", session_id: str, error: "AgentBayError") -> bool:
    from agentbay import APIError

    if not isinstance(error, APIError):
        return False
    found = bay.get(session_id)
    return found.success and found.session.get_status().unwrap() in _PAUSED


def _resume_and_delete(bay: "AgentBay", session_id: str, *, sync: bool) -> "AgentBayError | None":
    session = bay.get(session_id).unwrap()
    resumed = session.resume(_CHANGE_LIMIT)
    return resumed.error or session.delete(sync_context=sync).error


def pause(
    session_id: SessionId,
    timeout: Timeout = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Pause a session: its processes stop until it is resumed."""
    with connect(endpoint) as bay:
        session = find_session(bay, session_id)
        session.pause(timeout or _CHANGE_LIMIT).unwrap()
        print_session(session, as_json=as_json)
    return 0


def resume(
    session_id: SessionId,
    timeout: Timeout = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Resume a paused session."""
    with connect(endpoint) as bay:
        session = find_session(bay, session_id)
        session.resume(timeout or _CHANGE_LIMIT).unwrap()
        print_session(session, as_json=as_json)
    return 0


def keep_alive(
    session_id: SessionId,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            parser=options.duration,
            metavar="TIME",
            help="Do it again after each such time, until Ctrl-C.",
        ),
    ] = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Restart the idle time of a session."""
    with connect(endpoint) as bay:
        session = find_session(bay, session_id)
        _keep_alive(session, as_json=as_json)
        while every is not None:
            sleep(every)
            _keep_alive(session, as_json=as_json)
    return 0


def _keep_alive(session: "Session", *, as_json: bool) -> None:
    session.keep_alive().unwrap()
    if as_json:
        print_value({"id": session.session_id})
