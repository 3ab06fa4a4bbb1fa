"""Two worker processes of a cluster, and `map_sessions` on them; run by the tests, one way each.

Arguments: the engine and what to do. The lines on stdout are what the test reads.
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
    """Start a cluster of Ray with two processors, and stop it."""
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
    """Start two worker processes of Dask, with a nanny each, and stop them."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"dashboard_address": None, "memory_limit": 0}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **options) as cluster,
        Client(cluster),
    ):
        yield


def first() -> bool:
    """Whether this is the first call of all processes."""
    try:
        os.close(os.open(Path(os.environ["MARKS"]) / "first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def pipe() -> int:
    """Open the pipe through which workers say that they have begun."""
    return os.open(Path(os.environ["MARKS"]) / "begun", os.O_RDWR)


def say_begun() -> None:
    """Say that an item is being worked on."""
    descriptor = pipe()
    os.write(descriptor, b".")
    os.close(descriptor)


def wait_begun(descriptor: int, count: int) -> None:
    """Wait until so many items are being worked on."""
    while count:
        count -= len(os.read(descriptor, count))


async def named(session: AsyncSession, item: int) -> tuple[int, str, int]:
    """Use the session."""
    ran = await session.command.run(f"echo {item}")
    return os.getpid(), session.session_id, int(ran.stdout)


def blocking(session: Session, item: int) -> tuple[int, str, int]:
    """Use a blocking session; one item fails."""
    if item == 3:
        raise CommandError("as it is", request_id="REQ-3")
    return os.getpid(), session.session_id, int(session.command.run(f"echo {item}").stdout)


async def killed_once(session: AsyncSession, item: int) -> tuple[int, str, int]:
    """Kill the worker in the middle, once, with all the sessions that it has."""
    if item == 5 and first():
        os.kill(os.getpid(), signal.SIGKILL)
    return await named(session, item)


async def endless(_session: AsyncSession, _item: int) -> None:
    """Never return."""
    say_begun()
    await asyncio.Event().wait()


def blocked(session: Session, _item: int) -> None:
    """Hardly ever return."""
    say_begun()
    session.command.run("sleep 50", timeout_ms=55_000)


def report(outcomes: list[Any]) -> None:
    """Print what a test wants to know."""
    done = sorted((one.index, one.value[2]) for one in outcomes if one.success)
    processes = {one.value[0] for one in outcomes if one.success}
    print("done", len(done), all(index == value for index, value in done), len(processes))
    print("here", os.getpid() in processes)
    print("again", sum(one.attempts > 1 for one in outcomes) > 0)
    print("failed", *(f"{type(o.error).__name__} {o.request_id}" for o in outcomes if o.error))


async def run(engine: Any) -> None:
    """Map over items."""
    async with AsyncAgentBay() as bay:
        walk = bay.map_sessions(named, range(12), max_concurrency=4, rate=200, engine=engine)
        report([one async for one in walk])


async def kill(engine: Any) -> None:
    """Map over items while a worker is killed."""
    async with AsyncAgentBay() as bay:
        walk = bay.map_sessions(killed_once, range(16), max_concurrency=8, engine=engine)
        report([one async for one in walk])
        print("living", (await bay.list()).total_count)


async def cancel(engine: Any) -> None:
    """Begin what never ends, and cancel it."""
    begun = pipe()

    async def stay() -> None:
        async for _ in bay.map_sessions(endless, range(8), max_concurrency=4, engine=engine):
            pass

    async with AsyncAgentBay() as bay:
        staying = asyncio.create_task(stay())
        await asyncio.to_thread(wait_begun, begun, 4)
        staying.cancel()
        await asyncio.wait([staying])
        print("cancelled", staying.cancelled(), "living", (await bay.list()).total_count)


def run_blocking(engine: Any) -> None:
    """Map over items with the blocking package."""
    with AgentBay() as bay:
        report(list(bay.map_sessions(blocking, range(6), max_concurrency=4, engine=engine)))


def cancel_blocking(engine: Any) -> None:
    """Begin what hardly ever ends, and interrupt it."""
    begun = pipe()

    def interrupt() -> None:
        wait_begun(begun, 2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with AgentBay() as bay:
        threading.Thread(target=interrupt).start()
        try:
            list(bay.map_sessions(blocked, range(2), max_concurrency=2, engine=engine))
        except KeyboardInterrupt:
            print("interrupted", "living", bay.list().total_count)


def begin_again(_engine: Any) -> None:
    """Have a chunk begun a second time, as a worker does that was started again."""
    from distributed import Client

    from agentbay_async import WorkerLostError
    from agentbay_async._bulk.distributed import dask
    from agentbay_async._bulk.distributed.engine import Order

    order = Order("run.1", b"", (), 1)
    dask._begun(order, Client.current()).set()
    try:
        Client.current().submit(dask._perform, order).result()
    except WorkerLostError as error:
        print(error)


def main() -> None:
    """Do what the arguments say."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    engine, what = sys.argv[1:]
    os.mkfifo(Path(os.environ["MARKS"]) / "begun")
    with ray_cluster() if engine == "ray" else dask_cluster():
        done = globals()[what](engine)
        if asyncio.iscoroutine(done):
            asyncio.run(done)


if __name__ == "__main__":
    main()
