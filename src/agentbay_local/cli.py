"""The command line: ``agentbay local`` for the service, ``agentbay image`` for images of sessions.

``agentbay doctor`` probes the machine.

Standard output is for programs, standard error for messages to people. The exit code is 0 for a
clean end, 1 for a machine that cannot isolate sessions (``doctor``), 2 for a failure, and 130 for
Ctrl-C. ``status`` and ``env`` return 3 if no service runs, ``exec`` what its program returns.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_async.errors import ConfigurationError
from agentbay_local import api_key
from agentbay_local.commands.background import start, stop
from agentbay_local.commands.environment import SHELLS, print_environment
from agentbay_local.commands.reports import print_report
from agentbay_local.commands.running_service import default_home
from agentbay_local.commands.status import status
from agentbay_local.home import HomeInUseError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main", "make_parser"]

_INTERRUPTED = 130
COMMANDS = {
    "run": "run the service until it is stopped (the default)",
    "start": "start the service in the background, and wait until it answers",
    "stop": "stop that service, and wait until its sessions have ended",
    "status": "show whether it runs: address, process, sessions, uptime, isolation",
    "env": "print the variables that clients need, with the API key, for eval",
    "exec": "run a program with these variables; start a service for it if none runs",
}
# These give the service a key and options; the others find it by its home.
_WITH_KEY = ("run", "start")
_WITH_OPTIONS = (*_WITH_KEY, "exec")


def main(arguments: Sequence[str], *, owns_process: bool = False) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Command-line arguments, ``local``, ``image`` or ``doctor`` first.
        owns_process: The arguments are those of this process, which does nothing else. Then it
            starts itself again if others could read the API key in its arguments or environment.

    Example:
        ::

            agentbay local --port 8080 --home ~/.agentbay
            agentbay local start
            agentbay local exec -- python my_program.py
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        if arguments[0] == "doctor":
            return _doctor(arguments[1:])
        if arguments[0] == "image":
            from agentbay_local.commands.images import main as run_images

            return run_images(arguments[1:], owns_process=owns_process)
        return _local(arguments[1:], owns_process=owns_process)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    except sqlite3.Error as error:
        return _fail(f"the state of the service cannot be used: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")
    except (ConfigurationError, HomeInUseError, ValueError) as error:
        return _fail(str(error))


def _local(arguments: Sequence[str], *, owns_process: bool) -> int:
    """Run one of the commands; without its name, `run`."""
    name = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    arguments = arguments[bool(name) :]
    options = make_parser(name or "run").parse_args(arguments)
    if name in ("", *_WITH_OPTIONS):
        return _with_options(name, options, arguments, owns_process=owns_process)
    home = _home(options)
    if name == "stop":
        return stop(home)
    if name == "status":
        return status(home, as_json=options.json)
    return print_environment(home, options.shell, as_json=options.json)


def _with_options(
    name: str, options: argparse.Namespace, arguments: Sequence[str], *, owns_process: bool
) -> int:
    """Run a command that may start a service. The others do not import what it takes."""
    from agentbay_local.commands.execute import execute
    from agentbay_local.commands.foreground import run
    from agentbay_local.commands.service_options import given_options

    if name == "exec":
        return execute(options, given_options(arguments))
    key = api_key.read_key(options, owns_process=owns_process)
    if name == "start":
        return start(_home(options), arguments, given_options(arguments), key)
    return asyncio.run(run(options, key))


def _home(options: argparse.Namespace) -> Path:
    home: Path = options.home or default_home()
    return home.absolute()


def make_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of the arguments of a command."""
    meaning = COMMANDS[command]
    parser = argparse.ArgumentParser(
        f"agentbay local {command}",
        description=f"{meaning[0].upper()}{meaning[1:]}.",
        epilog=_epilog() if command == "run" else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # Abbreviated options would hide the API key from `without_key`.
        allow_abbrev=False,
    )
    _add_home(parser, is_temporary=command == "run")
    if command in _WITH_KEY:
        api_key.add_flags(parser)
    if command in _WITH_OPTIONS:
        from agentbay_local.commands.service_options import add_service_options

        add_service_options(parser)
    if command in ("status", "env"):
        parser.add_argument("--json", action="store_true", help="print a JSON object")
    if command == "env":
        parser.add_argument(
            "--shell", choices=SHELLS, default="sh", help="the language to print (%(default)s)"
        )
    if command == "exec":
        parser.add_argument(
            "program", nargs="+", metavar="PROGRAM", help="after --, with arguments"
        )
    return parser


def _add_home(parser: argparse.ArgumentParser, *, is_temporary: bool) -> None:
    default = "a temporary one, deleted with the service" if is_temporary else "one of your own"
    parser.add_argument(
        "--home",
        type=Path,
        help=f"directory that keeps contexts and the state (default: {default})",
    )


def _epilog() -> str:
    lines = [f"  agentbay local {name:<7} {meaning}" for name, meaning in COMMANDS.items()]
    return "\n".join(["commands:", *lines])


def _doctor(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "agentbay doctor", description="Show whether this machine can isolate sessions."
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(arguments)
    from agentbay_local.doctor import report

    isolated, lines = asyncio.run(report())
    return print_report(lines, is_well=isolated, as_json=options.json)


def _fail(reason: str, code: int = 2) -> int:
    sys.stderr.write(f"agentbay: {reason}\n")
    sys.stderr.flush()
    return code
