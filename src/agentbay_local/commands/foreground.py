"""``agentbay local run``: the service in the foreground, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import shlex
import signal
import sys
import time
from typing import TYPE_CHECKING

from agentbay_local.commands.running_service import RunningService, StateFile, home_option
from agentbay_local.commands.service_options import make_service, plain_options
from agentbay_local.loopback import is_loopback
from agentbay_local.sandbox.base import Isolation
from agentbay_local.tls.trust import TRUST_VARIABLES

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from agentbay_local.service import LocalService

__all__ = ["print_warnings", "run"]

_MAX_DESCRIPTORS = 65_536


async def run(options: argparse.Namespace, key: str | None) -> int:
    """Run the service until SIGINT, SIGTERM or SIGHUP, and return the exit code.

    Args:
        options: ``home``, None for a temporary one, and the options of the service.
        key: The key that clients must send; None makes a random one.

    Raises:
        HomeInUseError: Another service uses the home.
        OSError: The port or the home cannot be used.
        ValueError: An option is invalid.
    """
    service = make_service(options, key)
    _raise_descriptor_limit()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup ignores SIGHUP, which otherwise says that the terminal was closed
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Closed last: as long as the service is stopping, other commands still find it.
    with contextlib.closing(StateFile()) as state:
        async with service:
            running = RunningService.of(service, plain_options(options), time.time())
            _write_state(state, service.home, running)
            print_warnings(service, options.host)
            _print_use(service)
            sys.stdout.write(f"AgentBay local service ready at {service.endpoint}\n")
            sys.stdout.flush()
            await stop.wait()
    return 0


def _write_state(state: StateFile, home: Path, running: RunningService) -> None:
    """Let other commands find the service; one whose disk is full must start all the same."""
    try:
        state.write(home, running)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _print_message(
            f"Warning: {home} has no room, so other commands do not find this service. Make room, "
            "and start it again."
        )


def _raise_descriptor_limit() -> None:
    """Raise the limit of open files: each sandbox needs three."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems refuse a limit below the hard one; then keep the current one.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def print_warnings(service: LocalService, host: str) -> None:
    """Print what the person at the terminal has to know of the safety of a service."""
    if not is_loopback(host):
        _print_message(
            f"Warning: {host} lets other machines reach this service, with the key in clear text."
        )
    if service.isolation.isolation is Isolation.NONE:
        _print_message("Warning: sessions are NOT isolated; programs in them run with your rights.")
    elif not service.isolation.available:
        _print_message(f"Warning: sessions cannot be created here: {service.isolation.reason}")
        _print_message(f"To cure it: {service.isolation.remedy}")
    elif service.isolation.detail:
        _print_message(f"Sessions are isolated by {service.isolation.detail}")


def _print_use(service: LocalService) -> None:
    """Print what clients need; the key is in the state file only."""
    if service.ca_bundle is not None:
        _print_message(f"Clients must trust {service.ca_file}. Set these for them:")
        for name in TRUST_VARIABLES:
            _print_message(f"  export {name}={shlex.quote(str(service.ca_bundle))}")
    _print_message(f"To watch sessions and calls, open {service.overview_url}")
    option = home_option(service.home)
    _print_message(f'To set all that clients need, run: eval "$(agentbay local env{option})"')


def _print_message(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
