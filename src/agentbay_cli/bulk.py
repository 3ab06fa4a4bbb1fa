"""``agentbay bulk``: many sessions at once, and many commands over a few sessions."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, deleted_on_error, explain
from agentbay_cli.options import Endpoint, Envs, Image, Json, Labels, Timeout
from agentbay_cli.output import (
    ProgressLine,
    print_message,
    print_value,
    write_bytes,
)
from agentbay_cli.program import Ended, Program, as_text, collect_program
from agentbay_cli.sessions import (
    Idle,
    MaxRuntime,
    Volumes,
    make_params,
    parse_create,
    print_session,
)

if TYPE_CHECKING:
    from agentbay import MapOutcome, Session

__all__ = ["register"]

_DEFAULT_SESSIONS = 10


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Many sessions at once.", no_args_is_help=True)
    group.command("create")(create)
    group.command("run")(run)
    app.add_typer(group, name="bulk")


def create(
    count: Annotated[int, typer.Argument(metavar="COUNT", min=1, help="How many.")],
    image: Image = None,
    labels: Labels = None,
    volumes: Volumes = None,
    idle: Idle = None,
    max_runtime: MaxRuntime = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Create sessions, and print their ids. They live until they are deleted or expire."""
    given = parse_create(image, labels, volumes, idle, max_runtime)
    # As for `agentbay create`: they are meant to outlive this process.
    with connect(endpoint, ledger=False) as bay, ProgressLine() as line:
        params = make_params(bay, given)
        result = bay.create_many(params, count, on_progress=lambda now: line.show(str(now))).run()
        with deleted_on_error(bay, *result.sessions):
            line.clear()
            for session in result.sessions:
                print_session(session, as_json=as_json)
    for error in result.failures.values():
        print_message(f"agentbay: a session was not created: {explain(error)}")
    print_message(f"{result.done} of {count} created in {result.seconds:.1f} s")
    return 0 if result.success else 1


def run(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A command on each line; - is standard input.")
    ],
    sessions: Annotated[
        int, typer.Option("--sessions", "-n", min=1, help="How many sessions work at once.")
    ] = _DEFAULT_SESSIONS,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run each command in a new session.")
    ] = False,
    image: Annotated[str | None, typer.Option("--image", help="The image of the sessions.")] = None,
    labels: Labels = None,
    envs: Envs = None,
    volumes: Volumes = None,
    timeout: Timeout = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Run the commands of a file in sessions, which are deleted at the end.

    Output comes when a command has ended. The exit code is 1 if a command failed.
    """
    commands = _read_commands(file)
    given = parse_create(image, labels, volumes)
    variables = options.parse_envs(envs)

    def run_one(session: "Session", command: str) -> tuple[str, Ended]:
        program = Program(command, variables, timeout=timeout)
        return session.session_id, collect_program(session, program, apart=False)

    failed: list[int] = []
    with connect(endpoint) as bay, ProgressLine() as line:
        outcomes = bay.map_sessions(
            run_one,
            commands,
            make_params(bay, given),
            max_concurrency=sessions,
            reuse=not fresh,
            on_progress=lambda now: line.show(str(now)),
        )
        with outcomes:
            for outcome in outcomes:
                line.clear()
                if not _print_outcome(outcome, commands[outcome.index], as_json=as_json):
                    failed.append(outcome.index)
    print_message(f"{len(commands) - len(failed)} of {len(commands)} commands succeeded")
    return 1 if failed else 0


def _read_commands(file: str) -> Sequence[str]:
    """Return the lines of a file that are not empty and no comments."""
    text = options.read_text(file)
    lines = [line.strip() for line in text.splitlines()]
    commands = [line for line in lines if line and not line.startswith("#")]
    if not commands:
        raise options.usage_error(f"there is no command in {file}")
    return commands


def _print_outcome(
    outcome: "MapOutcome[tuple[str, Ended]]", command: str, *, as_json: bool
) -> bool:
    """Print what became of a command, and return whether it succeeded."""
    error = outcome.error
    session_id, ended = ("", None) if error is not None else outcome.value
    if as_json:
        found = {"index": outcome.index, "command": command, "seconds": round(outcome.seconds, 3)}
        if ended is None:
            print_value({**found, "error": explain(error) if error is not None else ""})
        else:
            flags = {"timed_out": ended.timed_out, "truncated": ended.truncated}
            own = {"session": session_id, "exit_code": ended.exit_code, **flags}
            print_value({**found, **own, "output": as_text(ended.stdout)})
    elif ended is None:
        print_message(f"[{outcome.index + 1}] {command}: {error and explain(error)}")
    else:
        print_message(f"[{outcome.index + 1}] {command}: exit code {ended.exit_code}")
        write_bytes(ended.stdout, sys.stdout)
    return ended is not None and ended.exit_code == 0
