"""Ctrl-C twice: each session is held, deleted, or named in one warning.

The interrupts are sent by the child process itself, when a create that it counts begins or ends.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncAgentBay, Config
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

_PRELUDE = """
    import asyncio, os, signal, sys
    from agentbay import AgentBay
    from agentbay_async import AsyncAgentBay, Config, CreateSessionParams
    from agentbay_async._transport.http import AiohttpTransport

    signal.signal(signal.SIGINT, signal.default_int_handler)
    key, endpoint, interrupts, rest = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    config = Config(endpoint=endpoint, ledger=None)
    created = deleting = 0

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    send = AiohttpTransport.send

    async def send_and_interrupt(transport, request):
        global created, deleting
        action = {**request.query, **request.form}.get("Action")
        if action == "DeleteSessionAsync":
            deleting += 1
            if deleting < interrupts:
                interrupt()
        response = await send(transport, request)
        if action == "CreateMcpSession":
            created += 1
            if created == rest:
                interrupt()
        return response

    AiohttpTransport.send = send_and_interrupt
"""

_ASYNC = """
    async def main():
        async with AsyncAgentBay(key, config) as bay:
            await bay.create_many(CreateSessionParams(), 60, max_concurrency=10)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
"""
_BLOCKING = """
    try:
        bay = AgentBay(key, config)
        bay.create_many(CreateSessionParams(), 60, max_concurrency=10).run()
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """Run one local service for all tests."""
    with LocalService(home=tmp_path_factory.mktemp("home")) as service:
        yield service


def _session_ids(service: LocalService) -> set[str]:
    async def ids() -> set[str]:
        async with AsyncAgentBay(service.api_key, Config(endpoint=service.endpoint)) as bay:
            found = {session.session_id async for session in bay.list()}
            await bay.delete_many(list(found))
            return found

    return asyncio.run(ids())


@pytest.mark.parametrize("interrupts", [1, 2, 3])
@pytest.mark.parametrize("program", [_ASYNC, _BLOCKING], ids=["async", "blocking"])
def test_what_is_left_is_named_once(service: LocalService, program: str, interrupts: int) -> None:
    """Sessions by their ids; those of creates that were cut off by their label and number."""
    script = textwrap.dedent(_PRELUDE) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", script, service.api_key, service.endpoint, str(interrupts), "20"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    left = _session_ids(service)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    assert done.stderr.count("may still exist and cost money") <= 1
    cut_off = re.search(r"of (\d+) creates that were cut off \(label agentbay-run=", done.stderr)
    unnamed = [one for one in left if one not in done.stderr]
    assert len(unnamed) <= (int(cut_off[1]) if cut_off else 0)
    assert not left or "`agentbay reap`" in done.stderr
    # Before Python 3.11, asyncio ends at the first Ctrl-C as it does at the second since.
    if interrupts == 1 and (program is _BLOCKING or sys.version_info >= (3, 11)):
        assert left == set()
