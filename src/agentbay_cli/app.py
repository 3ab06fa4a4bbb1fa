"""The typer application: every command of ``agentbay``. Needs the extra ``cli``.

Each group of commands is a module of this package, whose functions are added here. The basic
commands appear in the help and in completions; they run as they do without the extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agentbay_cli.basic import BASIC, run_basic

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

app = typer.Typer(
    name="agentbay",
    help="Isolated sessions for AI agents, in the cloud and on your own machine.",
    no_args_is_help=True,
    # Errors are one line for people and programs, and tracebacks those of Python.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: Sequence[str]) -> int:
    """Run a command, and return its exit code.

    Args:
        arguments: The command and its options.
    """
    try:
        app(list(arguments), prog_name="agentbay")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _run_basic(context: typer.Context) -> None:
    raise typer.Exit(run_basic([context.info_name or "", *context.args]))


for _name, _meaning in BASIC.items():
    app.command(
        _name,
        help=f"{_meaning[0].upper()}{_meaning[1:]}.",
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_run_basic)
