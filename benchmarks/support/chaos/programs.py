"""Programs that child processes run: they create sessions, leave early, and are interrupted.

Each line of stdout says what happened: ``held ID...`` for sessions that the program was given and
keeps, ``ended HOW``. A program that is interrupted holds the session that it was given last.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from agentbay import AgentBay
from agentbay_async import AgentBayError, AsyncAgentBay, Config
from agentbay_local import cli
from support.chaos.scenario import PARAMS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: How a program leaves a loop early.
LEAVES = ("break", "exception", "SystemExit", "Ctrl-C")


@attrs.frozen
class Job:
    """What a program does.

    Attributes:
        endpoint: The service.
        api_key: Its key.
        shape: The name of a method of the programs below.
        blocking: Whether to use `agentbay` instead of `agentbay_async`.
        count: How many sessions.
        concurrency: How many at once.
        leave: How to leave the loop, or ``""``.
        after: The number of outcomes after which to leave it.
        seconds: When to close the client, or to give up the loop.
        close: Whether to close the client at all.
    """

    endpoint: str
    api_key: str = attrs.field(repr=False)
    shape: str = "awaited"
    blocking: bool = False
    count: int = 60
    concurrency: int = 10
    leave: str = ""
    after: int = 0
    seconds: float = 0.0
    close: bool = True


class LeftError(Exception):
    """The exception of the body of a loop."""


def say(*words: str) -> None:
    """Write one line. Unbuffered, so that a process that is killed has written it."""
    os.write(1, f"{' '.join(words)}\n".encode())


def _hold(*session_ids: str) -> None:
    if session_ids:
        say("held", *session_ids)


def _leaves(job: Job, number: int) -> bool:
    """Leave the body of a loop in the way of the job; return whether to break."""
    if number != job.after or not job.leave:
        return False
    if job.leave == "exception":
        raise LeftError
    if job.leave == "SystemExit":
        sys.exit(0)
    if job.leave == "Ctrl-C":
        os.kill(os.getpid(), signal.SIGINT)
    return job.leave == "break"


class AsyncProgram:
    """What a program does with `agentbay_async`."""

    def __init__(self, bay: AsyncAgentBay, job: Job) -> None:
        self._bay = bay
        self._job = job
        self._run = partial(bay.create_many, PARAMS, job.count, max_concurrency=job.concurrency)

    async def awaited(self) -> None:
        """Await a run, and keep its sessions."""
        result = await self._run()
        _hold(*(session.session_id for session in result.sessions), *result.left_over)

    async def roll_back(self) -> None:
        """Await a run that is rolled back if a create fails."""
        result = await self._run(on_outcome="all_or_nothing")
        _hold(*(session.session_id for session in result.sessions), *result.left_over)

    async def iterated(self) -> None:
        """Iterate a run, and keep each session."""
        await self._read(self._run())

    async def block(self) -> None:
        """Use the sessions for a block; they are deleted at its end."""
        async with self._run() as sessions:
            await self._read(sessions, keep=False)

    async def _read(self, outcomes: Any, *, keep: bool = True) -> None:
        outcome = None
        try:
            number = 0
            async for outcome in outcomes:
                if keep and outcome.success:
                    _hold(outcome.session.session_id)
                if _leaves(self._job, number):
                    break
                number += 1
        finally:
            if keep and outcome is not None and outcome.success:
                _hold(outcome.session.session_id)

    async def mapped(self) -> None:
        """Map a function; all sessions are deleted."""

        async def use(session: Any, item: int) -> str:
            return f"{session.session_id} {item}"

        items = range(self._job.count)
        limit = self._job.concurrency
        outcomes = self._bay.map_sessions(use, items, PARAMS, max_concurrency=limit)
        await self._read(outcomes, keep=False)

    async def creates(self) -> None:
        """Create one session in each task, and close the client meanwhile."""
        tasks = [asyncio.create_task(self._create()) for _ in range(self._job.count)]
        await asyncio.sleep(self._job.seconds)
        await self._bay.aclose()
        await asyncio.gather(*tasks)

    async def _create(self) -> None:
        try:
            result = await self._bay.create(PARAMS)
        except AgentBayError:
            return
        if result.success:
            _hold(result.session.session_id)

    async def abandoned(self) -> None:
        """Close the client while tasks iterate and await runs."""
        tasks = [asyncio.create_task(work()) for work in (self.iterated, self.awaited, self.mapped)]
        await asyncio.sleep(self._job.seconds)
        await self._bay.aclose()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if error is not None and not isinstance(error, AgentBayError):
                raise error


class BlockingProgram:
    """What a program does with `agentbay`."""

    def __init__(self, bay: AgentBay, job: Job) -> None:
        self._bay = bay
        self._job = job
        self._run = partial(bay.create_many, PARAMS, job.count, max_concurrency=job.concurrency)

    def awaited(self) -> None:
        """Wait for a run, and keep its sessions."""
        result = self._run().run()
        _hold(*(session.session_id for session in result.sessions), *result.left_over)

    def roll_back(self) -> None:
        """Wait for a run that is rolled back if a create fails."""
        result = self._run(on_outcome="all_or_nothing").run()
        _hold(*(session.session_id for session in result.sessions), *result.left_over)

    def iterated(self) -> None:
        """Iterate a run, and keep each session."""
        self._read(self._run())

    def block(self) -> None:
        """Use the sessions for a block; they are deleted at its end."""
        with self._run() as sessions:
            self._read(sessions, keep=False)

    def _read(self, outcomes: Any, *, keep: bool = True) -> None:
        outcome = None
        try:
            for number, outcome in enumerate(outcomes):
                if keep and outcome.success:
                    _hold(outcome.session.session_id)
                if _leaves(self._job, number):
                    break
        finally:
            if keep and outcome is not None and outcome.success:
                _hold(outcome.session.session_id)

    def mapped(self) -> None:
        """Map a function; all sessions are deleted."""

        def use(session: Any, item: int) -> str:
            return f"{session.session_id} {item}"

        items = range(self._job.count)
        limit = self._job.concurrency
        outcomes = self._bay.map_sessions(use, items, PARAMS, max_concurrency=limit)
        self._read(outcomes, keep=False)

    def creates(self) -> None:
        """Create sessions in threads, and close the client meanwhile."""
        with ThreadPoolExecutor(self._job.count) as threads:
            creates = [threads.submit(self._create) for _ in range(self._job.count)]
            time.sleep(self._job.seconds)  # the time that a caller's work takes
            self._bay.close()
        for create in creates:
            create.result()

    def _create(self) -> None:
        try:
            result = self._bay.create(PARAMS)
        except AgentBayError:
            return
        if result.success:
            _hold(result.session.session_id)

    def abandoned(self) -> None:
        """Close the client while threads iterate and await runs."""
        with ThreadPoolExecutor(3) as threads:
            runs = [threads.submit(work) for work in (self.iterated, self.awaited, self.mapped)]
            time.sleep(self._job.seconds)  # the time that a caller's work takes
            self._bay.close()
        for run in runs:
            error = run.exception()
            if error is not None and not isinstance(error, AgentBayError):
                raise error


async def _run_async(job: Job) -> None:
    async with AsyncExitStack() as stack:
        bay = AsyncAgentBay(job.api_key, Config(endpoint=job.endpoint))
        if job.close:
            await stack.enter_async_context(bay)
        work: Callable[[], Awaitable[None]] = getattr(AsyncProgram(bay, job), job.shape)
        await (asyncio.wait_for(work(), job.seconds) if job.leave == "wait_for" else work())


def _run_blocking(job: Job) -> None:
    with ExitStack() as stack:
        bay = AgentBay(job.api_key, Config(endpoint=job.endpoint))
        if job.close:
            stack.enter_context(bay)
        getattr(BlockingProgram(bay, job), job.shape)()


def create_sessions(**fields: Any) -> None:
    """Do a job; say how it ended. Errors that are not the library's end the process."""
    job = Job(**fields)
    say("began")
    try:
        if job.blocking:
            _run_blocking(job)
        else:
            asyncio.run(_run_async(job))
    except AgentBayError as error:
        say("ended", type(error).__name__)
    except (KeyboardInterrupt, LeftError, asyncio.TimeoutError) as error:
        say("ended", type(error).__name__)
    else:
        say("ended", "whole")


def serve(arguments: list[str]) -> None:
    """Run the local service as its command line does."""
    sys.exit(cli.main(["local", *arguments]))


#: The programs, by name.
PROGRAMS: dict[str, Callable[..., None]] = {"create_sessions": create_sessions, "serve": serve}
