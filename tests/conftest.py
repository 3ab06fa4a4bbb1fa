"""Fixtures of all tests: a clean environment, a clock that does not wait, and child processes."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from agentbay_local import ManualClock

pytest_plugins = ["leftovers", "skip_list"]

# A shell lets its background jobs ignore Ctrl-C. The child processes that the tests interrupt would
# inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared machine may stand still for a moment: no example has a time limit, the whole run has.
# ``FUZZ_RUNS=5000`` tries longer than the suite has time for, and something else on each run; the
# suite tries the same each time, so that it fails for those whose change it is.
settings.register_profile(
    "here",
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_RUNS", "40")),
    derandomize=not {"FUZZ_RUNS", "MODEL_RUNS"} & os.environ.keys(),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("here")

#: Seconds after which a child process has met the hazard that it is there to avoid.
_CHILD_LIMIT = 60

_numbers = itertools.count()

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def _is_setting(name: str) -> bool:
    return name.startswith("AGENTBAY_") or name.lower() in _PROXIES


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count tests with a browser or a desktop as slow: each waits for one to start."""
    for item in items:
        if {"browser_image", "desktop_image"}.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def default_hang_up() -> Iterator[None]:
    """Let SIGHUP end the children of a test, even if nohup has started it."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


@pytest.fixture(scope="session", autouse=True)
def _ledger_of_fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the user has from fixtures that live longer than one test, and their processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTBAY_IMAGES", str(tmp_path_factory.getbasetemp() / "no-images"))
        patch.setenv("AGENTBAY_LEDGER", str(tmp_path_factory.getbasetemp() / "ledger.jsonl"))
        yield


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hide the settings of the user who runs the tests: variables, proxies, the profile file."""
    for name in filter(_is_setting, list(os.environ)):
        monkeypatch.delenv(name)
    # Each test has its own ledger: one that reads it must not see the sessions of another test.
    ledger = tmp_path_factory.getbasetemp() / f"ledger-{next(_numbers)}.jsonl"
    monkeypatch.setenv("AGENTBAY_LEDGER", str(ledger))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-profile"))
    monkeypatch.setenv("AGENTBAY_IMAGES", str(tmp_path_factory.getbasetemp() / "no-images"))


class InstantClock:
    """A clock on which waiting takes no time; ``sleeps`` has the durations."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.sleeps: list[float] = []

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self.now

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move the time forward, and let other tasks run."""
        self.sleeps.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> InstantClock:
    """Give a clock on which waiting takes no time."""
    return InstantClock()


@pytest.fixture
def asleep() -> Callable[[ManualClock, int], Awaitable[None]]:
    """Return a function that waits until that many tasks sleep on a clock."""

    async def wait(clock: ManualClock, number: int) -> None:
        end = time.monotonic() + 30
        while clock.sleeping < number:
            assert time.monotonic() < end, f"{clock.sleeping} sleep, not {number}"
            await asyncio.sleep(0.001)

    return wait


@pytest.fixture
def run_child() -> Callable[..., str]:
    """Run code in a child process; return its output, and fail if it fails or writes to stderr."""

    def run(code: str, *options: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, *options, "-c", textwrap.dedent(code)],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=_CHILD_LIMIT,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    return run
