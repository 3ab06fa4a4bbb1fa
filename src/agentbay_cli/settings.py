"""``agentbay config`` and ``completion``: settings with their origins, and scripts of shells."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import sys
from typing import Annotated

import typer

from agentbay_cli import options
from agentbay_cli.options import Endpoint, Json
from agentbay_cli.output import print_rows, write_text

__all__ = ["register"]

# By which a shell asks the application for completions.
_COMPLETION = "_AGENTBAY_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")
_REGISTERS = "compdef _agentbay_completion agentbay"
# As a file of `fpath`, the script is the body of the function that completes; `compstate` is there.
_COMPLETES_OR_REGISTERS = f"""\
if (( ${{+compstate}} )); then
  _agentbay_completion "$@"
else
  {_REGISTERS}
fi"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("config")(config)
    app.command("completion")(completion)


def config(endpoint: Endpoint = None, as_json: Json = False) -> int:
    """Show the settings, and where each comes from. The key is not shown."""
    from agentbay_async.config import find_origins, resolve

    rows = [(one.setting, one.value, one.source) for one in find_origins(endpoint=endpoint)]
    print_rows(("setting", "value", "source"), rows, as_json=as_json)
    # What cannot be used is told after it was shown.
    resolve(endpoint=endpoint)
    return 0


def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> int:
    """Print the script that lets a shell complete commands.

    For bash: source <(agentbay completion bash). For fish: agentbay completion fish | source.
    """
    if shell not in _SHELLS:
        raise options.usage_error(f"the shell must be bash, zsh or fish, not {shell!r}")
    # What typer's own option prints; it has no public name, and detects the shell by itself.
    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="agentbay", complete_var=_COMPLETION, shell=shell)
    if shell == "zsh":
        script = script.replace(f"\n{_REGISTERS}", f"\n{_COMPLETES_OR_REGISTERS}")
    write_text(f"{script}\n", sys.stdout)
    return 0
