"""`LocalService`: a local AgentBay service, started and stopped by the program that uses it.

It runs on the caller's event loop with ``async with``, and on a thread with a loop of its own with
``with`` (or `start` and `stop`), so that neither a blocked nor a closed loop of the caller's stops
it.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay_local.clock import Clock, SystemClock
from agentbay_local.limits import checked
from agentbay_local.sandbox.base import Isolation, Limits
from agentbay_local.sandbox.outbound import AllowedHosts
from agentbay_local.server import Server, Settings
from agentbay_local.testing.controls import TestControls
from agentbay_local.testing.instruments import Instruments
from agentbay_local.thread import ServerThread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType

    from typing_extensions import Self

    from agentbay_local.sandbox.probe import Capability

__all__ = ["LocalService"]

_ANSWER_WITHIN = 60.0

T = TypeVar("T")


class LocalService(TestControls):
    """A local AgentBay service.

    Sessions are real sandboxes on this machine. Contexts and their files stay in `home`; sessions
    end with the service.

    Args:
        host: Address to listen on. Anything but loopback lets other machines in.
        port: Port; 0 takes a free one.
        home: Directory for the state; None makes a temporary one that goes when the service stops.
        api_key: The key that clients must send; None makes a random one.
        isolation: ``"namespaces"``; ``"landlock"``, a weaker level for machines that forbid
            namespaces; or ``"none"`` for plain processes that are not isolated.
        clock: Where the service reads time: the machine's clock, or a `ManualClock`.
        faults: A JSON file of faults, looked at again whenever it changes; see `FaultFile`.
        limits: What each session may take of memory, disk, processes, open files and processor.
        allow_hosts: Hosts that sessions may reach: ``"HOST"`` for its ports 80 and 443,
            ``"HOST:PORT"`` for that one, ``"*.HOST"`` for every name below it, ``"*"`` for every
            name. Programs find a proxy in their variables. A name leads to public addresses only;
            others must be listed as addresses. By default sessions have no network.

    Raises:
        ValueError: `isolation`, `port`, one of `limits` or of `allow_hosts` is none of the
            possible values, or `allow_hosts` is given for a level that cannot keep to it.

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
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, not {port}")
        if api_key is not None and not api_key.strip():
            raise ValueError("api_key must not be blank; leave it out for a random one")
        self.api_key = api_key or f"akm-local-{secrets.token_hex(16)}"
        self._kit = Instruments.of(clock or SystemClock(), None if faults is None else Path(faults))
        self._settings = Settings(
            host=host,
            port=port,
            home=None if home is None else Path(home),
            api_key=self.api_key,
            isolation=_isolation(isolation),
            kit=self._kit,
            limits=checked(limits or Limits()),
            outbound=_outbound(allow_hosts, _isolation(isolation)),
        )
        self._server: Server | None = None
        self._thread: ServerThread | None = None

    def __repr__(self) -> str:
        return f"<LocalService {self._server.endpoint if self._server else 'not running'}>"

    @property
    def endpoint(self) -> str:
        """``http://HOST:PORT`` while it runs.

        Raises:
            RuntimeError: It does not run.
        """
        return self._running().endpoint

    @property
    def isolation(self) -> Capability:
        """What this machine allows: the level, whether it is available, if not why, and the cure.

        Raises:
            RuntimeError: It does not run.
        """
        return self._running().capability

    @property
    def home(self) -> Path:
        """The directory of the state while it runs.

        Raises:
            RuntimeError: It does not run.
        """
        return self._running().home

    def start(self) -> Self:
        """Start on a thread of its own; return once it answers.

        Raises:
            HomeInUseError: Another service has the home.
            OSError: The port or the home cannot be used.
            RuntimeError: It runs already.
        """
        self._refuse_second_start()
        server = Server(self._settings)
        self._thread = ServerThread(server)
        try:
            self._thread.begin()
        except BaseException:
            self._thread = None
            raise
        self._server = server
        return self

    def stop(self) -> None:
        """Stop the service of `start`, with every process of its sessions. Repeatable."""
        thread, self._thread, self._server = self._thread, None, None
        if thread is not None:
            thread.end()

    def abort(self) -> None:
        """End every session's processes at once, without the loop: for the end of the process.

        A temporary home is removed. Worker threads are gone by then, so `stop` would not work.
        """
        if self._server is not None and self._thread is not None:
            self._thread.freeze()
            self._server.abort()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self._refuse_second_start()
        server = Server(self._settings)
        await server.start()
        self._server = server
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        server, self._server = self._server, None
        if server is not None:
            await asyncio.shield(server.stop())

    def _block(self, work: Callable[[Server], Coroutine[Any, Any, T]]) -> T:
        server, thread = self._running(), self._thread
        if thread is None:
            raise RuntimeError(
                "the service runs on an event loop of yours: await the form that begins with 'a'"
            )
        return thread.call(work(server)).result(_ANSWER_WITHIN)

    async def _await(self, work: Callable[[Server], Coroutine[Any, Any, T]]) -> T:
        server, thread = self._running(), self._thread
        if thread is None:
            return await work(server)
        return await asyncio.wait_for(
            asyncio.wrap_future(thread.call(work(server))), _ANSWER_WITHIN
        )

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError(
                "the service is not running: use it in a with block, or call start()"
            )
        return self._server

    def _refuse_second_start(self) -> None:
        if self._server is not None:
            raise RuntimeError("the service is running already")


def _isolation(level: Isolation | str) -> Isolation:
    try:
        return Isolation(level)
    except ValueError:
        levels = " or ".join(repr(entry.value) for entry in Isolation)
        raise ValueError(f"isolation must be {levels}, not {level!r}") from None


def _outbound(entries: Iterable[str], level: Isolation) -> AllowedHosts:
    allowed = AllowedHosts.parse(entries)
    if allowed and level is not Isolation.NAMESPACES:
        raise ValueError(
            f"allow_hosts needs isolation 'namespaces'; nothing would hold sessions of "
            f"{level.value!r} to the list"
        )
    return allowed
