"""Ctrl-C twice: each session is held, deleted, or named in one warning.

The first interrupt cancels, the second shortens the grace, and the third ends the program.

The interrupts are sent by the child process itself, when a create or a delete that it counts ends.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from .conftest import take_session_ids

if TYPE_CHECKING:
    from agentbay_local import LocalService


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

_PRELUDE = """
    import asyncio, os, signal, sys
    from agentbay_async._lifecycle import shielding
    # Generous, so that a busy machine does not miss it.
    shielding.SHUTDOWN_GRACE, shielding._WORK_SHARE = 60, 0.1
    from agentbay import AgentBay
    from agentbay_async import AsyncAgentBay, Config, CreateSessionParams
    from agentbay_async._transport.http import AiohttpTransport

    signal.signal(signal.SIGINT, signal.default_int_handler)
    key, endpoint, interrupts, rest = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    config = Config(endpoint=endpoint, ledger=None)
    params, broken = CreateSessionParams(), CreateSessionParams(image_id="none-such")
    created = deleting = 0

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    send = AiohttpTransport.send

    async def send_and_interrupt(transport, request):
        global created, deleting
        action = {**request.query, **request.form}.get("Action")
        response = await send(transport, request)
        if action == "DeleteSessionAsync":
            deleting += 1
            if deleting < interrupts:
                # From the loop, as it comes while the loop waits.
                asyncio.get_running_loop().call_soon(interrupt)
        if action == "CreateMcpSession":
            created += 1
            if created == rest:
                interrupt()
        return response

    AiohttpTransport.send = send_and_interrupt
"""

_ASYNC = """
    async def name(session, item):
        return session.session_id

    async def one(bay):
        print((await bay.create()).session.session_id, flush=True)

    async def main():
        {body}

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
"""
_BLOCKING = """
    def name(session, item):
        return session.session_id

    def interrupt_calls(number, frame):
        # The last one may come when the call has already ended: then nothing is left to interrupt.
        if frame.f_code.co_name != "<module>":
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt_calls)
    try:
        bay = AgentBay(key, config)
        {body}
    except KeyboardInterrupt:
        print("interrupted")
"""
_IN_CLIENT = """async with AsyncAgentBay(key, config) as bay:
            """
_WITHOUT_CLOSE = """bay = AsyncAgentBay(key, config)
        """
_GATHER = "await bay.create_many(params, 60, max_concurrency=10)"
_ITERATE = "async for one in bay.create_many(params, 60, max_concurrency=10): pass"
_MAP = "async for one in bay.map_sessions(name, range(60), max_concurrency=10): pass"
_ROLL_BACK = (
    "await bay.create_many([*[params] * 30, broken], max_concurrency=10,"
    " on_outcome='all_or_nothing')"
)
_BLOCKING_GATHER = "bay.create_many(params, 60, max_concurrency=10).run()"
_BLOCKING_MAP = "for one in bay.map_sessions(name, range(60), max_concurrency=10): pass"
_PROGRAMS = {
    "gather": _ASYNC.format(body=_IN_CLIENT + _GATHER),
    "gather without close": _ASYNC.format(body=_WITHOUT_CLOSE + _GATHER),
    "map": _ASYNC.format(body=_IN_CLIENT + _MAP),
    "map without close": _ASYNC.format(body=_WITHOUT_CLOSE + _MAP),
    "roll-back": _ASYNC.format(body=_WITHOUT_CLOSE + _ROLL_BACK),
    "blocking gather": _BLOCKING.format(body=_BLOCKING_GATHER),
    "blocking map": _BLOCKING.format(body=_BLOCKING_MAP),
}


# Each waits for seconds until the grace of its work is over, as a program does. These end in ways
# that the others show too.
_SLOW = {"gather without close", "map", "map without close", "blocking map"}


@pytest.mark.slow
@pytest.mark.parametrize("interrupts", [1, 2, 3])
@pytest.mark.parametrize(
    "program",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in _SLOW)) for name in _PROGRAMS],
)
def test_what_is_left_is_named_once(service: LocalService, program: str, interrupts: int) -> None:
    """Two interrupts leave nothing; after the third, sessions are named by id or by label."""
    script = textwrap.dedent(_PRELUDE) + textwrap.dedent(_PROGRAMS[program])
    # A roll-back begins by itself, and its first delete brings the first interrupt.
    first = "0" if program == "roll-back" else "20"
    interrupts += program == "roll-back"
    done = subprocess.run(
        [sys.executable, "-c", script, service.api_key, service.endpoint, str(interrupts), first],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    left = take_session_ids(service)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    assert done.stderr.count("may still exist and cost money") <= 1
    cut_off = re.search(r"of (\d+) creates that were cut off \(label agentbay-run=", done.stderr)
    unnamed = [one for one in left if one not in done.stderr]
    assert len(unnamed) <= (int(cut_off[1]) if cut_off else 0)
    assert not left or "`agentbay reap`" in done.stderr
    # Before Python 3.11, asyncio ends at the first Ctrl-C as it does at the second since.
    last = 3 if "blocking" in program or sys.version_info >= (3, 11) else 2
    if interrupts - (program == "roll-back") < last:
        assert left == set(), done.stderr
