"""The command line: ``agentbay local`` runs the service, ``agentbay doctor`` probes the machine.

Standard output is for programs: one line once the service answers. Messages for people go to
standard error. Exit code 0 is a clean end, 1 a machine that cannot isolate sessions (``doctor``),
2 a failed start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
import shlex
import signal
import sqlite3
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_local import api_key, limits
from agentbay_local.api_key import KEY_VARIABLE
from agentbay_local.clock import SystemClock
from agentbay_local.doctor import report
from agentbay_local.home import HomeInUseError
from agentbay_local.http.hosts import is_loopback
from agentbay_local.manual_clock import ManualClock
from agentbay_local.sandbox.base import Isolation
from agentbay_local.service import LocalService
from agentbay_local.tls.trust import TRUST_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbay_local.clock import Clock

__all__ = ["main"]

_MAX_DESCRIPTORS = 65_536
_CLOCKS: dict[str, Callable[[], Clock]] = {
    "auto": partial(ManualClock, auto=True),
    "manual": ManualClock,
    "real": SystemClock,
}


def main(arguments: Sequence[str] | None = None, *, owns_process: bool = False) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Command-line arguments; those of this process by default.
        owns_process: The arguments are those of this process, which does nothing else. Then it
            starts itself again if others could read the API key in its arguments or environment.

    Example:
        ::

            agentbay local --port 8080 --home ~/.agentbay
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    options = _parser().parse_args(arguments)
    try:
        if options.command == "doctor":
            return asyncio.run(_doctor())
        key = api_key.read_key(options, owns_process=owns_process)
        return asyncio.run(_local(options, key))
    except HomeInUseError as error:
        return _fail(str(error))
    except sqlite3.Error as error:
        return _fail(f"the state of the service cannot be used: {error}")
    except OSError as error:
        return _fail(error.strerror or str(error))
    except ValueError as error:
        return _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agentbay", description="AgentBay on your own machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    # Abbreviated options would hide the API key from `without_key`.
    local = commands.add_parser(
        "local", help="run the local service until it is stopped", allow_abbrev=False
    )
    _add_options(local)
    limits.add_flags(local)
    commands.add_parser("doctor", help="show whether this machine can isolate sessions")
    return parser


def _add_options(local: argparse.ArgumentParser) -> None:
    local.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    local.add_argument("--port", type=int, default=0, help="port; 0, the default, takes a free one")
    local.add_argument(
        "--home",
        type=Path,
        help="directory that keeps contexts; without it they are deleted with the service",
    )
    api_key.add_flags(local)
    local.add_argument(
        "--isolation",
        choices=[level.value for level in Isolation],
        default=Isolation.NAMESPACES.value,
        help="'landlock' is weaker and needs no namespaces; 'none' runs sessions as plain "
        "processes that are NOT isolated (%(default)s)",
    )
    local.add_argument(
        "--faults",
        type=Path,
        metavar="FILE",
        help="JSON file of faults to inject; read again whenever it changes",
    )
    local.add_argument(
        "--clock",
        choices=sorted(_CLOCKS),
        default="real",
        help="'manual' stands still until /_control/clock moves it; 'auto' jumps when every task "
        "waits (%(default)s)",
    )
    local.add_argument(
        "--tls",
        action="store_true",
        help="offer TLS beside plain HTTP, with a certificate authority that --home keeps",
    )
    _add_network_options(local)


def _add_network_options(local: argparse.ArgumentParser) -> None:
    local.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        dest="allow_hosts",
        help="host that sessions may reach, at ports 80 and 443 or at PORT; may be repeated",
    )
    local.add_argument(
        "--require-sni",
        action="store_true",
        help="refuse tunnels to allowed hosts that do not begin with TLS for the name of the host",
    )


async def _local(options: argparse.Namespace, key: str | None) -> int:
    service = LocalService(
        host=options.host,
        port=options.port,
        home=options.home,
        api_key=key,
        isolation=options.isolation,
        clock=_CLOCKS[options.clock](),
        faults=options.faults,
        limits=limits.from_flags(options),
        allow_hosts=options.allow_hosts,
        require_sni=options.require_sni,
        tls=options.tls,
    )
    _raise_descriptor_limit()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with service:
        _print_warnings(service, options.host, random_key=key is None)
        sys.stdout.write(f"AgentBay local service ready at {service.endpoint}\n")
        sys.stdout.flush()
        await stop.wait()
    return 0


def _raise_descriptor_limit() -> None:
    """Raise the limit of open files: each sandbox needs three."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems refuse a limit below the hard one; then keep the current one.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _print_warnings(service: LocalService, host: str, *, random_key: bool) -> None:
    """Print what the person at the terminal has to know."""
    if service.ca_bundle is not None:
        _print_error(f"Clients must trust {service.ca_file}. Set these for them:")
        for name in TRUST_VARIABLES:
            _print_error(f"  export {name}={shlex.quote(str(service.ca_bundle))}")
    if random_key:
        _print_error(f"The API key is {service.api_key} (set {KEY_VARIABLE} to choose your own).")
    if not is_loopback(host):
        _print_error(
            f"Warning: {host} lets other machines reach this service, with the key in clear text."
        )
    if service.isolation.isolation is Isolation.NONE:
        _print_error("Warning: sessions are NOT isolated; programs in them run with your rights.")
    elif not service.isolation.available:
        _print_error(f"Warning: sessions cannot be created here: {service.isolation.reason}")
        _print_error(f"To cure it: {service.isolation.remedy}")
    elif service.isolation.detail:
        _print_error(f"Sessions are isolated by {service.isolation.detail}")


async def _doctor() -> int:
    isolated, lines = await report()
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0 if isolated else 1


def _fail(reason: str) -> int:
    _print_error(f"agentbay: {reason}")
    return 2


def _print_error(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
