"""Kills of the service with SIGKILL during creates, syncs and uploads, repeated on one home.

After each restart: every file of a context is whole, every upload that was acknowledged is there,
no session lives on, and of no sandbox a process or a mount is left. ``CHAOS_KILLS`` says how often
in all, ``CHAOS_SEED`` which series; a failure names the round.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.conftest import Api

KILLS = int(os.environ.get("CHAOS_KILLS", "100"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
SERIES = 4
LIMIT = 30.0
KEY = "the-key"

# Importing the service takes longer than starting it, so that a process that has it imported
# forks the services; each of them is still a separate process.
SPRINGBOARD = """
import asyncio, os, sys
import agentbay_local.service, agentbay_local.actions
from agentbay_local import LocalService

async def serve(home):
    async with LocalService(home=home, api_key="the-key") as service:
        os.write(1, f"{os.getpid()} {service.endpoint}\\n".encode())
        await asyncio.Event().wait()

for line in sys.stdin:
    if os.fork() == 0:
        asyncio.run(serve(line.strip()))
    os.wait()
"""


@attrs.define
class Upload:
    """The contents written to one path, in order; all before the last certain one are replaced."""

    attempts: list[bytes] = attrs.field(factory=list)
    sure: bool = False

    def begin(self, content: bytes) -> None:
        """Record a content that may be present from now on."""
        self.attempts.append(content)

    def acknowledge(self, content: bytes) -> None:
        """Record that this content is present, or a later one."""
        del self.attempts[: self.attempts.index(content)]
        self.sure = True


@attrs.define
class Chaos:
    """Uses a service until it is killed, and checks its successor."""

    chance: random.Random
    marker: str
    uploads: dict[tuple[str, str], Upload] = attrs.field(factory=dict)
    sessions: list[str] = attrs.field(factory=list)
    counts: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(KINDS, 0))

    async def work(self, api: Api, contexts: list[str]) -> None:
        """Run everything concurrently until the service is gone."""
        jobs = (
            [self.create(api) for _ in range(2)]
            + [self.put(api, context, f"f{n}") for context in contexts for n in range(2)]
            + [self.sync(api, contexts[0], f"s{n}") for n in range(2)]
        )
        await asyncio.gather(*jobs)

    async def create(self, api: Api) -> None:
        """Create sessions with a process that would stay."""
        while True:
            session = await self.session(api)
            await api.sh(session, f"sh -c 'sleep 1000; : {self.marker}' >/dev/null 2>&1 & true")
            # Otherwise the search for leftovers would find nothing in any case.
            assert self.counts["creates"] or left_behind(self.marker)
            self.counts["creates"] += 1

    async def session(self, api: Api, **fields: object) -> str:
        """Create a session and record it."""
        session = await api.session(**fields)
        self.sessions.append(session)
        return session

    async def put(self, api: Api, context: str, path: str) -> None:
        """Upload one file after another to the same path."""
        while True:
            content = self.chance.randbytes(self.chance.choice((0, 10, 5_000, 300_000)))
            upload = self.uploads.setdefault((context, path), Upload())
            upload.begin(content)
            await api.put(context, path, content)
            upload.acknowledge(content)
            self.counts["uploads"] += 1

    async def sync(self, api: Api, context: str, path: str) -> None:
        """Write a file in a session and upload it, again and again."""
        item = {"ContextId": context, "Path": "/mnt/data"}
        session = await self.session(api, PersistenceDataList=[item])
        await api.settled(session)
        while True:
            word = str(self.chance.randrange(10**9))
            content = f"{word}\n".encode() * 2000
            upload = self.uploads.setdefault((context, path), Upload())
            upload.begin(content)
            command = f"yes {word} | head -n 2000 > /mnt/data/.{path}"
            await api.sh(session, f"{command}; mv /mnt/data/.{path} /mnt/data/{path}")
            await api.ok("SyncContext", SessionId=session, Path=f"/mnt/data/{path}")
            tasks = await api.settled(session, TaskType="upload")
            assert tasks[-1]["status"] == "Success", tasks[-1]
            upload.acknowledge(content)
            self.counts["syncs"] += 1

    async def reach_a_moment(self, work: asyncio.Task[None], kind: str) -> None:
        """Wait for some operations of one kind, and a little longer."""
        goal = self.counts[kind] + 1 + self.chance.randrange(3)
        end = time.monotonic() + LIMIT
        while self.counts[kind] < goal and not work.done():
            assert time.monotonic() < end, f"no {kind}"
            await asyncio.sleep(0.001)
        await asyncio.wait([work], timeout=self.chance.uniform(0, 0.05))

    async def check(self, api: Api) -> None:
        """Fail if an acknowledged change is missing, or if a file is torn or a process left."""
        for (context, path), upload in self.uploads.items():
            there = path in await api.names(context)
            assert there or not upload.sure, f"{path} is missing"
            if there:
                content = await api.fetch(context, path)
                assert content in upload.attempts, f"{path} is torn, or older than acknowledged"
                upload.acknowledge(content)
        for session in self.sessions:
            assert await api.status(session) == "FINISH"
        assert (await api.ok("ListSession"))["TotalCount"] == 0
        self.sessions.clear()


KINDS = ("creates", "uploads", "syncs")


def left_behind(*words: str) -> list[str]:
    """Return the processes and mounts of this machine that contain one of the words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (
                (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            )
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [line for word in words if word in line and int(process.name) != os.getpid()]
    mounts = Path("/proc/self/mountinfo").read_text()
    return found + [line for line in mounts.splitlines() if any(word in line for word in words)]


class Springboard:
    """Starts services on one home, each in a process that can be killed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process = subprocess.Popen(
            [sys.executable, "-c", SPRINGBOARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def start(self) -> tuple[int, str]:
        """Start a service; return its process id and its endpoint."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._home}\n".encode())
        pid, endpoint = self._process.stdout.readline().split()
        return int(pid), endpoint.decode()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@attrs.frozen
