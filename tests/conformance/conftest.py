"""Fixtures for tests with the official client."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def official_python() -> str:
    """Return the interpreter that has the official client."""
    if not (python := os.environ.get("OFFICIAL_PYTHON")):
        pytest.skip("OFFICIAL_PYTHON is not set; ./run conformance sets it")
    return python


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests have recorded."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")
