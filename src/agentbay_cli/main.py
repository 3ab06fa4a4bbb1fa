"""The command ``agentbay``: dispatch each command to its module.

The basic commands are run directly. All others belong to the typer application of the extra
``cli``, which lists the basic ones too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from agentbay_cli.basic import BASIC, run_basic

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXTRA = frozenset({"rich", "typer"})
_INSTALL = "pip install 'agentbay-async[cli]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: The arguments after the program's name. Default: those of this process.
    """
    owns_process = arguments is None
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if arguments and arguments[0] in BASIC:
            return run_basic(arguments, owns_process=owns_process)
        return _run_application(arguments)
    except Exception as error:
        # Not imported before: the local service does without it.
        from agentbay import AgentBayError

        if not isinstance(error, (AgentBayError, OSError)):
            raise
        sys.stderr.write(f"agentbay: {error}\n")
        return 2


def _run_application(arguments: Sequence[str]) -> int:
    try:
        from agentbay_cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        return _explain_extra(arguments)
    return run(arguments)


def _explain_extra(arguments: Sequence[str]) -> int:
    """Name the basic commands, and how to install the others."""
    wants_help = arguments[:1] in (["-h"], ["--help"])
    if arguments and not wants_help:
        sys.stderr.write(f"agentbay: {arguments[0]!r:.80} needs the extra cli: {_INSTALL}\n")
        return 2
    lines = [f"  {name:<8} {meaning}\n" for name, meaning in BASIC.items()]
    (sys.stdout if wants_help else sys.stderr).write(
        f"usage: agentbay COMMAND [OPTIONS]\n\n{''.join(lines)}\n"
        "Run agentbay COMMAND --help for the options of a command.\n"
        f"More commands come with the extra cli: {_INSTALL}\n"
    )
    return 0 if wants_help else 2
