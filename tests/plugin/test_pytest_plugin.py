"""The pytest plugin, in test runs in child processes with a directory each."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 100
# Importing hypothesis takes longer than all the rest.
PLAIN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
SETTINGS = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


class Run:
    """One test run that has ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.text = done.stdout + done.stderr

    def passed(self, number: int) -> None:
        """Fail unless that many tests passed, and nothing else happened."""
        assert (self.code, f"{number} passed" in self.text) == (0, True), self.text


class Runs:
    """Runs tests in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "pytest.ini").write_text(SETTINGS)

    def run(self, tests: str, *options: str) -> Run:
        """Run the tests in a text."""
        (self._directory / "test_it.py").write_text(f"import pytest\n{tests}")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *PLAIN, *options],
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return Run(done)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Return a directory to run tests in."""
    return Runs(tmp_path)


def test_each_test_has_an_empty_service(runs: Runs) -> None:
    """Two tests create the same context and count sessions, in both kinds of clients."""
    done = runs.run("""
from agentbay import AgentBay

@pytest.mark.parametrize("_", range(2))
async def test_async(agentbay_client, _):
    assert (await agentbay_client.context.get("c", create=True)).success
    session = (await agentbay_client.create()).session
    assert (await agentbay_client.list()).total_count == 1
    assert (await session.delete()).success

@pytest.mark.parametrize("_", range(2))
def test_blocking(agentbay_service, agentbay_blocking_client, _):
    assert agentbay_blocking_client.context.list().contexts == []
    agentbay_service.seed(contexts=["c"])
    with agentbay_blocking_client.session():
        assert agentbay_blocking_client.list().total_count == 1

def test_a_client_that_is_told_nothing_finds_it(agentbay_service):
    agentbay_service.seed(contexts=["c"])
    with AgentBay() as bay:
        assert [entry.name for entry in bay.context.list().contexts] == ["c"]
""")
    done.passed(5)


def test_a_leaked_session_fails_its_test_with_the_line_that_created_it(
    runs: Runs,
) -> None:
    """From coroutines, tasks and blocking code; deleted and marked sessions pass."""
    done = runs.run("""
import asyncio

async def test_async(agentbay_client):
    await agentbay_client.create()  # line 6

async def test_task(agentbay_client):
    await asyncio.create_task(agentbay_client.create())  # line 9

def test_blocking(agentbay_blocking_client):
    agentbay_blocking_client.create()  # line 12

def test_unknown(agentbay_service):
    agentbay_service.seed([{"made": "without a client"}])

@pytest.mark.agentbay_leaks_allowed
def test_marked(agentbay_blocking_client):
    agentbay_blocking_client.create()

async def test_deleted(agentbay_client):
    session = (await agentbay_client.create()).session
    await session.delete()
""")
    assert done.code == 1
    assert "6 passed, 4 errors" in done.text
    for line in (6, 9, 12):
        assert f"test_it.py:{line}" in done.text
    assert "an unknown line, labels {'made': 'without a client'}" in done.text


def test_a_session_of_another_fixture_is_deleted_before_the_check(runs: Runs) -> None:
    """A fixture that depends on the plugin's may clean up."""
    runs.run("""
@pytest.fixture
def session(agentbay_blocking_client):
    with agentbay_blocking_client.session() as session:
        yield session

def test_it(session):
    assert session.session_id
""").passed(1)


def test_a_failed_test_does_not_report_leaks(runs: Runs) -> None:
    """The first failure is enough; the next test is not affected."""
    done = runs.run("""
def test_fails(agentbay_blocking_client):
    agentbay_blocking_client.create()
    assert False

def test_is_clean(agentbay_blocking_client):
    assert agentbay_blocking_client.list().total_count == 0
""")
    assert "1 failed, 1 passed" in done.text
    assert "left sessions" not in done.text


