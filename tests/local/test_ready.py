"""Sandboxes that are started before a session needs them."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.waiting import until

from agentbay_local import Image, LocalService
from agentbay_local.sandbox.base import Limits

from .conftest import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentbay_local.sessions.ready import ReadySandboxes

pytestmark = pytest.mark.usefixtures("sandboxed")


@asynccontextmanager
async def serving(**options: object) -> AsyncIterator[tuple[Api, ReadySandboxes]]:
    """Run a service that keeps a sandbox ready."""
    arguments: dict[str, object] = {"ready": 1, **options}
    async with (
        LocalService(**arguments) as service,  # type: ignore[arg-type]  # options of any type
        aiohttp.ClientSession() as http,
    ):
        assert service._server is not None
        ready = service._server.state.ready
        assert ready is not None
        await until(lambda: len(ready.ids) >= 1)
        yield Api(http, service), ready


async def test_a_session_gets_the_sandbox_that_is_ready() -> None:
    """It runs commands in it, and the next one gets the next."""
    async with serving() as (api, ready):
        for _ in range(2):
            (one,) = ready.ids
            session = await api.session()
            assert session == one
            assert await api.sh(session, "pwd") == "/home/wuying\n"
            await until(lambda: len(ready.ids) == 1)


async def test_no_two_sessions_share_a_sandbox() -> None:
    """Also if they are created at once."""
    async with serving(ready=2) as (api, ready):
        await until(lambda: len(ready.ids) == 2)
        sessions = await asyncio.gather(*(api.session() for _ in range(4)))
        assert len(set(sessions)) == 4
        marks = await asyncio.gather(*(api.sh(one, "echo x >> m; cat m") for one in sessions))
        assert marks == ["x\n"] * 4


async def test_a_ready_sandbox_is_no_session() -> None:
    """It is in no list, counts for no quota, and cannot be used by its id."""
    async with serving() as (api, ready):
        (one,) = ready.ids
        assert (await api.ok("ListSession"))["Data"] == []
        assert await api.code("GetSession", SessionId=one) == "InvalidMcpSession.NotFound"
        api.service.quotas.sessions = 0
        assert (await api.code("CreateMcpSession")).startswith("QuotaExceeded")
        assert ready.ids == {one}


async def test_an_image_that_needs_other_limits_gets_a_sandbox_of_its_own() -> None:
    """What is ready is made for the default image."""
    wide = Image("wide", limits=Limits(open_files=5000))
    async with serving(images=[wide]) as (api, ready):
        (one,) = ready.ids
        session = await api.session(ImageId="wide")
        assert session != one
        assert await api.sh(session, "ulimit -n") == "5000\n"
        assert ready.ids == {one}


async def test_services_of_an_image_start_with_each_of_its_sessions() -> None:
    """Before the first command, and not in what is ready for other images."""
    wait = "until [ -s .service-1.log ]; do sleep 0.1; done; cat .service-1.log"
    with_services = Image("served", services=["echo up; exec sleep 4321", "exit 3"])
    async with serving(images=[with_services]) as (api, ready):
        (one,) = ready.ids
        session = await api.session(ImageId="served")
        assert session != one
        assert await api.sh(session, wait) == "up\n"
        assert await api.sh(session, "pgrep -fc '^sleep 432[1]$'") == "1\n"
        assert await api.sh(session, "cat .service-2.log") == ""
        assert await api.sh(await api.session(), "ls .service-* 2>/dev/null | wc -l") == "0\n"


async def test_a_ready_sandbox_has_a_python_kernel_that_the_session_gets() -> None:
    """Its first code does not wait until IPython is loaded."""
    kernels = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c kernels/python_kernel[.]py"
    async with serving() as (api, ready):
        await until(lambda: ready.with_kernels == ready.ids)
        session = await api.session()
        assert await api.sh(session, kernels) == "1\n"
        is_error, text = await api.tool(session, "run_code", language="python", code="print(6 * 7)")
        assert not is_error
        assert "42" in text
        assert await api.sh(session, kernels) == "1\n"
        await until(lambda: len(ready.with_kernels) == 1)


async def test_a_session_with_contexts_gets_a_sandbox_of_its_own() -> None:
    """Their files come first, and its programs after them."""
    async with serving() as (api, ready):
        (one,) = ready.ids
        session = await api.mounted(await api.context())
        assert session != one
        assert await api.sh(session, "echo x > /mnt/data/f; cat /mnt/data/f") == "x\n"


async def test_one_that_has_ended_is_replaced() -> None:
    """A session never waits for what is gone."""
    async with serving() as (api, ready):
        (one,) = ready.ids
        assert api.service._server is not None
        sandbox = api.service._server.state.sandboxes.alive(one)
        assert sandbox is not None
        await sandbox.close()
        session = await api.session()
        assert session != one
        assert await api.sh(session, "echo x") == "x\n"
        await until(lambda: len(ready.ids - {one}) == 1)


async def test_a_reset_removes_what_was_ready_and_starts_anew() -> None:
    """The next test finds the service as it was."""
    async with serving() as (api, ready):
        before = ready.ids
        await api.service.areset()
        await until(lambda: len(ready.ids - before) == 1)
        assert not ready.ids & before


async def test_nothing_is_left_when_the_service_stops(tmp_path: Path) -> None:
    """Neither a directory nor a process, of one that is starting too."""
    async with serving(home=tmp_path, ready=2) as (_, ready):
        assert len(os.listdir(tmp_path / "sessions")) in (1, 2)
    assert os.listdir(tmp_path / "sessions") == []
    assert not ready.ids


@pytest.mark.parametrize("count", [-1, 129])
def test_a_number_that_cannot_be_kept_is_rejected(count: int) -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match="ready must be between 0 and 128"):
        LocalService(ready=count)
