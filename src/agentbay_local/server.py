"""One running service on one event loop: assembles its parts, listens on a port, stops.

`LocalService` is the public class; each of its runs is one `Server`.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import attrs

from agentbay_local.background_tasks import BackgroundTasks
from agentbay_local.browser.browsers import Browsers
from agentbay_local.code import Kernels, read_only_mounts
from agentbay_local.contexts.context_store import ContextStore
from agentbay_local.contexts.sync import SyncService
from agentbay_local.home import Home
from agentbay_local.protocol.paging import Pages
from agentbay_local.protocol.signing import Signer
from agentbay_local.sandbox.base import SandboxSpec
from agentbay_local.sandbox.cgroups import leftovers
from agentbay_local.sandbox.cgroups.detection import detect
from agentbay_local.sandbox.host.orphans import Orphans
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.probe import Capability, backend_for, probe
from agentbay_local.sessions.lifecycle import Lifecycle
from agentbay_local.sessions.ready import ReadySandboxes
from agentbay_local.sessions.sandboxes import Sandboxes, unavailable
from agentbay_local.state import ServiceState
from agentbay_local.store import Store
from agentbay_local.tools.tool_state import ToolState, ToolStates
from agentbay_local.urls import overview_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from agentbay_local.browser.model import BrowserModel
    from agentbay_local.cassettes.player import Player
    from agentbay_local.http.listener import Listener
    from agentbay_local.images import Image, Images
    from agentbay_local.sandbox.base import Backend, Isolation, Limits
    from agentbay_local.sandbox.outbound import AllowedHosts
    from agentbay_local.testing.instruments import Instruments
    from agentbay_local.tls.authority import CertificateAuthority

__all__ = ["Server", "Settings"]

_log = logging.getLogger(__name__)

# Seconds for each step of a stop: a step that hangs must not keep the others from running.
_GRACE = 10.0
# Threads that copy files of contexts; more of them only compete for the disk.
_COPY_THREADS = 2


@attrs.frozen
class Settings:
    """The settings of a service; see `LocalService`."""

    host: str
    port: int
    home: Path | None
    api_key: str = attrs.field(repr=False)
    isolation: Isolation
    instruments: Instruments
    limits: Limits
    outbound: AllowedHosts
    images: Images
    tls: bool
    ready: int = 0
    player: Player | None = None
    browser_model: BrowserModel | None = None


class Server:
    """A service that answers requests from `start` to `stop`.

    Attributes:
        endpoint: ``http://HOST:PORT``, or ``https://HOST:PORT``.
        overview_url: The page of the service for people; a secret.
        capability: The isolation level of this machine, and whether it is available.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._home: Home | None = None
        self._state: ServiceState | None = None
        self._authority: CertificateAuthority | None = None
        self.endpoint = ""
        self.overview_url = ""
        self.capability = Capability(settings.isolation, available=False)

    @property
    def home(self) -> Path:
        """The directory of the state.

        Raises:
            RuntimeError: The service is not running.
        """
        if self._home is None:
            raise RuntimeError("the service is not running")
        return self._home.path

    @property
    def authority(self) -> CertificateAuthority | None:
        """The certificate authority of a running service with TLS."""
        return self._authority

    @property
    def state(self) -> ServiceState:
        """The parts of the service.

        Raises:
            RuntimeError: The service is not running.
        """
        if self._state is None:
            raise RuntimeError("the service is not running")
        return self._state

    async def start(self) -> None:
        """Start everything; after a failure nothing is left running.

        Raises:
            HomeInUseError: Another service uses the home.
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
        """Kill every session's processes and give up the home, without the event loop."""
        if self._home is not None:
            Orphans(self._home.running).sweep()
            leftovers.remove_own(detect().parents.values())
            self._home.close()

    async def _start(self) -> None:
        # The stack closes in reverse: connections first, then sessions, threads, rows, the lock.
        settings = self._settings
        home = await asyncio.to_thread(Home.open, settings.home)
        self._home = home
        self._stack.push_async_callback(self._close_home, home)
        store = Store.open(home.database)
        self._stack.callback(store.close)
        self._stack.callback(settings.images.release)
        executor = ThreadPoolExecutor(_COPY_THREADS, thread_name_prefix="agentbay-files")
        self._stack.push_async_callback(_shut_down, executor)
        if settings.tls:
            # Imported here, because it takes long, and comes with an extra.
            from agentbay_local.tls.authority import CertificateAuthority

            self._authority = await asyncio.to_thread(CertificateAuthority.open, home.tls)
        # Before the first sandbox of this run is recorded in the same directory.
        orphans = Orphans(home.running)
        await asyncio.to_thread(orphans.sweep)
        await asyncio.to_thread(leftovers.sweep)
        backend = backend_for(settings.isolation, orphans)
        self._stack.push_async_callback(backend.close)
        # As the first session will be, which then starts sooner.
        spec = SandboxSpec(
            home.sessions / "probe", private_uid("probe"), read_only=read_only_mounts()
        )
        # Meanwhile on a thread, because both take long.
        loading = asyncio.create_task(asyncio.to_thread(_load_listener))
        try:
            self.capability = await probe(settings.isolation, backend, spec)
        finally:
            listener = await loading
        state = self._assemble(home, store, executor, self._sandboxes(home, store, backend))
        await _recover(state, home)
        self._state = state
        await self._listen(state, listener)
        if state.ready is not None:
            state.ready.refill()

    async def _close_home(self, home: Home) -> None:
        self._home = self._state = self._authority = None
        await asyncio.to_thread(home.close)

    def _sandboxes(self, home: Home, store: Store, backend: Backend) -> Sandboxes:
        found, settings = self.capability, self._settings

        def image_of(session_id: str) -> Image:
            session = store.sessions.get(session_id)
            return settings.images.offered(None if session is None else session.image)

        return Sandboxes(
            home.sessions,
            backend if found.available else None,
            unavailable(found.reason, found.remedy),
            settings.isolation,
            settings.limits,
            settings.outbound,
            image_of,
        )

    def _assemble(
        self, home: Home, store: Store, executor: Executor, sandboxes: Sandboxes
    ) -> ServiceState:
        instruments = self._settings.instruments
        clock, signer = instruments.clock, Signer(home.secret())
        background, tool_states = BackgroundTasks(clock), ToolStates(ToolState)
        files = ContextStore(home.contexts, executor, durable=not home.temporary)
        syncing = SyncService(
            store, clock, background, sandboxes.prepare_root, files, executor, instruments
        )
        lifecycle = Lifecycle(
            store, clock, background, sandboxes, syncing, tool_states, instruments.transitions
        )
        code = Kernels(sandboxes.get)
        sandboxes.on_close(code.close)
        browsers = _browsers(sandboxes, tool_states, store, self._settings.browser_model)
        sandboxes.on_close(browsers.close)
        self._stack.push_async_callback(_bounded, sandboxes.close_all, "sandboxes")
        self._stack.push_async_callback(_bounded, code.close_all, "code kernels")
        ready = self._ready_sandboxes(sandboxes, code, background)
        self._stack.push_async_callback(background.close, _GRACE)
        if not home.temporary:
            # Policies that upload at release are honoured while the home still exists.
            self._stack.push_async_callback(lifecycle.release_all, "the service stopped", _GRACE)
        lifecycle.start_sweeper()
        return ServiceState(
            store=store,
            clock=clock,
            signer=signer,
            background=background,
            sandboxes=sandboxes,
            ready=ready,
            files=files,
            syncing=syncing,
            lifecycle=lifecycle,
            tool_states=tool_states,
            code=code,
            browsers=browsers,
            instruments=instruments,
            pages=Pages(signer, clock, instruments.quotas),
            images=self._settings.images,
            player=self._settings.player,
        )

    def _ready_sandboxes(
        self, sandboxes: Sandboxes, kernels: Kernels, background: BackgroundTasks
    ) -> ReadySandboxes | None:
        if not (self._settings.ready and self.capability.available):
            return None
        settings = self._settings
        ready = ReadySandboxes(settings.ready, sandboxes, settings.images, kernels, background)
        self._stack.push_async_callback(_bounded, ready.close, "ready sandboxes")
        return ready

    async def _listen(self, state: ServiceState, kind: type[Listener]) -> None:
        settings = self._settings
        listener = kind(state, settings.api_key, self._authority)
        self._stack.push_async_callback(_bounded, listener.close, "connections")
        await listener.start(settings.host, settings.port)
        self.endpoint = state.endpoint
        self.overview_url = overview_url(state)


