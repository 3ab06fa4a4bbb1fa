"""One local service for all tests of commands, and the command as its user runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from agentbay import AgentBay
from agentbay_cli.main import main
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def shared_service() -> Iterator[LocalService]:
    """Run the service."""
    with LocalService() as running:
        yield running


@pytest.fixture
def user(
    shared_service: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalService]:
    """Be a user who has configured the service, in an empty directory; empty it afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTBAY_ENDPOINT", shared_service.endpoint)
    monkeypatch.setenv("AGENTBAY_API_KEY", shared_service.api_key)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield shared_service
    shared_service.reset()


@pytest.fixture
def agentbay(user: LocalService, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return the command of that user. It runs in this process, which is thus measured."""

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        code = main(list(arguments))
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def bay(user: LocalService) -> Iterator[AgentBay]:
    """Return a client of that user, to see what the commands did."""
    with AgentBay() as client:
        yield client
