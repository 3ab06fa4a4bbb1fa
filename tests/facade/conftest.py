"""Fixtures of the facade tests: child processes, and the generator."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncAgentBay, Config
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]

#: The event loops that the portal can use.
LOOPS = ["asyncio", "uvloop"]

#: Seconds after which a child process counts as hung, on a busy machine too.
_LIMIT = 120

_CHILD = """\
import asyncio, gc, os, signal, sys, threading, warnings
from agentbay import _portal
from agentbay._call import BlockingFuture, Call
from agentbay._lasting import BlockingContext, BlockingIterator
from agentbay_async.errors import BlockingCallError, BlockingCallInAsyncContext, ClosedError

if LOOP == "asyncio":
    sys.modules["uvloop"] = None


def say(*words):
    print(*words, flush=True)


async def echo(value):
    await asyncio.sleep(0)
    return value


def interrupt():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

"""


@pytest.fixture(params=LOOPS)
def child(request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """Return a function that runs code in a child process; it returns the lines of stdout."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")

    def run(code: str) -> list[str]:
        script = f"LOOP = {request.param!r}\n" + _CHILD + textwrap.dedent(code)
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore::DeprecationWarning",
                "-c",
                script,
            ],
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the generator in ``scripts/`` importable."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    yield
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("facade", "official_names")
    ]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """Run a local service for the tests of a module."""
    with LocalService(home=tmp_path_factory.mktemp("home")) as service:
        yield service


def take_session_ids(service: LocalService) -> set[str]:
    """Delete all sessions of a service, and return their ids."""

    async def ids() -> set[str]:
        async with AsyncAgentBay(service.api_key, Config(endpoint=service.endpoint)) as bay:
            found = {session.session_id async for session in bay.list()}
            await bay.delete_many(list(found))
            return found

    return asyncio.run(ids())