def _browsers(
    sandboxes: Sandboxes, tool_states: ToolStates, store: Store, model: BrowserModel | None
) -> Browsers:
    def variables(session_id: str) -> Mapping[str, str]:
        state = tool_states.get(session_id)
        return {} if state is None else state.env

    def keeps_files(session_id: str) -> bool:
        return bool(store.bindings.of(session_id))

    return Browsers(sandboxes.get, variables, keeps_files, model)


async def _recover(state: ServiceState, home: Home) -> None:
    """Clean up after a service that was killed: its sessions are over, its contexts stay."""
    state.store.sessions.finish_all("the service stopped", state.clock.time())
    await state.sandboxes.remove_all()
    for context_id in state.store.contexts.own_ids():
        await state.files.remove(context_id)
    state.store.contexts.remove_own()
    known = set(state.store.contexts.ids())
    moved = await state.files.recover(known, home.lost_and_found)
    if moved:
        _log.warning(
            "contexts without a row in state.db: %d; their files are now in %s",
            len(moved),
            home.lost_and_found,
        )
    state.store.contexts.settle()


async def _shut_down(executor: ThreadPoolExecutor) -> None:
    """Let copies under way finish, within bounds, and start no more of them."""
    executor.shutdown(wait=False, cancel_futures=True)
    await _bounded(partial(asyncio.to_thread, executor.shutdown), "copies")


async def _bounded(close: Callable[[], Awaitable[None]], what: str) -> None:
    """Run one step of the stop, with a time limit."""
    try:
        await asyncio.wait_for(close(), _GRACE)
    except (asyncio.TimeoutError, OSError):
        _log.warning("closing the %s did not finish cleanly", what, exc_info=True)


def _load_listener() -> type[Listener]:
    from agentbay_local.http.listener import Listener

    return Listener
