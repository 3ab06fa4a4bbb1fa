"""Run `map_sessions` on a cluster of two worker processes, as a child process of a test.

Arguments: the engine and the scenario. The test reads the lines on stdout.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay import AgentBay, CommandError
from agentbay_async import AsyncAgentBay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay import Session
    from agentbay_async import AsyncSession


@contextmanager
def ray_cluster() -> Iterator[None]:
    """Start a Ray cluster with two CPUs, and stop it."""
    import ray

    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as directory:
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=80 * 2**20,
            _temp_dir=directory,
        )
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def dask_cluster() -> Iterator[None]:
    """Start two Dask worker processes, each with a nanny, and stop them."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"dashboard_address": None, "memory_limit": 0}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **options) as cluster,
        Client(cluster),
    ):
        yield


def is_first_call() -> bool:
    """Return whether this is the first call in any process."""
    try:
        os.close(os.open(Path(os.environ["MARKS"]) / "first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def open_pipe() -> int:
    """Open the pipe to which workers write a byte for each item that they start."""
    return os.open(Path(os.environ["MARKS"]) / "started", os.O_RDWR)


def signal_start() -> None:
    """Signal that an item is being processed."""
    descriptor = open_pipe()
    os.write(descriptor, b".")
    os.close(descriptor)


def wait_for_starts(descriptor: int, count: int) -> None:
    """Wait until `count` items are being processed."""
    while count:
        count -= len(os.read(descriptor, count))


async def use_session(session: AsyncSession, item: int) -> tuple[int, str, int]:
    """Run a command in the session."""
    ran = await session.command.run(f"echo {item}")
    return os.getpid(), session.session_id, int(ran.stdout)


def use_blocking_session(session: Session, item: int) -> tuple[int, str, int]:
    """Run a command in a blocking session; one item fails."""
    if item == 3:
        raise CommandError("failed", request_id="REQ-3")
    return os.getpid(), session.session_id, int(session.command.run(f"echo {item}").stdout)


async def kill_worker_once(session: AsyncSession, item: int) -> tuple[int, str, int]:
    """Kill the worker once, in the middle, while it has sessions."""
    if item == 5 and is_first_call():
        os.kill(os.getpid(), signal.SIGKILL)
    return await use_session(session, item)


async def wait_forever(_session: AsyncSession, _item: int) -> None:
    """Signal the start, and never return."""
    signal_start()
    await asyncio.Event().wait()


def block(session: Session, _item: int) -> None:
    """Signal the start, and return after longer than any test."""
    signal_start()
    session.command.run("sleep 50", timeout_ms=55_000)


def report(outcomes: list[Any]) -> None:
    """Print the outcomes for the test."""
    done = sorted((one.index, one.value[2]) for one in outcomes if one.success)
    processes = {one.value[0] for one in outcomes if one.success}
    print("done", len(done), all(index == value for index, value in done), len(processes))
    print("here", os.getpid() in processes)
    print("again", sum(one.attempts > 1 for one in outcomes) > 0)
    print("failed", *(f"{type(o.error).__name__} {o.request_id}" for o in outcomes if o.error))


async def run(engine: Any) -> None:
    """Map over items with the async package."""
    async with AsyncAgentBay() as bay:
        walk = bay.map_sessions(use_session, range(12), max_concurrency=4, rate=200, engine=engine)
        report([one async for one in walk])


async def kill(engine: Any) -> None:
    """Map over items while a worker is killed."""
    async with AsyncAgentBay() as bay:
        walk = bay.map_sessions(kill_worker_once, range(16), max_concurrency=8, engine=engine)
        report([one async for one in walk])
        print("living", (await bay.list()).total_count)


async def cancel(engine: Any) -> None:
    """Start a map that never ends, and cancel it."""
    pipe = open_pipe()

    async def run_map() -> None:
        async for _ in bay.map_sessions(wait_forever, range(8), max_concurrency=4, engine=engine):
            pass

    async with AsyncAgentBay() as bay:
        running = asyncio.create_task(run_map())
        await asyncio.to_thread(wait_for_starts, pipe, 4)
        running.cancel()
        await asyncio.wait([running])
        print("cancelled", running.cancelled(), "living", (await bay.list()).total_count)


def run_blocking(engine: Any) -> None:
    """Map over items with the blocking package."""
    with AgentBay() as bay:
        report(
            list(bay.map_sessions(use_blocking_session, range(6), max_concurrency=4, engine=engine))
        )


def cancel_blocking(engine: Any) -> None:
    """Start a map that takes too long, and interrupt it."""
    pipe = open_pipe()

    def interrupt() -> None:
        wait_for_starts(pipe, 2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with AgentBay() as bay:
        threading.Thread(target=interrupt).start()
        try:
            list(bay.map_sessions(block, range(2), max_concurrency=2, engine=engine))
        except KeyboardInterrupt:
            print("interrupted", "living", bay.list().total_count)


def start_again(_engine: Any) -> None:
    """Run a chunk that was started before, as a restarted worker does."""
    from agentbay_async import WorkerLostError
    from agentbay_async._bulk.distributed import dask
    from agentbay_async._bulk.distributed.engine import ChunkTask
    from distributed import Client

    task = ChunkTask("run.1", b"", (), 1)
    dask._started_event(task, Client.current()).set()
    try:
        Client.current().submit(dask._run_task, task).result()
    except WorkerLostError as error:
        print(error)


def main() -> None:
    """Run the scenario that the arguments name."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    engine, scenario = sys.argv[1:]
    os.mkfifo(Path(os.environ["MARKS"]) / "started")
    with ray_cluster() if engine == "ray" else dask_cluster():
        result = globals()[scenario](engine)
        if asyncio.iscoroutine(result):
            asyncio.run(result)


if __name__ == "__main__":
    main()
