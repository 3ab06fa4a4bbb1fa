"""Sandboxes for the tests: isolated ones if the machine allows it, plain ones everywhere."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import Backend, Isolation, Limits, Sandbox, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.host import programs
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.inside import confinement
from agentbay_local.sandbox.probe import Capability, backend_for, probe

from .process_table import descendants, is_fork_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    NewProcesses = Callable[[], set[int]]
    Starting = Callable[..., AbstractAsyncContextManager[Sandbox]]


# Read now: while a test runs, it sees no variable of this project.
REQUIRED = os.environ.get("AGENTBAY_TEST_ISOLATION") == "required"


def check_forked(forks: bool) -> None:
    """Fail if sandboxes were not forked; skip where a known profile lets nobody fork them."""
    profiles = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if not forks and not REQUIRED and profiles.exists() and profiles.read_text().strip() != "0":
        # A setting that is read, so that a fork that is broken here fails instead.
        pytest.skip("this machine does not let sandboxes be forked")
    assert forks


@pytest.fixture(scope="session")
def capability() -> Capability:
    """Return the probe of this machine's isolation."""
    return asyncio.run(probe(Isolation.NAMESPACES))


@pytest.fixture
def isolating(capability: Capability) -> None:
    """Skip a test that needs isolation if the machine lacks it and it is not required."""
    if not capability.available and REQUIRED:
        pytest.fail(f"{capability.reason} {capability.remedy}")
    if not capability.available:
        pytest.skip(capability.reason)


@pytest.fixture(autouse=True)
def new_processes() -> NewProcesses:
    """Return a function that lists the processes of sessions that are younger than the test.

    An embedded service of an earlier test, which lives as long as this process, has some too.
    """
    others = descendants(os.getpid())

    def list_new() -> set[int]:
        return {pid for pid in descendants(os.getpid()) - others if not is_fork_server(pid)}

    return list_new


@asynccontextmanager
async def started(backend: Backend, root: Path, limits: Limits) -> AsyncIterator[Sandbox]:
    """Start a sandbox; close it and its backend afterwards."""
    try:
        spec = SandboxSpec(root, private_uid(str(root)), limits)
        async with await backend.start(spec) as sandbox:
            yield sandbox
    finally:
        await backend.close()


@pytest.fixture
def start_isolated(isolating: None, tmp_path: Path) -> Starting:
    """Return a function that starts an isolated sandbox in a named root."""

    def start(
        name: str = "root", *, forks: bool = True, **limits: int
    ) -> AbstractAsyncContextManager[Sandbox]:
        return started(BubblewrapBackend(forks=forks), tmp_path / name, Limits(**limits))

    return start


@pytest.fixture
async def isolated(start_isolated: Starting) -> AsyncIterator[Sandbox]:
    """Return an isolated sandbox."""
    async with start_isolated() as sandbox:
        yield sandbox


@pytest.fixture(params=[*(level.value for level in Isolation), "alone"])
def way(request: pytest.FixtureRequest) -> str:
    """Return each level in turn, and "alone": bubblewrap starts each sandbox itself."""
    if request.param in (Isolation.NAMESPACES.value, "alone"):
        request.getfixturevalue("isolating")
    if request.param == Isolation.LANDLOCK.value and not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    return str(request.param)


@pytest.fixture
async def backend(way: str) -> AsyncIterator[Backend]:
    """Give a backend of each way in turn."""
    made = BubblewrapBackend(forks=False) if way == "alone" else backend_for(Isolation(way))
    yield made
    await made.close()


@pytest.fixture
async def sandbox(backend: Backend, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Return a sandbox of each level in turn."""
    async with started(backend, tmp_path / "root", Limits()) as one:
        yield one


@pytest.fixture
def python() -> str:
    """Return the path of a Python inside a session."""
    return str(programs.find_interpreter().program)
