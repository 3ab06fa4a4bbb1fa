"""``agentbay doctor --cloud``: one look at the configured service, which changes nothing there.

The report on standard output has no key and no whole id, so that it can be shared. The exit code is
0 if all is as assumed, 1 if something is not, and 2 if the look was not possible.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING

from agentbay import (
    AgentBay,
    AgentBayError,
    ConfigurationError,
    QuotaExceededError,
    RetryPolicy,
    ThrottledError,
    __version__,
)
from agentbay_async.config import LOCAL, resolve
from agentbay_cli.assumptions import ASSUMPTIONS, Verdict
from agentbay_cli.connection_probe import ConnectionFacts, probe
from agentbay_local.commands.reports import print_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentbay_async.config import Settings

__all__ = ["main", "make_parser", "report"]

_CALLS = 5
# Requests are not signed with a time, but the URLs of files expire by it.
_SKEW_ALLOWED = 300.0
_SHOWN = 6


def main(arguments: Sequence[str]) -> int:
    """Print the report and return the exit code.

    Args:
        arguments: The options.
    """
    options = make_parser().parse_args(arguments)
    try:
        is_well, lines = report(options.endpoint)
    except AgentBayError as error:
        sys.stderr.write(f"agentbay: {error}\n")
        return 2
    return print_report(lines, is_well=is_well, as_json=options.json)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser("agentbay doctor", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--cloud", action="store_true", required=True, help="look at the configured service"
    )
    parser.add_argument("--endpoint", help="the service; default: the configured one")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    return parser


def report(endpoint: str | None = None) -> tuple[bool, list[str]]:
    """Look at the service.

    Args:
        endpoint: The service; None takes the configured one.

    Returns:
        Whether all is as assumed, and the lines of the report.

    Raises:
        ConfigurationError: There is no key, or the endpoint is ``"local"``.
    """
    settings = resolve(endpoint=endpoint)
    if settings.endpoint == LOCAL:
        raise ConfigurationError(
            "the endpoint is 'local', which is no service to look at",
            hint="Set AGENTBAY_API_KEY, and remove AGENTBAY_ENDPOINT or let it name a service.",
        )
    look = _Look(settings)
    lines = [line for part in look.parts() for line in part]
    return look.is_well, [look.without_secrets(line) for line in lines]


class _Look:
    """One look at a service.

    Attributes:
        is_well: Whether all that was seen is as assumed.
    """

    def __init__(self, settings: Settings) -> None:
        self.is_well = True
        self._settings = settings
        self._errors: list[AgentBayError] = []
        self._ids: set[str] = set()

    def parts(self) -> Iterator[list[str]]:
        """Look, and yield the lines of each part of the report."""
        settings = self._settings
        yield [
            f"agentbay-async {__version__}, one look at the service. Nothing is changed there.",
            f"region: {settings.region_id}",
            f"endpoint: {settings.endpoint}",
        ]
        yield list(self._connection(probe(settings.endpoint)))
        with self._client(settings.api_key) as bay:
            yield list(self._calls(bay))
            yield list(self._assumptions(bay))
        yield [self._quota(), "This report has no key and no whole id, so it can be shared."]

    def without_secrets(self, line: str) -> str:
        """Return a line without the key, and with the beginnings of ids only."""
        for name in sorted(self._ids, key=len, reverse=True):
            line = line.replace(name, f"{name[:_SHOWN]}...")
        return line.replace(self._settings.api_key, "<api-key>")

    def _client(self, key: str) -> AgentBay:
        # One attempt: a request that is throttled is what the report is to show.
        endpoint = self._settings.endpoint
        return AgentBay(key, endpoint=endpoint, retry=RetryPolicy(attempts=1))

    def _connection(self, facts: ConnectionFacts) -> Iterator[str]:
        if facts.problem:
            self.is_well = False
            yield f"connection: failed. {facts.problem}"
            return
        if facts.versions:
            yield (
                f"tls: {', '.join(facts.versions)}; issued by {facts.issuer or 'nobody named'}, "
                f"valid until {facts.valid_until}"
            )
        else:
            yield "tls: not used"
        yield self._clock(facts.skew)

    def _clock(self, skew: float | None) -> str:
        if skew is None:
            return "clock: unknown; the service sent no Date"
        if abs(skew) <= _SKEW_ALLOWED:
            return f"clock: agrees with that of the service ({skew:+.1f} s)"
        self.is_well = False
        return f"clock: the service is {skew:+.1f} s ahead; set the clock of this machine"

    def _calls(self, bay: AgentBay) -> Iterator[str]:
        """Send the same listing some times."""
        durations = []
        for _ in range(_CALLS):
            began = time.monotonic()
            result = bay.list(limit=1)
            durations.append((time.monotonic() - began) * 1000)
            if result.error is None:
                self._ids.update(result.session_ids)
            else:
                self._errors.append(result.error)
        if self._errors:
            self.is_well = False
            yield f"key: a listing failed. {self._errors[0]}"
        else:
            yield "key: accepted"
        least, middle, most = min(durations), statistics.median(durations), max(durations)
        yield f"latency: {least:.0f} to {most:.0f} ms, median {middle:.0f} ms, of {_CALLS} listings"

    def _assumptions(self, bay: AgentBay) -> Iterator[str]:
        yield "assumptions (docs/fidelity.md):"
        for assumption in ASSUMPTIONS:
            finding = assumption.check(bay, self._client)
            self.is_well = self.is_well and finding.verdict is not Verdict.DIFFERS
            head = f"{assumption.name:<4} {finding.verdict.value:<8}"
            yield f"  {head} {assumption.statement}. Seen: {finding.seen}"

    def _quota(self) -> str:
        kinds = (QuotaExceededError, ThrottledError)
        refused = [error for error in self._errors if isinstance(error, kinds)]
        if refused:
            return f"quota: {len(refused)} refused, the first with {refused[0].code}"
        return "quota: no request was refused"
