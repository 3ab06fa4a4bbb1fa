"""``agentbay local env``: the variables that lead programs to a running service."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import TYPE_CHECKING

from agentbay_local.commands.program import client_variables
from agentbay_local.commands.running_service import find_running, home_option
from agentbay_local.commands.status import NOT_RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["SHELLS", "print_environment"]

SHELLS = ("sh", "fish")
"""The shells whose language the variables are printed in."""


def print_environment(home: Path, shell: str, *, as_json: bool) -> int:
    """Print the variables for the service of a home, the API key too; return the exit code.

    Args:
        home: The home of the service.
        shell: One of `SHELLS`.
        as_json: Print a JSON object instead, in which null removes a variable.

    Raises:
        OSError: The home cannot be read.
        ValueError: The state file of a running service is damaged.
    """
    running = find_running(home)
    if running is None:
        option = home_option(home)
        sys.stderr.write(
            f"agentbay: no service runs in {home}; start it with: agentbay local start{option}\n"
        )
        return NOT_RUNNING
    variables = client_variables(running.endpoint, running.api_key, running.ca_bundle)
    lines = [json.dumps(variables)] if as_json else _statements(variables, shell)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _statements(variables: Mapping[str, str | None], shell: str) -> Iterator[str]:
    """Yield a statement for each variable, in the language of a shell."""
    is_fish = shell == "fish"
    for name, value in variables.items():
        if value is not None:
            yield (
                f"set -gx {name} {_quote(value)}"
                if is_fish
                else (f"export {name}={shlex.quote(value)}")
            )
        elif name in os.environ:
            yield f"set -e {name}" if is_fish else f"unset {name}"


def _quote(value: str) -> str:
    r"""Quote a value for fish, which has a backslash inside of quotes.

    Example:
        >>> print(_quote("it's"))
        'it\'s'
    """
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
