"""Kernels in sandboxes of each level."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentbay_local.code import Kernels, read_only_mounts, session_python
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.landlock import LandlockBackend
from agentbay_local.sandbox.plain import PlainBackend
from agentbay_local.sandbox.probe import probe
from agentbay_local.sandbox.values import SandboxSpec

from .code_runner import CodeRunner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def _make_runner(backend: Backend, root: Path) -> AsyncIterator[CodeRunner]:
    uid, mounts = private_uid(str(root)), read_only_mounts()
    spec = SandboxSpec(root, uid, read_only=mounts, python=session_python())
    async with await backend.start(spec) as sandbox:

        async def get(session: str) -> Sandbox:
            return sandbox

        kernels = Kernels(get)
        yield CodeRunner(kernels, sandbox)
        await kernels.close_all()
    await backend.close()


@pytest.fixture(scope="session")
def isolating() -> None:
    """Skip where sessions cannot be isolated, with the reason."""
    capability = asyncio.run(probe(Isolation.NAMESPACES))
    if not capability.available:
        pytest.skip(capability.reason)


@pytest.fixture
async def coder(isolating: None, tmp_path: Path) -> AsyncIterator[CodeRunner]:
    """Give kernels in an isolated sandbox."""
    async for one in _make_runner(BubblewrapBackend(), tmp_path / "root"):
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
