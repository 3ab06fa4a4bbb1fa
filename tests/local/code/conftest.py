"""Kernels in sandboxes of each level."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentbay_local.code import Kernels, python_kernel, read_only_mounts, session_python
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.landlock import LandlockBackend
from agentbay_local.sandbox.plain import PlainBackend
from agentbay_local.sandbox.probe import probe
from agentbay_local.sandbox.values import SandboxSpec

from .code_runner import IS_FORKED, CodeRunner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def _make_runner(backend: Backend, root: Path) -> AsyncIterator[CodeRunner]:
    async with started(backend, spec_of(root)) as coder:
        yield coder
    await backend.close()


def spec_of(root: Path, **changes: Any) -> SandboxSpec:
    """Describe a session as the service does."""
    spec = SandboxSpec(
        root,
        private_uid(str(root)),
        read_only=read_only_mounts(),
        python=session_python(),
        preload=python_kernel(),
    )
    return attrs.evolve(spec, **changes)


@asynccontextmanager
async def started(backend: Backend, spec: SandboxSpec) -> AsyncIterator[CodeRunner]:
    """Start a session, and give its kernels."""
    async with await backend.start(spec) as sandbox:

        async def get(_: str) -> Sandbox:
            return sandbox

        kernels = Kernels(get)
        yield CodeRunner(kernels, sandbox)
        await kernels.close_all()


async def loaded() -> None:
    """Wait until no server loads a program."""
    await asyncio.gather(*(t for t in asyncio.all_tasks() if t.get_name() == "load a program"))


async def load_kernel(backend: Backend, directory: Path) -> None:
    """Let the backend load the kernel of Python, so that later sessions fork it."""
    for name in ("first", "second"):
        async with started(backend, spec_of(directory / name)) as coder:
            assert not await is_forked(coder)
            await loaded()


async def is_forked(coder: CodeRunner) -> bool:
    """Return whether the kernel of a session is forked."""
    return await coder.value(IS_FORKED) == "True"


@pytest.fixture(scope="session")
def isolating() -> None:
    """Skip where sessions cannot be isolated, with the reason."""
    capability = asyncio.run(probe(Isolation.NAMESPACES))
    if not capability.available:
        pytest.skip(capability.reason)


@pytest.fixture(params=["started", pytest.param("forked", marks=pytest.mark.slow)])
async def coder(
    isolating: None, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[CodeRunner]:
    """Give kernels in an isolated sandbox; those of Python are forked in the slow tests."""
    backend = BubblewrapBackend()
    if request.param == "forked":
        await load_kernel(backend, tmp_path)
    async for one in _make_runner(backend, tmp_path / "root"):
        yield one


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[CodeRunner]:
    """Give kernels in a sandbox without isolation."""
    async for one in _make_runner(PlainBackend(), tmp_path / "root"):
        yield one


@pytest.fixture
async def confined(tmp_path: Path) -> AsyncIterator[CodeRunner]:
    """Give kernels in a sandbox of the level landlock."""
    capability = await probe(Isolation.LANDLOCK)
    if not capability.available:
        pytest.skip(capability.reason)
    async for one in _make_runner(LandlockBackend(), tmp_path / "root"):
        yield one
