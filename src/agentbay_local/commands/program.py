"""Run a program of the user against a service on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentbay_local.api_key import KEY_VARIABLE
from agentbay_local.loopback import as_seen_here
from agentbay_local.tls.trust import TRUST_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

__all__ = ["client_variables", "run_program"]

_NOT_FOUND, _NOT_RUNNABLE = 127, 126
_NO_PROXY = ("NO_PROXY", "no_proxy")


def client_variables(
    endpoint: str, api_key: str, ca_bundle: str = "", environ: Mapping[str, str] = os.environ
) -> dict[str, str | None]:
    """Return the environment variables that lead clients to a service; None removes one.

    Args:
        endpoint: The URL of the service.
        api_key: Its key.
        ca_bundle: The file of certificates that clients must trust; "" without TLS.
        environ: The current environment.

    Example:
        >>> found = client_variables(
        ...     "http://127.0.0.1:80", "k", environ={"no_proxy": "example.com"}
        ... )
        >>> found["AGENTBAY_ENDPOINT"], found["no_proxy"]
        ('http://127.0.0.1:80', 'example.com,127.0.0.1')
    """
    endpoint = as_seen_here(endpoint)
    found: dict[str, str | None] = {
        # Without a scheme, every client speaks HTTPS; some know no other form.
        "AGENTBAY_ENDPOINT": endpoint.removeprefix("https://"),
        KEY_VARIABLE: api_key,
        # A region beside an endpoint would win, and lead past the service.
        "AGENTBAY_REGION_ID": None,
    }
    if ca_bundle:
        found.update(dict.fromkeys(TRUST_VARIABLES, ca_bundle))
    host = urlsplit(endpoint).hostname or ""
    for name in _NO_PROXY:
        hosts = [one for one in environ.get(name, "").split(",") if one]
        found[name] = ",".join(hosts if host in hosts else [*hosts, host])
    return found


def run_program(program: Sequence[str], variables: Mapping[str, str | None]) -> int:
    """Run a program to its end, and return its exit code; signals for this process are for it.

    Args:
        program: The program and its arguments.
        variables: Changes to the environment; None removes a variable.

    Returns:
        The exit code of the program; as shells do, 128 and the number of the signal that ended it,
        127 if there is no such program, and 126 if it cannot be run.
    """
    changed = {**os.environ, **variables}
    environment = {name: value for name, value in changed.items() if value is not None}
    with _Signals() as signals:
        try:
            # The user gave this program on the command line, and no shell reads it.
            process = subprocess.Popen(list(program), env=environment)  # noqa: S603
        except FileNotFoundError:
            return _fail(_NOT_FOUND, f"there is no program {program[0]!r}")
        except OSError as error:
            return _fail(_NOT_RUNNABLE, f"{program[0]!r} cannot be run: {error.strerror}")
        signals.pass_to(process)
        code = process.wait()
    return 128 - code if code < 0 else code


class _Signals:
    """Passes the signals that ask this process to end to a program.

    The handlers are there before the program is: a signal in between must not leave it behind.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __enter__(self) -> _Signals:
        # A terminal sends Ctrl-C to both. Not SIG_IGN, which the program would inherit.
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGINT: _ignore,
            signal.SIGTERM: self._pass,
            signal.SIGHUP: self._pass,
        }
        self._previous = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            # nohup ignores SIGHUP for the program too
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def pass_to(self, process: subprocess.Popen[bytes]) -> None:
        """Pass signals to a program, also those that have come already."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def _pass(self, number: int, _: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


def _ignore(*_: object) -> None:
    """Do nothing about a signal."""


def _fail(code: int, reason: str) -> int:
    sys.stderr.write(f"agentbay: {reason}\n")
    return code
