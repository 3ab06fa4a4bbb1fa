"""Command-line options of a local service, and the service that they describe."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay_local import limits
from agentbay_local.clock import SystemClock
from agentbay_local.images import parse_image
from agentbay_local.manual_clock import ManualClock
from agentbay_local.sandbox.base import Isolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentbay_local.clock import Clock
    from agentbay_local.service import LocalService

__all__ = ["add_service_options", "given_options", "make_service", "plain_options"]

_CLOCKS: dict[str, Callable[[], Clock]] = {
    "auto": partial(ManualClock, auto=True),
    "manual": ManualClock,
    "real": SystemClock,
}


def add_service_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a service, without its home and its key."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=0, help="port; 0, the default, takes a free one"
    )
    parser.add_argument(
        "--isolation",
        choices=[level.value for level in Isolation],
        default=Isolation.NAMESPACES.value,
        help="'landlock' is weaker and needs no namespaces; 'none' runs sessions as plain "
        "processes that are NOT isolated (%(default)s)",
    )
    parser.add_argument(
        "--faults",
        type=Path,
        metavar="FILE",
        help="JSON file of faults to inject; read again whenever it changes",
    )
    parser.add_argument(
        "--clock",
        choices=sorted(_CLOCKS),
        default="real",
        help="'manual' stands still until /_control/clock moves it; 'auto' jumps when every task "
        "waits (%(default)s)",
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="offer TLS beside plain HTTP, with a certificate authority that the home keeps",
    )
    _add_sandbox_options(parser)
    _add_network_options(parser)
    limits.add_flags(parser)


def _add_sandbox_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="image whose sessions see a directory with usr (or an archive of one) over the "
        "system; may be repeated",
    )
    parser.add_argument(
        "--ready",
        type=int,
        default=1,
        metavar="N",
        help="sandboxes to start before a session needs them (%(default)s)",
    )


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="host that sessions may reach, at ports 80 and 443 or at PORT; may be repeated",
    )
    parser.add_argument(
        "--require-sni",
        action="store_true",
        help="refuse tunnels to allowed hosts that do not begin with TLS for the name of the host",
    )


def make_service(options: argparse.Namespace, key: str | None) -> LocalService:
    """Return a service with these options, and ``options.home``, that is not started.

    Raises:
        ValueError: An option is invalid.
    """
    # Imported here, because it takes long, and `start` needs the options only.
    from agentbay_local.service import LocalService

    return LocalService(
        host=options.host,
        port=options.port,
        home=options.home,
        api_key=key,
        isolation=options.isolation,
        clock=_CLOCKS[options.clock](),
        faults=options.faults,
        limits=limits.from_flags(options),
        allow_hosts=options.allow_host,
        require_sni=options.require_sni,
        images=[parse_image(text) for text in options.image],
        tls=options.tls,
        ready=options.ready,
    )


def plain_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a service among others, as values for JSON."""
    names = vars(_only_service_options().parse_args([]))
    return _plain({name: getattr(options, name) for name in names})


def given_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of a service that the arguments name, as values for JSON.

    Example:
        >>> given_options(["--home", "/tmp/home", "--port", "0"])
        {'port': 0}
    """
    parser = _only_service_options()
    # Values that are there already are not replaced by defaults.
    absent = argparse.Namespace(**dict.fromkeys(vars(parser.parse_args([]))))
    found, _ = parser.parse_known_args(arguments, absent)
    return _plain({name: value for name, value in vars(found).items() if value is not None})


def _only_service_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_service_options(parser)
    return parser


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: str(value.absolute()) if isinstance(value, Path) else value
        for name, value in options.items()
    }
