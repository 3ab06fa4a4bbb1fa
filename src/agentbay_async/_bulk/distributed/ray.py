"""Ray: each of its processors is a place."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from agentbay_async._bulk.distributed.engine import STOPPING
from agentbay_async._bulk.distributed.worker import perform
from agentbay_async.errors import ConfigurationError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from agentbay_async._bulk.distributed.engine import Order, Report


class RayEngine:
    """The cluster that this process is connected to.

    Raises:
        ConfigurationError: It is connected to none.
    """

    name = "Ray"

    def __init__(self) -> None:
        # ray comes with an extra and may be missing: a type checker cannot know it.
        ray: Any = import_module("ray")
        if not ray.is_initialized():
            raise ConfigurationError(
                "engine='ray' needs a cluster, and this process is connected to none",
                hint="Call ray.init() first; its address= is that of an existing cluster",
            )
        self._ray = ray
        self.dumps: Callable[[object], bytes] = import_module("ray.cloudpickle").dumps
        # Not again by Ray itself: what the dead worker left has to be deleted first.
        self._remote = ray.remote(_perform).options(num_cpus=1, max_retries=0, name="agentbay")

    async def places(self) -> Collection[str]:
        """Return one name for each processor; which one works on a chunk is Ray's affair."""
        found = await to_thread.run_sync(self._ray.cluster_resources)
        return [f"processor {number}" for number in range(int(found.get("CPU", 0)))]

    async def run(self, order: Order, place: str) -> Report:
        """Have a chunk worked on.

        Raises:
            WorkerLostError: The worker died.
            RayTaskError: The worker lacks what it needs.
        """
        exceptions = self._ray.exceptions
        reference = self._remote.remote(order)
        answer = asyncio.wrap_future(reference.future())
        try:
            await asyncio.wait([answer])
        except asyncio.CancelledError:
            # The worker is interrupted, not killed, so that it can clean up.
            self._ray.cancel(reference)
            await asyncio.wait([answer], timeout=STOPPING)
            raise
        try:
            report: Report = answer.result()
        except exceptions.RayTaskError:
            raise
        except exceptions.RayError as error:
            raise WorkerLostError(f"{place}: {type(error).__name__}: {error}") from error
        return report


def _perform(order: Order) -> Report:
    return perform(order, lambda: False)
