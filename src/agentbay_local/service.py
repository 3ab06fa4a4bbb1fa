"""`LocalService`: a local AgentBay service, started and stopped by the program that uses it.

It runs on the caller's event loop with ``async with``, and on a thread with its own loop with
``with`` (or `start` and `stop`), so that a blocked or closed loop of the caller does not stop it.

Each verb for tests has two forms: the plain one blocks, and works for a service on its own thread;
the form that begins with ``a`` is awaited, and works for both.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay_async.errors import ConfigurationError
from agentbay_local.clock import Clock, SystemClock
from agentbay_local.images import Image, Images, ImageStore
from agentbay_local.limits import checked
from agentbay_local.loopback import is_loopback
from agentbay_local.sandbox.base import Isolation, Limits
from agentbay_local.sandbox.outbound import AllowedHosts
from agentbay_local.server import Server, Settings
from agentbay_local.server_context import ServerContext
from agentbay_local.snapshots import restore_snapshot, write_snapshot
from agentbay_local.testing.instruments import Instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from agentbay_local.browser.model import BrowserModel
    from agentbay_local.cassettes.player import Player
    from agentbay_local.sandbox.probe import Capability
    from agentbay_local.seeding import ContextSeeds, Seeded, SessionSeeds
    from agentbay_local.state import ServiceState
    from agentbay_local.testing.faults import Faults
    from agentbay_local.testing.journal import Journal
    from agentbay_local.testing.quotas import Quotas
    from agentbay_local.testing.transitions import Transitions

__all__ = ["LocalService"]

_ANSWER_WITHIN = 60.0
_MOST_READY = 128

T = TypeVar("T")


class LocalService(ServerContext[Server]):
    """A local AgentBay service.

    Sessions are real sandboxes on this machine. Contexts and their files stay in `home`; sessions
    end with the service.

    Args:
        host: Address to listen on. Any but a loopback address lets other machines in.
        port: Port; 0 takes a free one.
        home: Directory for the state; None makes a temporary one, removed when the service stops.
        api_key: The key that clients must send; None makes a random one.
        isolation: ``"namespaces"``; ``"landlock"``, a weaker level for machines that forbid
            namespaces; or ``"none"`` for plain processes that are not isolated.
        clock: The clock of the service: the machine's by default, or a `ManualClock`.
        faults: A JSON file of faults, read again whenever it changes; see `FaultFile`.
        limits: Memory, disk, processes, open files and processor time of each session.
        allow_hosts: Hosts that sessions may reach: ``"HOST"`` for its ports 80 and 443,
            ``"HOST:PORT"`` for one port, ``"*.HOST"`` for every name below it, ``"*"`` for every
            name. Programs find a proxy in their environment. A name leads to public addresses only;
            list others as addresses. By default sessions have no network.
        require_sni: Tunnels to allowed hosts must begin with a TLS handshake for the name of that
            host, unencrypted. Other tunnels, those to addresses among them, are refused.
        cassette: A file that ``agentbay record`` has written. Its answers are replayed, and there
            are no sessions: a request without a recorded answer is refused with the code
            ``NotRecorded``, which clients raise as `NotRecordedError`.
        images: Images of sessions, beside those that were made on this machine with ``agentbay
            image build``; one with the name of such an image replaces it.
        browser_model: A function that tells the tools ``act``, ``observe``, ``extract`` and
            ``login`` of browsers what to do; it gets a `BrowserTask`, whose description has what it
            returns. Without one they are refused.
        tls: Offer TLS beside plain HTTP, on the same port. The home gets a private certificate
            authority, whose certificate clients must trust: `ca_file`. Needs the extra ``local``.
        ready: Sandboxes, 128 at most, that are started before a session needs them. The first
            command and the first Python code of a session that gets one do not wait for a start.
            Each takes 20 MB.

    Raises:
        CassetteError: The file is not a cassette.
        HomeInUseError: At its start, another service uses the home.
        OSError: The cassette cannot be read; at its start, the port or the home cannot be used.
        ValueError: `isolation`, `port`, `ready`, one of `limits`, of `images` or of `allow_hosts`
            is invalid, or `allow_hosts` or `images` with layers are given for a level that cannot
            have them; `tls` is given for another host than one of the loopback, or without the
            extra.

    Example:
        ::

            with LocalService() as service:
                client = AgentBay(service.api_key, endpoint=service.endpoint)
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        home: str | Path | None = None,
        api_key: str | None = None,
        isolation: Isolation | str = Isolation.NAMESPACES,
        clock: Clock | None = None,
        faults: str | Path | None = None,
        limits: Limits | None = None,
        allow_hosts: Iterable[str] = (),
        require_sni: bool = False,
        cassette: str | Path | None = None,
        images: Iterable[Image] = (),
        browser_model: BrowserModel | None = None,
        tls: bool = False,
        ready: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, not {port}")
        if api_key is not None and not api_key.strip():
            raise ValueError("api_key must not be blank; leave it out for a random one")
        if not 0 <= ready <= _MOST_READY:
            raise ValueError(f"ready must be between 0 and {_MOST_READY}, not {ready}")
        self.api_key = api_key or f"akm-local-{secrets.token_hex(16)}"
        fault_file = None if faults is None else Path(faults)
        self._instruments = Instruments.create(clock or SystemClock(), fault_file)
        self._settings = Settings(
            host=host,
            port=port,
            home=None if home is None else Path(home),
            api_key=self.api_key,
            isolation=_isolation(isolation),
            instruments=self._instruments,
            limits=checked(limits or Limits()),
            outbound=_outbound(allow_hosts, require_sni, _isolation(isolation)),
            images=Images(images, _image_store(), _isolation(isolation)),
            player=None if cassette is None else _player(cassette),
            tls=_checked_tls(tls, host),
            browser_model=browser_model,
            ready=0 if cassette is not None else ready,
        )

    def __repr__(self) -> str:
        return f"<LocalService {self._server.endpoint if self._server else 'not running'}>"

    @property
    def endpoint(self) -> str:
        """``http://HOST:PORT`` while the service runs, with TLS ``https://HOST:PORT``.

        Raises:
            RuntimeError: The service is not running.
        """
        return self._running().endpoint

    @property
    def overview_url(self) -> str:
        """The page that shows sessions, contexts, faults and calls. The address is a secret.

        Raises:
            RuntimeError: The service is not running.
        """
        return self._running().overview_url

    @property
    def ca_file(self) -> Path | None:
        """The certificate that clients of a running service with TLS trust; None without TLS.

        Raises:
            RuntimeError: The service is not running.
        """
        authority = self._running().authority
        return None if authority is None else authority.ca_file

    @property
    def ca_bundle(self) -> Path | None:
        """The same certificate with those that this machine trusts anyway; None without TLS.

        It is what ``SSL_CERT_FILE`` and the like want, which replace what a program trusts.

        Raises:
            RuntimeError: The service is not running.
        """
        authority = self._running().authority
        return None if authority is None else authority.bundle

    @property
    def isolation(self) -> Capability:
        """The isolation level of this machine: whether it is available, if not why, and the cure.

        Raises:
            RuntimeError: The service is not running.
        """
        return self._running().capability

    @property
    def home(self) -> Path:
        """The directory of the state while the service runs.

        Raises:
            RuntimeError: The service is not running.
        """
        return self._running().home

    @property
    def clock(self) -> Clock:
        """The clock of the service; give it to clients to share it."""
        return self._instruments.clock

    @property
    def faults(self) -> Faults:
        """Rules for requests that go wrong."""
        return self._instruments.faults

    @property
    def journal(self) -> Journal:
        """The requests and their outcomes."""
        return self._instruments.journal

    @property
    def quotas(self) -> Quotas:
        """The number of sessions, sizes of pages, and lifetimes of tokens and URLs."""
        return self._instruments.quotas

    @property
    def transitions(self) -> Transitions:
        """The duration of state changes."""
        return self._instruments.transitions

    def _make_server(self) -> Server:
        return Server(self._settings)

    def abort(self) -> None:
        """Kill every session's processes without the event loop, when the interpreter exits.

        A temporary home is removed. `stop` would not work then, because Python has ended its worker
        threads by that time.
        """
        if self._server is not None and self._thread is not None:
            self._thread.freeze()
            self._server.abort()

    def living(self) -> dict[str, dict[str, str]]:
        """Return the labels of each session that is neither released nor being released, by id.

        Raises:
            RuntimeError: The service is not running.
        """
        return self._block(_live_labels)

    async def aliving(self) -> dict[str, dict[str, str]]:
        """As `living`, for coroutines."""
        return await self._await(_live_labels)

    def reset(self) -> None:
        """Delete sessions, contexts, faults and journal entries; quotas return to their defaults.

        A cassette is replayed from its beginning.
        The clock stays as it is. Requests and transfers under way fail.

        Raises:
            RuntimeError: The service is not running, or runs on the event loop of this thread.
        """
        self._block(lambda state: state.reset())

    async def areset(self) -> None:
        """As `reset`, for coroutines."""
        await self._await(lambda state: state.reset())

    def seed(self, sessions: SessionSeeds = 0, contexts: ContextSeeds = ()) -> Seeded:
        """Create sessions and contexts without a client; the journal does not show it.

        Args:
            sessions: The number of sessions without labels, or the labels of each.
            contexts: Their names, or for each name its files: path and content.

        Raises:
            ValueError: The service rejects a seed; the message says why.
            RuntimeError: The service is not running, or runs on the event loop of this thread.

        Example:
            ::

                service.seed(sessions=[{"env": "test"}], contexts={"notes": {"a.txt": "hello"}})
        """
        return self._block(lambda state: _seed(state, sessions, contexts))

    async def aseed(self, sessions: SessionSeeds = 0, contexts: ContextSeeds = ()) -> Seeded:
        """As `seed`, for coroutines."""
        return await self._await(lambda state: _seed(state, sessions, contexts))

    def snapshot(self, path: Path | str) -> None:
        """Write all contexts with their files, and all sessions, into one file.

        The file is replaced atomically. It holds the labels, times and contexts of sessions, but
        neither their processes nor their files outside of contexts.

        Raises:
            OSError: The file cannot be written.
            RuntimeError: The service is not running, or runs on the event loop of this thread.
        """
        self._block(lambda state: write_snapshot(state, Path(path)))

    async def asnapshot(self, path: Path | str) -> None:
        """As `snapshot`, for coroutines."""
        await self._await(lambda state: write_snapshot(state, Path(path)))

    def restore(self, path: Path | str) -> None:
        """Delete all sessions and contexts, and load those of a snapshot.

        Raises:
            OSError: The file cannot be read; nothing has changed.
            ValueError: The file is not a snapshot; nothing has changed.
            RuntimeError: The service is not running, or runs on the event loop of this thread.
        """
        self._block(lambda state: restore_snapshot(state, Path(path)))

    async def arestore(self, path: Path | str) -> None:
        """As `restore`, for coroutines."""
        await self._await(lambda state: restore_snapshot(state, Path(path)))

    def _block(self, work: Callable[[ServiceState], Coroutine[Any, Any, T]]) -> T:
        state, thread = self._running().state, self._thread
        if thread is None:
            raise RuntimeError(
                "the service runs on your own event loop: await the method whose name begins "
                "with 'a'"
            )
        return thread.submit(work(state)).result(_ANSWER_WITHIN)

    async def _await(self, work: Callable[[ServiceState], Coroutine[Any, Any, T]]) -> T:
        state, thread = self._running().state, self._thread
        if thread is None:
            return await work(state)
        future = asyncio.wrap_future(thread.submit(work(state)))
        return await asyncio.wait_for(future, _ANSWER_WITHIN)

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError(
                "the service is not running: use it in a with block, or call start()"
            )
        return self._server


