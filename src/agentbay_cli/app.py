"""The typer application: every command of ``agentbay``. Needs the extra ``cli``.

Each group of commands is a module of this package with a function ``register``. Only the module of
the command that was called is imported, because making all commands takes a noticeable time. The
basic commands appear in the help and in completions; they run as they do without the extra.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import typer

from agentbay_cli.basic import BASIC, run_basic
from agentbay_cli.completion import BasicCommand
from agentbay_cli.output import print_message

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FAILED", "USAGE", "make_app", "run"]

USAGE = 2
"""The exit code for bad input, and for a failure of the service."""
FAILED = 125
"""The exit code for a failure of ``agentbay`` itself where others are those of a program."""

_COMPLETION = "_AGENTBAY_COMPLETE"
_RUNS_PROGRAM = frozenset({"run", "exec", "shell", "code"})
_MODULES = {
    "run": "commands",
    "exec": "commands",
    "shell": "commands",
    "create": "sessions",
    "ls": "sessions",
    "rm": "sessions",
    "pause": "sessions",
    "resume": "sessions",
    "keep-alive": "sessions",
    "cp": "files",
    "watch": "files",
    "code": "code",
    "logs": "logs",
    "port": "ports",
    "open": "ports",
    "context": "contexts",
    "bulk": "bulk",
    "config": "settings",
    "completion": "settings",
    "mcp": "mcp_server",
}
"""The module of each command."""


def run(arguments: Sequence[str]) -> int:
    """Run a command, and return its exit code.

    Args:
        arguments: The command and its options. What stands after ``--`` is a program for a session,
            with its arguments.

    Raises:
        AgentBayError: The command failed; `exit_code` tells with which exit code to end.
    """
    head, program = _split(arguments)
    if not head and _COMPLETION not in os.environ:
        # Releases of typer differ in where they print the help then, and in the exit code.
        with contextlib.redirect_stdout(sys.stderr):
            run(["--help"])
        return USAGE
    try:
        # Without the standalone mode, in which an error is three lines.
        code = make_app(head)(head, prog_name="agentbay", standalone_mode=False, obj=program)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except typer.Abort:
        return 130
    except _ClickException as error:
        return _tell_usage(error)
    return code if isinstance(code, int) else 0


def exit_code(arguments: Sequence[str]) -> int:
    """Return the exit code of a command that failed with an error."""
    return FAILED if arguments[:1] and arguments[0] in _RUNS_PROGRAM else USAGE


# The base of typer's errors: newer releases bring their own copy of click.
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]


def _tell_usage(error: Exception) -> int:
    text = str(getattr(error, "format_message", error.__str__)()).strip()
    context = getattr(error, "ctx", None)
    if "\n" in text:
        # Called without arguments: the text is the help.
        sys.stderr.write(f"{text}\n")
    else:
        path = "agentbay" if context is None else context.command_path
        print_message(f"agentbay: {text.rstrip('.')}. See: {path} --help")
    return USAGE


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return what stands before the first ``--``, and what stands after it."""
    given = list(arguments)
    if "--" not in given or given[0] in BASIC:
        return given, None
    place = given.index("--")
    return given[:place], given[place + 1 :]


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the application, with the command that the arguments call, or else with all.

    Args:
        arguments: The command and its options.
    """
    app = typer.Typer(
        name="agentbay",
        help="Isolated sessions for AI agents, in the cloud and on your own machine.",
        no_args_is_help=True,
        # `agentbay completion` prints the scripts.
        add_completion=False,
        # Errors are one line for people and programs, and tracebacks those of Python.
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    if _COMPLETION in os.environ:
        # What typer itself calls before it completes; it has no public name for it.
        from typer._completion_classes import completion_init

        completion_init()
    called = arguments[0] if arguments else ""
    if called in _MODULES:
        _register(app, _MODULES[called])
        return app
    for module in dict.fromkeys(_MODULES.values()):
        _register(app, module)
    for name, meaning in BASIC.items():
        app.command(
            name,
            cls=BasicCommand,
            help=f"{meaning[0].upper()}{meaning[1:]}.",
            add_help_option=False,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(_run_basic)
    return app


def _register(app: typer.Typer, module: str) -> None:
    import_module(f"agentbay_cli.{module}").register(app)


# `main` handles the option, for those without the extra too; here it is for the help.
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version."),
) -> None:
    """Isolated sessions for AI agents, in the cloud and on your own machine."""


def _run_basic(context: typer.Context) -> int:
    return run_basic([context.info_name or "", *context.args])
