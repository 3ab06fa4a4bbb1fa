"""``agentbay run``, ``exec`` and ``shell``: programs in sessions."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import shlex
from typing import Annotated

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, find_session
from agentbay_cli.options import Cwd, Endpoint, Envs, Labels, SessionId, Timeout
from agentbay_cli.output import print_message
from agentbay_cli.program import Program, run_program
from agentbay_cli.sessions import Volumes, make_params, parse_create

__all__ = ["register"]

# Options end at the first argument, as those of docker do: the rest belongs to the program.
_SETTINGS = {"allow_interspersed_args": False}

Words = Annotated[
    list[str] | None, typer.Argument(metavar="[-- PROGRAM...]", help="A program, and arguments.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run", context_settings=_SETTINGS)(run)
    app.command("exec", context_settings=_SETTINGS)(execute)


def run(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE] -- PROGRAM...", help="The image; the program, and its arguments."
        ),
    ] = None,
    labels: Labels = None,
    envs: Envs = None,
    cwd: Cwd = None,
    volumes: Volumes = None,
    timeout: Timeout = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not delete the session.")] = False,
    endpoint: Endpoint = None,
) -> int:
    """Create a session, run a program in it, and delete it.

    The exit code is that of the program.
    """
    image, words = _image_and_words(words or [], context.obj)
    program = _program(words, envs, cwd, timeout)
    given = parse_create(image, labels, volumes)
    # A kept session outlives this process: `agentbay reap` must not take it for one left behind.
    with connect(endpoint, ledger=False if keep else None) as bay:
        params = make_params(bay, given)
        if keep:
            session = bay.create(params).unwrap()
            print_message(f"The session is kept: {session.session_id}")
            return run_program(session, program)
        with bay.session(params, sync_context=bool(volumes)) as session:
            return run_program(session, program)


def execute(
    context: typer.Context,
    session_id: SessionId,
    words: Words = None,
    envs: Envs = None,
    cwd: Cwd = None,
    timeout: Timeout = None,
    endpoint: Endpoint = None,
) -> int:
    """Run a program in a session. The exit code is that of the program."""
    program = _program(_one_program(words or [], context.obj), envs, cwd, timeout)
    with connect(endpoint) as bay:
        return run_program(find_session(bay, session_id), program)


def _image_and_words(before: list[str], after: list[str] | None) -> tuple[str | None, list[str]]:
    """Return image and program of ``IMAGE -- PROGRAM`` or, as docker has it, ``IMAGE PROGRAM``."""
    image = before[0] if before else None
    return image, _one_program(before[1:], after)


def _one_program(before: list[str], after: list[str] | None) -> list[str]:
    """Return the program, which stands after ``--``, or after the first argument."""
    if before and after is not None:
        raise options.usage_error(f"options and {before[0]!r} must stand before IMAGE or ID")
    words = before or after
    if not words:
        raise options.usage_error("there is no program; give one after --")
    return words


def _program(
    words: list[str], envs: list[str] | None, cwd: str | None, timeout: float | None
) -> Program:
    return Program(shlex.join(words), options.parse_envs(envs), cwd, timeout)
