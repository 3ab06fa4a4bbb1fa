"""Pytest plugin: list every skip at the end, and fail on one that ``tests/skips.txt`` lacks.

A skip hides a test from everybody. So each reason for which a test may be skipped stands in that
file, with the circumstances in which it is right.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

_LIST = Path(__file__).parents[1] / "skips.txt"
_SKIPS = pytest.StashKey["Counter[tuple[str, str]]"]()


def known_reasons(text: str) -> list[str]:
    """Return the patterns of a skip list: the part of each line before the first ``#``."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def is_known(reason: str, patterns: list[str]) -> bool:
    """Return whether a test may be skipped for `reason`."""
    return any(fnmatchcase(reason, pattern) for pattern in patterns)


def pytest_configure(config: pytest.Config) -> None:
    """Start with no skips; the reports of all workers arrive at their parent."""
    if not hasattr(config, "workerinput"):
        config.stash[_SKIPS] = Counter()
        config.pluginmanager.register(_Collector(config.stash[_SKIPS]))


class _Collector:
    """Count the skips that are reported."""

    def __init__(self, skips: Counter[tuple[str, str]]) -> None:
        self._skips = skips

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a skipped test."""
        self._count(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a skipped module."""
        self._count(report)

    def _count(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # An expected failure is reported as a skip too, without a place.
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self._skips[report.nodeid.partition("::")[0], reason] += 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a test was skipped for a reason that is not in the list."""
    if _unknown(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List all skips, and those that are not allowed once more."""
    skips = terminalreporter.config.stash.get(_SKIPS, Counter())
    if not skips:
        return
    terminalreporter.section("skipped tests")
    for (path, reason), count in sorted(skips.items()):
        terminalreporter.line(f"{count:4} {path}: {reason}")
    for path, reason in _unknown(terminalreporter.config):
        terminalreporter.line(f"not in tests/skips.txt: {reason} ({path})", red=True)


def _unknown(config: pytest.Config) -> list[tuple[str, str]]:
    patterns = known_reasons(_LIST.read_text("utf-8"))
    skips = config.stash.get(_SKIPS, Counter())
    return sorted(skip for skip in skips if not is_known(skip[1], patterns))
