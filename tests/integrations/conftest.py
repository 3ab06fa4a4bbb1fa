"""Fixtures of the judges, each of which runs in an environment with one framework."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The module of each framework whose judge has a directory here.
FRAMEWORKS = {
    "anthropic": "anthropic.tools.computer",
    "google_adk": "google.adk.environment",
    "deepagents": "deepagents",
    "harbor": "harbor.environments",
    "inspect_ai": "inspect_ai.util",
    "langchain": "langchain_core",
    "mini_swe_agent": "minisweagent",
    "openai_agents": "agents.sandbox",
    "pydantic_ai": "pydantic_ai.workspaces",
    "smolagents": "smolagents",
}

_PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"
_LONGEST_PROGRAM = 40


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


collect_ignore = [name for name, module in FRAMEWORKS.items() if not _is_installed(module)]


@pytest.fixture(scope="session")
def shared_service(
    tmp_path_factory: pytest.TempPathFactory,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[LocalService]:
    """Run one service for all tests; tell the report how many sessions are left in the end."""
    with LocalService(home=tmp_path_factory.mktemp("home")) as service:
        yield service
        record_testsuite_property("sessions_left", len(service.living()))


@pytest.fixture
def service(
    shared_service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalService]:
    """Give the service to clients without settings; check that a test leaves no session."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", shared_service.endpoint)
    monkeypatch.setenv("AGENTBAY_API_KEY", shared_service.api_key)
    before = set(shared_service.living())
    yield shared_service
    assert set(shared_service.living()) <= before


@pytest.fixture
def run_program(service: LocalService, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a program of a framework in the docs; it returns its output.

    A framework with several programs has them by number, counted from one.
    """

    def run(name: str, number: int = 1) -> str:
        page = _PAGE.read_text(encoding="utf-8")
        programs = re.findall(rf"^```python {name}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        code = programs[number - 1]
        assert len(code.splitlines()) <= _LONGEST_PROGRAM
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
