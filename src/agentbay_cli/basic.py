"""The basic commands, which need nothing beyond the package: their modules use argparse.

Each module is imported for its own commands only, because that takes a noticeable time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BASIC", "run_basic"]

BASIC = {
    "local": "run the local service, in the foreground or the background",
    "image": "show and make the images that sessions of the local service can have",
    "doctor": "check whether this machine can isolate sessions; --cloud: look at the service",
    "ps": "list the sessions that this host created and did not delete",
    "reap": "delete sessions that outlived the process that created them",
    "record": "run a program and record what it and the service say to each other",
    "migrate": "list what would behave otherwise in programs for the official client",
    "verify": "show where the local service would answer otherwise than was recorded",
}
"""The commands that work without the extra ``cli``, and what each does."""


def run_basic(arguments: Sequence[str], *, owns_process: bool = False) -> int:
    """Run one of the commands of `BASIC`, and return its exit code.

    Args:
        arguments: The command and its options.
        owns_process: The arguments are those of this process.
    """
    if sys.platform != "linux" and _needs_linux(arguments):
        return _refuse(arguments, sys.platform)
    if arguments[0] in ("record", "verify"):
        from agentbay_cli.recording import main as run_recording

        return run_recording(arguments)
    if arguments[0] == "migrate":
        from agentbay_cli.migrate import main as run_migrate

        return run_migrate(arguments[1:])
    if arguments[0] == "doctor" and "--cloud" in arguments:
        from agentbay_cli.cloud_doctor import main as run_cloud_doctor

        return run_cloud_doctor(arguments[1:])
    if arguments[0] in ("ps", "reap"):
        from agentbay_cli.reaper import main as run_reaper

        return run_reaper(arguments)
    from agentbay_local.cli import main as run_local

    return run_local(arguments, owns_process=owns_process)


def _needs_linux(arguments: Sequence[str]) -> bool:
    if arguments[0] == "doctor":
        return "--cloud" not in arguments
    return arguments[0] in ("local", "image", "record", "verify")


def _refuse(arguments: Sequence[str], platform: str) -> int:
    """Say what a command needs, and where it can run."""
    from agentbay_local.commands.reports import print_report
    from agentbay_local.other_systems import explain, report

    if arguments[0] == "doctor":
        return print_report(report(platform), is_well=False, as_json="--json" in arguments)
    sys.stderr.write(f"agentbay: {explain(f'agentbay {arguments[0]}', platform)}\n")
    return 2
