"""``agentbay run``, ``exec`` and ``shell``: programs in sessions."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, find_session
from agentbay_cli.options import Cwd, Endpoint, Envs, Labels, SessionId, Timeout
from agentbay_cli.output import print_line, print_message, print_value
from agentbay_cli.program import (
    Program,
    collect_program,
    end_quietly,
    print_ended,
    run_program,
    scratch_path,
    start_program,
)
from agentbay_cli.sessions import Volumes, make_params, parse_create

if TYPE_CHECKING:
    from agentbay import Session

__all__ = ["register"]

# Options end at the first argument, as those of docker do: the rest belongs to the program.
_SETTINGS = {"allow_interspersed_args": False}

_HOSTS_ALONE = (
    "--allow-host takes a service of this command alone, without contexts and kept sessions; "
    "for those run: agentbay local start --allow-host HOST"
)
_DETACH = "ctrl-p,ctrl-q"
_NEEDS_POSIX = (
    "a terminal of a session needs termios, which Windows lacks; use WSL 2, or agentbay exec"
)
_NO_TERMINAL = "this is no terminal; to run a program without one, use: agentbay exec ID -- PROGRAM"

Interactive = Annotated[
    bool, typer.Option("--interactive", "-i", help="Let the program read standard input.")
]
Tty = Annotated[bool, typer.Option("--tty", "-t", help="Run the program in a terminal, this one.")]
DetachKeys = Annotated[
    str,
    typer.Option(
        "--detach-keys", metavar="KEYS", help="The keys that leave a terminal without ending it."
    ),
]
AllowHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="HOST",
        help="A host that the program may reach, with a local service of this command alone.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object: at the end, with output and exit code; with -d at once.",
    ),
]
Words = Annotated[
    list[str] | None, typer.Argument(metavar="[-- PROGRAM...]", help="A program, and arguments.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run", context_settings=_SETTINGS)(run)
    app.command("exec", context_settings=_SETTINGS)(execute)
    app.command("shell")(shell)


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
    interactive: Interactive = False,
    is_tty: Tty = False,
    allow_hosts: AllowHosts = None,
    remove: Annotated[
        bool, typer.Option("--rm/--keep", help="Delete the session afterwards, or keep it.")
    ] = True,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Create a session, run a program in it, and delete it.

    With -t and without a program, it is a shell. The exit code is that of the program.
    """
    _check_json(as_json=as_json, is_tty=is_tty)
    image, words = _image_and_words(words or [], context.obj, is_needed=not is_tty)
    program = _program(words, envs, cwd, timeout, interactive=interactive, is_tty=is_tty)
    given = parse_create(image, labels, volumes)
    if allow_hosts and (volumes or not remove):
        raise options.usage_error(_HOSTS_ALONE)
    # A kept session outlives this process: `agentbay reap` must not take it for one left behind.
    with connect(endpoint, ledger=None if remove else False, allow_hosts=allow_hosts or ()) as bay:
        params = make_params(bay, given)
        if not remove:
            session = bay.create(params).unwrap()
            print_message(f"The session is kept: {session.session_id}")
            return _run(session, program, is_tty=is_tty, as_json=as_json)
        with bay.session(params, sync_context=bool(volumes)) as session:
            return _run(session, program, is_tty=is_tty, as_json=as_json)