class Elsewhere:
    """A service in another process, as far as `Api` needs one."""

    endpoint: str
    api_key: str = KEY


@pytest.fixture
def springboard(tmp_path: Path) -> Iterator[Springboard]:
    """Return a starter of services on a home of this test."""
    springboard = Springboard(tmp_path)
    yield springboard
    springboard.close()


async def gone(*words: str) -> None:
    """Wait until no process or mount with one of these words is left."""
    end = time.monotonic() + LIMIT
    while found := left_behind(*words):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED, SEED + SERIES))
async def test_nothing_is_lost_and_nothing_left_when_the_service_is_killed(
    api: Api, springboard: Springboard, tmp_path: Path, sandboxed: None, seed: int
) -> None:
    """At any moment."""
    chaos = Chaos(random.Random(seed), f"stays-{os.getpid()}-{seed}")
    stale: set[str] = set()
    for number in range(KILLS // SERIES + 1):
        pid, endpoint = await asyncio.to_thread(springboard.start)
        try:
            async with aiohttp.ClientSession() as http:
                own = type(api)(http, Elsewhere(endpoint))
                await asyncio.wait_for(chaos.check(own), LIMIT)
                assert os.listdir(tmp_path / "sessions") == []
                assert not stale & set(os.listdir(tmp_path / "running"))
                contexts = [await own.context(name) for name in ("one", "two")]
                work = asyncio.create_task(chaos.work(own, contexts))
                await chaos.reach_a_moment(work, KINDS[number % len(KINDS)])
                assert not work.done(), work
                os.kill(pid, signal.SIGKILL)
                with pytest.raises((aiohttp.ClientError, OSError)):
                    await asyncio.wait_for(work, LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        stale = set(os.listdir(tmp_path / "running"))
        await gone(str(tmp_path / "sessions"), chaos.marker)
