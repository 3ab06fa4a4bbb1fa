"""The command ``agentbay``: dispatch each subcommand to its module.

``local`` and ``doctor`` belong to the local service, ``ps`` and ``reap`` to the SDK. A module is
imported only for its own commands, because each takes a noticeable time to import.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE = """\
usage: agentbay COMMAND [OPTIONS]

  local    run the local service until it is stopped
  doctor   check whether this machine can isolate sessions; --cloud: look at the service
  ps       list the sessions that this host created and did not delete
  reap     delete sessions that outlived the process that created them
  record   run a program and record what it and the service say to each other
  verify   show where the local service would answer otherwise than was recorded

Run agentbay COMMAND --help for the options of a command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: The arguments after the program's name. Default: those of this process.
    """
    owns_process = arguments is None
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = arguments[0] if arguments else ""
    if command in ("-h", "--help"):
        sys.stdout.write(_USAGE)
        return 0
    if command in ("record", "verify"):
        from agentbay_cli.recording import main as run_recording

        return run_recording(arguments)
    if command == "doctor" and "--cloud" in arguments:
        from agentbay_cli.cloud_doctor import main as run_cloud_doctor

        return run_cloud_doctor(arguments[1:])
    if command in ("ps", "reap"):
        from agentbay_cli.sessions import main as run_sessions

        return run_sessions(arguments)
    if command in ("local", "doctor"):
        from agentbay_local.cli import main as run_local

        return run_local(arguments, owns_process=owns_process)
    sys.stderr.write(_USAGE)
    return 2