async def _live_labels(state: ServiceState) -> dict[str, dict[str, str]]:
    releasing = state.lifecycle.releasing
    labels = state.store.sessions.labels_of_live()
    return {name: labels[name] for name in labels if name not in releasing}


def _checked_tls(tls: bool, host: str) -> bool:
    if tls and not is_loopback(host):
        raise ValueError(
            f"tls needs a loopback host, because its certificates are for this machine only; "
            f"not {host!r}"
        )
    if tls and find_spec("cryptography") is None:
        raise ValueError("tls needs the extra local: pip install 'agentbay-async[local]'")
    return tls


def _isolation(level: Isolation | str) -> Isolation:
    try:
        return Isolation(level)
    except ValueError:
        levels = " or ".join(repr(entry.value) for entry in Isolation)
        raise ValueError(f"isolation must be {levels}, not {level!r}") from None


def _image_store() -> ImageStore | None:
    try:
        return ImageStore.of_user(os.environ)
    except ConfigurationError:  # a user without a home has made no images
        return None


def _outbound(entries: Iterable[str], require_sni: bool, level: Isolation) -> AllowedHosts:
    allowed = AllowedHosts.parse(entries, require_sni=require_sni)
    if allowed and level is not Isolation.NAMESPACES:
        raise ValueError(
            f"allow_hosts needs isolation 'namespaces'; sessions of {level.value!r} could bypass "
            f"the list"
        )
    return allowed


# What follows is imported when it is needed: most services replay and seed nothing.


def _player(cassette: Path | str) -> Player:
    from agentbay_local.cassettes.cassette import Cassette
    from agentbay_local.cassettes.player import Player

    return Player(Cassette.read(cassette))


async def _seed(state: ServiceState, sessions: SessionSeeds, contexts: ContextSeeds) -> Seeded:
    from agentbay_local.seeding import seed

    return await seed(state, sessions, contexts)
