"""The command ``agentbay``: hands each subcommand to the package that it belongs to.

``local`` and ``doctor`` are the local service's, ``ps`` and ``reap`` the SDK's. Each is imported
when it is asked for.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE = """\
usage: agentbay COMMAND [OPTIONS]

  local    run the local service until it is stopped
  doctor   say whether this machine can isolate sessions
  ps       list the sessions that this host created and did not delete
  reap     delete sessions that outlived the process that created them

agentbay COMMAND --help tells more.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: What follows the name of the program; by default that of this process.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return 0
    if given[:1] in (["ps"], ["reap"]):
        from agentbay_cli.sessions import main as of_sdk

        return of_sdk(given)
    if given[:1] in (["local"], ["doctor"]):
        from agentbay_local.cli import main as of_service

        return of_service(given)
    sys.stderr.write(_USAGE)
    return 2
