"""``agentbay local exec -- PROGRAM``: run a program whose clients use the local service.

Address, key and certificates are in its environment. Without a running service, one is started for
the program alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local.commands.background import check_options
from agentbay_local.commands.foreground import print_warnings
from agentbay_local.commands.program import client_variables, run_program
from agentbay_local.commands.running_service import default_home, find_running
from agentbay_local.commands.service_options import make_service

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any

__all__ = ["execute"]


def execute(options: argparse.Namespace, given: Mapping[str, Any]) -> int:
    """Run a program, and return its exit code.

    Args:
        options: ``program``, ``home`` and the options of a service.
        given: The options of a service that were given; see `given_options`.

    Raises:
        HomeInUseError: A service of another program uses the home.
        OSError: A service cannot start.
        ValueError: An option is invalid, or a service runs with other options.
    """
    home = options.home or default_home()
    running = find_running(home)
    if running is not None:
        check_options(running, home, given)
        variables = client_variables(running.endpoint, running.api_key, running.ca_bundle)
        return run_program(options.program, variables)
    # Not with the key of the environment, which may be that of the cloud.
    with make_service(options, None) as service:
        print_warnings(service, options.host)
        bundle = str(service.ca_bundle or "")
        variables = client_variables(service.endpoint, service.api_key, bundle)
        return run_program(options.program, variables)
