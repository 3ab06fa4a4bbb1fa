"""The client of a session's agent, over a socket.

Requests carry an id, so many can be pending at once. Answers are not trusted, because a session may
have taken its agent over: sizes, types and descriptors are checked, every wait has a deadline, and
the first malformed packet ends the connection.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.sandbox.errors import (
    MalformedReply,
    SandboxGone,
    SandboxTimeout,
)
from agentbay_local.sandbox.host.packets import (
    OutgoingPacket,
    find_error,
    get_integer,
    pack,
    receive,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["AgentClient", "Reply"]

PACKETS_AT_ONCE = 32


@attrs.frozen
class Reply:
    """One answer; the caller owns its descriptors."""

    fields: dict[str, Any]
    fds: tuple[int, ...] = ()

    def close(self) -> None:
        """Close its descriptors."""
        for fd in self.fds:
            os.close(fd)


class AgentClient:
    """A connection to one agent, on the running event loop.

    Args:
        sock: The service's end of a SOCK_SEQPACKET pair; the client closes it.

    Attributes:
        ready: Done when the agent has reported.
        on_disconnect: Called once when the agent has ended or has broken the protocol.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self.on_disconnect: Callable[[], None] = lambda: None
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._outgoing: deque[OutgoingPacket] = deque()
        self._last_id = 0
        self._ended: str | None = None
        self.ready: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._loop.add_reader(sock.fileno(), self._readable)

    def begin(
        self, operation: str, fields: Mapping[str, object], fds: Sequence[int] = ()
    ) -> PendingReply:
        """Send a request; return its pending reply.

        The descriptors must stay open until the reply is closed.
        """
        call = self.expect_reply()
        call.sent = self._send({**fields, "op": operation, "id": call.id}, fds)
        return call

    def expect_reply(self) -> PendingReply:
        """Return a pending reply without a request; another request tells the agent its id."""
        if self._ended is not None:
            raise SandboxGone(self._ended)
        self._last_id += 1
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[self._last_id] = future
        return PendingReply(self, self._last_id, future)

    async def request(
        self, operation: str, fields: Mapping[str, object], *, within: float
    ) -> Reply:
        """Send a request and wait for its answer.

        Args:
            operation: The name of the operation.
            fields: The operation's own fields.
            within: Seconds until `SandboxTimeout`.
        """
        with self.begin(operation, fields) as call:
            return await call.wait(within)

    def notify(self, operation: str, fields: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        """Send a message that has no answer.

        When the socket is full the message waits, but one with descriptors is dropped, because the
        caller closes them at once.
        """
        if self._ended is None and not (fds and self._outgoing):
            self._send({**fields, "op": operation, "id": 0}, fds, keep=not fds)

    def close(self, reason: str) -> None:
        """Close the socket and fail every pending reply. Repeatable."""
        if self._ended is not None:
            return
        self._ended = reason
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        while self._outgoing:
            self._outgoing.popleft().close()
        for future in self._waiting.values():
            _fail(future, reason)
        _fail(self.ready, reason)
        self._waiting.clear()

    def _send(
        self, message: dict[str, object], fds: Sequence[int], keep: bool = True
    ) -> OutgoingPacket:
        outgoing = pack(message, fds)
        if self._outgoing or not self._try_send(outgoing):
            if keep:
                self._outgoing.append(outgoing)
                self._loop.add_writer(self._sock.fileno(), self._writable)
            else:
                outgoing.close()
        return outgoing

    def _try_send(self, outgoing: OutgoingPacket) -> bool:
        rights = array.array("i", outgoing.fds)
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        try:
            self._sock.sendmsg([outgoing.data], control)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            outgoing.close()
            self._disconnect(f"the session's agent is gone ({error.strerror})")
            return True
        outgoing.close()
        return True

    def _writable(self) -> None:
        while self._outgoing and self._ended is None and self._try_send(self._outgoing[0]):
            if self._outgoing:
                self._outgoing.popleft()
        if not self._outgoing and self._ended is None:
            self._loop.remove_writer(self._sock.fileno())

    def _forget(self, request_id: int, outgoing: OutgoingPacket | None) -> None:
        self._waiting.pop(request_id, None)
        if outgoing is not None and outgoing in self._outgoing:
            self._outgoing.remove(outgoing)
            outgoing.close()

    def _readable(self) -> None:
        for _ in range(PACKETS_AT_ONCE):
            if self._ended is not None:
                return
            try:
                packet = receive(self._sock)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._disconnect(f"the session's agent is gone ({error.strerror})")
                return
            self._handle_packet(*packet)

    def _handle_packet(self, data: bytes, fds: list[int], flags: int) -> None:
        try:
            if not data:
                raise SandboxGone("the session has ended")
            fields, fds = unpack(data, fds, flags)
            self._deliver_reply(fields, fds)
        except (SandboxGone, MalformedReply) as error:
            for fd in fds:
                os.close(fd)
            self._disconnect(str(error))

    def _deliver_reply(self, fields: dict[str, Any], fds: list[int]) -> None:
        if fields.get("ready") is True and not self.ready.done():
            self.ready.set_result(fields)
            Reply(fields, tuple(fds)).close()
            return
        request_id, error = get_integer(fields, "id"), find_error(fields)
        future = self._waiting.pop(request_id, None)
        reply = Reply(fields, tuple(fds))
        if future is not None and error is None:
            future.set_result(reply)
            return
        reply.close()
        if future is not None and error is not None:
            future.set_exception(error)

    def _disconnect(self, reason: str) -> None:
        if self._ended is None:
            self.close(reason)
            self.on_disconnect()


class PendingReply:
    """A reply that has not come yet; leaving its `with` block abandons it.

    Attributes:
        id: The id of the request, which the answer repeats.
        sent: The packet of the request, if there is one.
    """

    def __init__(
        self, channel: AgentClient, request_id: int, future: asyncio.Future[Reply]
    ) -> None:
        self.id = request_id
        self.sent: OutgoingPacket | None = None
        self._channel = channel
        self._future = future
        self._taken = False

    def __enter__(self) -> PendingReply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Abandon it, and close the descriptors of an answer that nobody took. Repeatable."""
        self._channel._forget(self.id, self.sent)
        if not self._taken and self._future.done() and not self._future.exception():
            self._future.result().close()
        self._future.cancel()

    async def wait(self, within: float | None) -> Reply:
        """Wait for the answer; with None, for as long as the sandbox lives."""
        done, _ = await asyncio.wait([self._future], timeout=within)
        if not done:
            raise SandboxTimeout(f"the session did not answer within {within} seconds")
        self._taken = True
        return self._future.result()


def _fail(future: asyncio.Future[Any], reason: str) -> None:
    if not future.done():
        future.set_exception(SandboxGone(reason))
        future.exception()  # retrieved, so that asyncio logs nothing when nobody waits
