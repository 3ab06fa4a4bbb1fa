"""Sandboxes that are started before a session needs them.

Each is started for an id that no session has yet, and the next session that it suits gets this id.
So it has its own user, directory, limits and control group like every sandbox, it has never run a
program of a user, and nothing but the id changes hands. Until then it is no session: it is in no
list and counts for no quota. It also has a Python kernel, in which no code has run.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import attrs

from agentbay_local.protocol.errors import ApiError
from agentbay_local.store import new_session_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local.background_tasks import BackgroundTasks
    from agentbay_local.code import Kernels
    from agentbay_local.images import Images
    from agentbay_local.sessions.sandboxes import Sandboxes
    from agentbay_local.store import NewSession

__all__ = ["ReadySandboxes"]

# Seconds without a start before one more is started: sessions that are in use go first.
_REST = 0.1


class ReadySandboxes:
    """A few started sandboxes, without sessions.

    Args:
        count: How many to keep.
        sandboxes: Starts them.
        images: The images of sessions.
        kernels: Starts their kernels.
        background: Runs their starts; closing it ends these.
    """

    def __init__(
        self,
        count: int,
        sandboxes: Sandboxes,
        images: Images,
        kernels: Kernels,
        background: BackgroundTasks,
    ) -> None:
        self._count = count
        self._sandboxes = sandboxes
        self._images = images
        self._kernels = kernels
        self._background = background
        # With each id, whether its kernel was started.
        self._ready: dict[str, bool] = {}
        self._starting: set[str] = set()
        self._filling: asyncio.Task[None] | None = None

    @property
    def ids(self) -> frozenset[str]:
        """The ids of those that run."""
        return frozenset(self._ready)

    @property
    def with_kernels(self) -> frozenset[str]:
        """The ids of those that are ready for code too."""
        return frozenset(one for one, started in self._ready.items() if started)

    @contextlib.contextmanager
    def lend(self, new: NewSession) -> Iterator[NewSession]:
        """Yield a new session with the id of a sandbox that suits it, or unchanged if none does.

        If the block succeeds the sandbox belongs to the session, else it is kept.
        """
        found = self._find(new.image)
        yield new if found is None else attrs.evolve(new, id=found)
        if found is not None:
            del self._ready[found]
        self.refill()

    def refill(self) -> None:
        """Start what is missing, once no other sandbox is starting."""
        self._forget_ended()
        filling = self._filling is not None and not self._filling.done()
        if len(self._ready) < self._count and not filling:
            self._filling = self._background.start(self._fill(), "ready sandboxes")

    async def close(self) -> None:
        """End all, and remove their directories. The background tasks must have ended."""
        left = {*self._ready, *self._starting}
        self._count, self._ready = 0, {}
        await asyncio.gather(*(self._sandboxes.remove(one) for one in left))

    def _forget_ended(self) -> None:
        """Forget those that a reset of the service has removed, or the kernel has killed."""
        ended = [one for one in self._ready if self._sandboxes.alive(one) is None]
        for one in ended:
            del self._ready[one]

    def _find(self, image: str) -> str | None:
        self._forget_ended()
        wanted = self._images.offered(image)
        return next((one for one in self._ready if self._sandboxes.suits(one, wanted)), None)

    async def _fill(self) -> None:
        """Start what is missing: sandboxes first, and kernels while none is missing."""
        while True:
            without = next((one for one, started in self._ready.items() if not started), None)
            if len(self._ready) < self._count:
                await asyncio.sleep(_REST)
                if not self._sandboxes.are_starting and not await self._start(new_session_id()):
                    return  # it is logged, and the next session tries again
            elif without is not None:
                await self._kernels.prepare(without, "python")
                if without in self._ready:
                    self._ready[without] = True
            else:
                return

    async def _start(self, one: str) -> bool:
        # If it is cancelled, `close` removes the directory.
        self._starting.add(one)
        try:
            await self._sandboxes.get(one)
            self._ready[one] = False
        except ApiError:
            await self._sandboxes.remove(one)
        self._starting.discard(one)
        return one in self._ready