def execute(
    context: typer.Context,
    session_id: SessionId,
    words: Words = None,
    envs: Envs = None,
    cwd: Cwd = None,
    timeout: Timeout = None,
    interactive: Interactive = False,
    is_tty: Tty = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", "-d", help="Leave it in the background, and print the id for agentbay logs."
        ),
    ] = False,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Run a program in a session. The exit code is that of the program."""
    _check_json(as_json=as_json, is_tty=is_tty)
    words = _one_program(words or [], context.obj)
    if detach and (interactive or is_tty or timeout is not None):
        raise options.usage_error("a program in the background takes no -i, -t and --timeout")
    program = _program(words, envs, cwd, timeout, interactive=interactive, is_tty=is_tty)
    with connect(endpoint) as bay:
        session = find_session(bay, session_id)
        if detach:
            return _detach(session, program, as_json=as_json)
        return _run(session, program, is_tty=is_tty, as_json=as_json)


def _detach(session: "Session", program: Program, *, as_json: bool) -> int:
    process_id = start_program(session, program).process_id
    if as_json:
        print_value({"session": session.session_id, "process": process_id})
    else:
        print_line(process_id)
    return 0


def shell(
    session_id: SessionId,
    envs: Envs = None,
    cwd: Cwd = None,
    attach_to: Annotated[
        str | None,
        typer.Option("--attach", metavar="PTY", help="A terminal that was left, by its id."),
    ] = None,
    detach_keys: DetachKeys = _DETACH,
    endpoint: Endpoint = None,
) -> int:
    """Open a shell in a session, in this terminal. The exit code is that of the shell."""
    _check_system()
    from agentbay_cli.terminal import parse_keys

    try:
        keys = parse_keys(detach_keys)
    except ValueError as error:
        raise options.usage_error(f"--detach-keys: {error}") from None
    variables = options.parse_envs(envs)
    _check_terminal()
    with connect(endpoint) as bay:
        session = find_session(bay, session_id)
        return _open(session, Program("", variables, cwd), keys, attach_to)


def _run(session: "Session", program: Program, *, is_tty: bool, as_json: bool) -> int:
    if as_json:
        return print_ended(session, collect_program(session, program))
    if not is_tty:
        return run_program(session, program)
    from agentbay_cli.terminal import parse_keys

    return _open(session, program, parse_keys(_DETACH))


def _open(session: "Session", program: Program, keys: bytes, attach_to: str | None = None) -> int:
    """Open a terminal of a session in this one, or go back to one, until its end."""
    from agentbay_cli.terminal import attach, terminal_size

    if attach_to is not None:
        handle = session.pty.connect(attach_to)
        handle.resize(*terminal_size())
    else:
        program_file = _script(session, program.line) if program.line else None
        handle = session.pty.create(*terminal_size(), program.cwd, program.envs, program_file)
    try:
        code = attach(handle, keys)
    except BaseException:
        if attach_to is None:
            end_quietly(handle.kill)
        raise
    if code is None:
        name = f"{session.session_id} --attach {handle.pty_session_id}"
        print_message(f"The terminal goes on; to come back, run: agentbay shell {name}")
    return code or 0


def _script(session: "Session", line: str) -> str:
    """Write a program with its arguments to a file, because a terminal takes a program alone."""
    path = scratch_path()
    text = shlex.quote(f'#!/bin/sh\nrm -f "$0"\nexec {line}\n')
    session.command.run(f"printf %s {text} >{path} && chmod 700 {path}", check=True)
    return path


def _check_json(*, as_json: bool, is_tty: bool) -> None:
    if as_json and is_tty:
        raise options.usage_error("--json collects the output; with -t, it goes to this terminal")


def _check_system() -> None:
    if sys.platform == "win32":
        raise options.usage_error(_NEEDS_POSIX)


def _check_terminal() -> None:
    _check_system()
    from agentbay_cli.terminal import has_terminal

    if not has_terminal():
        raise options.usage_error(_NO_TERMINAL)


def _image_and_words(
    before: list[str], after: list[str] | None, *, is_needed: bool
) -> tuple[str | None, list[str]]:
    """Return image and program of ``IMAGE -- PROGRAM`` or, as docker has it, ``IMAGE PROGRAM``."""
    image = before[0] if before else None
    return image, _one_program(before[1:], after, is_needed=is_needed)


def _one_program(
    before: list[str], after: list[str] | None, *, is_needed: bool = True
) -> list[str]:
    """Return the program, which stands after ``--``, or after the first argument."""
    if before and after is not None:
        raise options.usage_error(f"options and {before[0]!r} must stand before IMAGE or ID")
    words = before or after or []
    if not words and is_needed:
        raise options.usage_error("there is no program; give one after --")
    return words


def _program(
    words: list[str],
    envs: list[str] | None,
    cwd: str | None,
    timeout: float | None,
    *,
    interactive: bool,
    is_tty: bool,
) -> Program:
    if is_tty:
        _check_terminal()
        if timeout is not None:
            raise options.usage_error("--timeout is for programs without a terminal")
    source = sys.stdin.buffer if interactive and not is_tty else None
    return Program(shlex.join(words), options.parse_envs(envs), cwd, timeout, source)