def test_a_test_moves_its_clock(runs: Runs) -> None:
    """Service and clients share it, and a wait of minutes takes no time."""
    runs.run("""
import time
from agentbay import CreateSessionParams

def test_moved(agentbay_clock, agentbay_blocking_client):
    params = CreateSessionParams(idle_release_timeout=60)
    agentbay_blocking_client.create(params)
    agentbay_clock.advance(minutes=2)
    assert agentbay_blocking_client.list().total_count == 0

async def test_auto(agentbay_auto_clock, agentbay_service, agentbay_client):
    began = time.monotonic()
    await agentbay_client._api.clock.sleep(300)
    assert agentbay_service.clock is agentbay_auto_clock
    assert time.monotonic() - began < 60

def test_real(agentbay_service):
    assert abs(agentbay_service.clock.time() - time.time()) < 60
""").passed(3)


def test_faults_and_limits_end_with_their_test(runs: Runs) -> None:
    """The next test has a service without them."""
    runs.run("""
from agentbay_local import Fail

def test_ill(agentbay_service, agentbay_blocking_client):
    agentbay_service.faults.add(Fail("InternalError", 500), "ListContexts")
    agentbay_service.quotas.sessions = 0
    assert not agentbay_blocking_client.context.list().success
    assert agentbay_service.journal.find("ListContexts", fault="fail")

def test_well(agentbay_service, agentbay_blocking_client):
    assert agentbay_blocking_client.context.list().success
    assert agentbay_service.quotas.sessions is None
    assert len(agentbay_service.journal) == 1
""").passed(2)


@pytest.mark.slow
def test_workers_of_xdist_have_separate_services(runs: Runs) -> None:
    """Tests that count sessions run concurrently."""
    runs.run(
        """
@pytest.mark.parametrize("number", range(8))
def test_count(agentbay_blocking_client, number):
    with agentbay_blocking_client.session():
        assert agentbay_blocking_client.list().total_count == 1
""",
        "-n",
        "2",
    ).passed(8)


def test_an_unused_plugin_costs_nothing(runs: Runs) -> None:
    """Neither aiohttp nor the SDK is imported, and no server starts."""
    runs.run("""
import sys

def test_it():
    assert "agentbay_local.testing.pytest_plugin" in sys.modules
    ours = {"agentbay", "agentbay_async", "aiohttp"}
    assert not ours & set(sys.modules)
    assert not any(name.startswith("agentbay_local.service") for name in sys.modules)
""").passed(1)


CASSETTE = """\
{"cassette": 1, "service": "example.com", "recorded": "2026-01-01T00:00:00Z"}
{"exchange": 1, "request": {"form": {"Action": "ListContexts", "MaxResults": "10"}}, \
"response": {"status": 200, "body": {"json": {"Success": true, "Data": [{"Id": "c-1"}]}}}}
"""


@pytest.mark.slow
def test_a_marked_test_has_a_service_that_replays_a_cassette(runs: Runs, tmp_path: Path) -> None:
    """Each from its beginning; other tests have the usual service."""
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "contexts.jsonl").write_text(CASSETTE)
    runs.run("""
from agentbay import NotRecordedError

@pytest.mark.agentbay_cassette("recorded/contexts.jsonl")
@pytest.mark.parametrize("_", range(2))
def test_replay(agentbay_service, agentbay_blocking_client, _):
    assert [one.id for one in agentbay_blocking_client.context.list().contexts] == ["c-1"]
    error = agentbay_blocking_client.list().error
    assert isinstance(error, NotRecordedError)
    assert "ListSession" in error.message

@pytest.mark.agentbay_cassette("recorded/contexts.jsonl")
async def test_replay_with_a_clock(agentbay_clock, agentbay_service, agentbay_client):
    assert agentbay_service.clock is agentbay_clock
    assert (await agentbay_client.context.list()).success

def test_usual(agentbay_blocking_client):
    assert agentbay_blocking_client.context.list().contexts == []
""").passed(4)
