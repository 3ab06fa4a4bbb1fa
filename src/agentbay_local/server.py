"""One running service on one event loop: its parts put together, its port, its end.

`LocalService` is what people use; this is what it runs.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import attrs
from aiohttp import web

from agentbay_local.background_tasks import BackgroundTasks
from agentbay_local.code import Kernels
from agentbay_local.contexts.context_store import ContextStore
from agentbay_local.contexts.sync import SyncService
from agentbay_local.home import Home
from agentbay_local.http import app
from agentbay_local.protocol.paging import Pages
from agentbay_local.protocol.signing import Signer
from agentbay_local.sandbox.host.orphans import Orphans
from agentbay_local.sandbox.probe import Capability, backend_for, probe
from agentbay_local.seeding import Seeding
from agentbay_local.sessions.lifecycle import Lifecycle
from agentbay_local.sessions.sandboxes import Sandboxes, unavailable
from agentbay_local.snapshots import Snapshots
from agentbay_local.state import ServiceState
from agentbay_local.store import Store
from agentbay_local.tools.tool_state import ToolStates

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from agentbay_local.sandbox.base import Backend, Isolation, Limits
    from agentbay_local.sandbox.outbound import AllowedHosts
    from agentbay_local.testing.instruments import Instruments

__all__ = ["Server", "Settings"]

_log = logging.getLogger(__name__)

_GRACE = 10.0
_MOVERS = 2


@attrs.frozen
class Settings:
    """What a service is started with; see `LocalService`."""

    host: str
    port: int
    home: Path | None
    api_key: str = attrs.field(repr=False)
    isolation: Isolation
    kit: Instruments
    limits: Limits
    outbound: AllowedHosts


class Server:
    """A service that answers, from `start` to `stop`.

    Attributes:
        endpoint: ``http://HOST:PORT``.
        capability: What this machine allows.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._home: Home | None = None
        self._holdings: Seeding | None = None
        self._snapshots: Snapshots | None = None
        self.endpoint = ""
        self.capability = Capability(settings.isolation, available=False)

    @property
    def home(self) -> Path:
        """The directory of the state.

        Raises:
            RuntimeError: It does not run.
        """
        if self._home is None:
            raise RuntimeError("the service is not running")
        return self._home.path

    @property
    def holdings(self) -> Seeding:
        """Everything it holds.

        Raises:
            RuntimeError: It does not run.
        """
        if self._holdings is None:
            raise RuntimeError("the service is not running")
        return self._holdings

    @property
    def snapshots(self) -> Snapshots:
        """What writes that down and brings it back.

        Raises:
            RuntimeError: It does not run.
        """
        if self._snapshots is None:
            raise RuntimeError("the service is not running")
        return self._snapshots

    async def start(self) -> None:
        """Bring everything up; when it fails, nothing is left running.

        Raises:
            HomeInUseError: Another service has the home.
            OSError: The port or the home cannot be used.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End every session's processes and close everything. Bounded; repeatable."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    def abort(self) -> None:
        """Kill every session's processes and give up the home; without the loop."""
        if self._home is not None:
            Orphans(self._home.running).sweep()
            self._home.close()

    async def _start(self) -> None:
        settings = self._settings
        home = await asyncio.to_thread(Home.open, settings.home)
        self._home = home
        self._stack.push_async_callback(self._close_home, home)
        store = Store.open(home.database)
        self._stack.callback(store.close)
        executor = ThreadPoolExecutor(_MOVERS, thread_name_prefix="agentbay-files")
        self._stack.push_async_callback(_end, executor)
        orphans = Orphans(home.running)
        await asyncio.to_thread(orphans.sweep)
        self.capability = await probe(settings.isolation)
        state = self._assembled(home, store, executor, orphans)
        await _recover(state, home)
        self._holdings = Seeding(state)
        self._snapshots = Snapshots(state, self._holdings, home.path)
        await self._listen(state)

    async def _close_home(self, home: Home) -> None:
        self._home = self._holdings = self._snapshots = None
        await asyncio.to_thread(home.close)

    def _assembled(
        self, home: Home, store: Store, executor: ThreadPoolExecutor, orphans: Orphans
    ) -> ServiceState:
        kit = self._settings.kit
        clock, background = kit.clock, BackgroundTasks(kit.clock)
        backend = _backend(self.capability, orphans)
        why_not = unavailable(self.capability.reason, self.capability.remedy)
        sandboxes = Sandboxes(
            home.sessions,
            backend,
            why_not,
            self._settings.isolation,
            self._settings.limits,
            self._settings.outbound,
        )
        files = ContextStore(home.contexts, executor, durable=not home.temporary)
        syncing = SyncService(store, clock, background, sandboxes, files, executor, kit)
        memories = ToolStates()
        transitions = kit.transitions
        lifecycle = Lifecycle(store, clock, background, sandboxes, syncing, memories, transitions)
        code = Kernels(sandboxes.get)
        sandboxes.on_close(code.close)
        self._stack.push_async_callback(_bounded, sandboxes.close_all, "sandboxes")
        self._stack.push_async_callback(_bounded, code.close_all, "shells of code")
        self._stack.push_async_callback(background.close, _GRACE)
        if not home.temporary:
            # What the policies of sessions want to be saved is saved while there is somewhere to.
            self._stack.push_async_callback(lifecycle.release_all, "the service stopped", _GRACE)
        lifecycle.begin()
        signer = Signer(home.secret())
        return ServiceState(
            store,
            clock,
            signer,
            background,
            sandboxes,
            files,
            syncing,
            lifecycle,
            memories,
            code,
            kit,
            Pages(signer, clock, kit.quotas),
        )

    async def _listen(self, state: ServiceState) -> None:
        # The key travels in the query of some requests, so there is no access log.
        runner = web.AppRunner(
            app.application(state, self._settings.api_key, self.holdings.reset),
            access_log=None,
            logger=app.server_log,
            # What goes to a port or into a file is nobody's to unpack on the way.
            auto_decompress=False,
            shutdown_timeout=1,
        )
        await runner.setup()
        self._stack.push_async_callback(_bounded, runner.cleanup, "connections")
        site = web.TCPSite(runner, self._settings.host, self._settings.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        await asyncio.wait_for(_answers(host, port), _GRACE)
        shown = f"[{host}]" if ":" in host else host
        state.endpoint = self.endpoint = f"http://{shown}:{port}"


def _backend(capability: Capability, orphans: Orphans) -> Backend | None:
    return backend_for(capability.isolation, orphans) if capability.available else None


async def _recover(state: ServiceState, home: Home) -> None:
    """Clean up after a service that was killed: its sessions are over, its contexts stay."""
    state.store.sessions.finish_all("the service stopped", state.clock.time())
    for place in list(home.sessions.iterdir()):
        await state.sandboxes.remove(place.name)
    state.store.contexts.remove_own()
    await state.files.recover(state.store.contexts.ids())
    state.store.contexts.settle()


async def _answers(host: str, port: int) -> None:
    """Ask once, as a client would."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
    finally:
        writer.close()
    if b" 200 " not in line:
        raise OSError(f"the service on port {port} does not answer")


async def _end(executor: ThreadPoolExecutor) -> None:
    """Let copies that are under way finish, but do not begin new ones and do not wait for ever."""
    executor.shutdown(wait=False, cancel_futures=True)
    await _bounded(partial(asyncio.to_thread, executor.shutdown), "copies")


async def _bounded(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Wait for a step of the end, but not for ever."""
    try:
        await asyncio.wait_for(work(), _GRACE)
    except (asyncio.TimeoutError, OSError):
        _log.warning("closing the %s did not finish cleanly", what, exc_info=True)
