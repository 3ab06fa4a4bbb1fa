"""The client of a session's agent, over a socket.

Each request has an id, so that several can wait for answers at the same time. Answers are not
trusted, because a session may control its agent: sizes, types and descriptors are checked, every
wait has a deadline, and the first malformed packet ends the connection.

A packet is one JSON object, with descriptors beside it; `agentbay_local.sandbox.inside.wire`
describes the format.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import stat
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.sandbox.errors import (
    MalformedReply,
    SandboxGone,
    SandboxOSError,
    SandboxTimeout,
)
from agentbay_local.sandbox.inside.wire import LARGEST, PACKET, memory_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["AgentClient", "PendingReply", "Reply"]

PACKETS_AT_ONCE = 32
DESCRIPTORS = 4


@attrs.frozen
class Reply:
    """One answer, of which only the format is checked; the caller owns its descriptors."""

    fields: dict[str, Any]
    fds: tuple[int, ...] = ()

    def integer(self, name: str, least: int = -(2**63), most: int = 2**63 - 1) -> int:
        """Return a field that must be an integer from `least` to `most`.

        Raises:
            MalformedReply: It is not.
        """
        value = self.fields.get(name)
        if type(value) is not int or not least <= value <= most:
            raise MalformedReply(f"the session's agent sent no usable {name}")
        return value

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
        self._outgoing: deque[_Packet] = deque()
        self._last_id = 0
        self._ended: str | None = None
        self.ready: asyncio.Future[Reply] = self._loop.create_future()
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
        return PendingReply(self._last_id, self, future)

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

    def _send(self, message: dict[str, object], fds: Sequence[int], keep: bool = True) -> _Packet:
        data = json.dumps(message).encode("ascii")
        packet = _Packet(data, fds) if len(data) <= PACKET else _spill(data, fds)
        if self._outgoing or not self._try_send(packet):
            if keep:
                self._outgoing.append(packet)
                self._loop.add_writer(self._sock.fileno(), self._writable)
            else:
                packet.close()
        return packet

    def _try_send(self, packet: _Packet) -> bool:
        rights = array.array("i", packet.fds)
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        try:
            self._sock.sendmsg([packet.data], control)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            packet.close()
            self._disconnect(f"the session's agent is gone ({error.strerror})")
            return True
        if packet.owned is not None:
            packet.close()
        return True

    def _writable(self) -> None:
        while self._outgoing and self._ended is None and self._try_send(self._outgoing[0]):
            if self._outgoing:
                self._outgoing.popleft()
        if not self._outgoing and self._ended is None:
            self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        for _ in range(PACKETS_AT_ONCE):
            if self._ended is not None:
                return
            try:
                self._deliver(_receive(self._sock))
            except (BlockingIOError, InterruptedError):
                return
            except (SandboxGone, MalformedReply) as error:
                self._disconnect(str(error))
            except OSError as error:
                self._disconnect(f"the session's agent is gone ({error.strerror})")

    def _deliver(self, reply: Reply) -> None:
        """Pass a reply to its pending request, or close its descriptors."""
        if reply.fields.get("ready") is True and not self.ready.done():
            reply.close()
            self.ready.set_result(reply)
            return
        try:
            request_id = reply.integer("id")
            error = _system_error(reply) if "errno" in reply.fields else None
        except MalformedReply:
            reply.close()
            raise
        future = self._waiting.pop(request_id, None)
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


@attrs.define(eq=False)
class PendingReply:
    """A reply that has not come yet; leaving its `with` block abandons it.

    Attributes:
        id: The id of the request, which the answer repeats.
        sent: The packet of the request, if there is one.
    """

    id: int
    _client: AgentClient
    _future: asyncio.Future[Reply]
    sent: _Packet | None = None
    _taken: bool = False

    def __enter__(self) -> PendingReply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Abandon it, and close the descriptors of an answer that nobody took. Repeatable."""
        self._client._waiting.pop(self.id, None)
        if self.sent is not None and self.sent in self._client._outgoing:
            self._client._outgoing.remove(self.sent)
            self.sent.close()
        if not self._future.done():
            self._future.cancel()
        elif not self._taken and not self._future.cancelled() and not self._future.exception():
            self._future.result().close()
            self._taken = True

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


@attrs.define(eq=False)
class _Packet:
    """A packet to send with its descriptors, of which it may own one."""

    data: bytes
    fds: Sequence[int]
    owned: int | None = None

    def close(self) -> None:
        """Close the descriptor it owns."""
        if self.owned is not None:
            os.close(self.owned)


def _spill(data: bytes, fds: Sequence[int]) -> _Packet:
    """Put a message that is too large for a packet into a memory file."""
    payload = memory_file(data)
    return _Packet(json.dumps({"large": len(data)}).encode("ascii"), [payload, *fds], payload)


def _receive(sock: socket.socket) -> Reply:
    """Receive one packet.

    Raises:
        BlockingIOError: None is there.
        SandboxGone: The other side is closed.
        MalformedReply: The packet breaks the protocol. Its descriptors are closed.
    """
    room = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, flags, _ = sock.recvmsg(2 * PACKET, room, socket.MSG_CMSG_CLOEXEC)
    rights = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            rights.frombytes(payload[: len(payload) - len(payload) % rights.itemsize])
    reply = Reply({}, tuple(rights))
    try:
        if not data:
            raise SandboxGone("the session has ended")
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise MalformedReply("the session's agent sent more than a packet holds")
        reply = Reply(_object(data), reply.fds)
        if "large" in reply.fields:
            content = _read_payload(reply.fds, reply.integer("large", 0, LARGEST))
            spilled, *fds = reply.fds
            reply = Reply(_object(content), tuple(fds))
            os.close(spilled)
    except BaseException:
        reply.close()
        raise
    return reply


def _read_payload(fds: Sequence[int], size: int) -> bytes:
    """Read the memory file of a message that is too large for a packet."""
    if not fds:
        raise MalformedReply("the session's agent announced a payload and sent none")
    facts = os.fstat(fds[0])
    if not stat.S_ISREG(facts.st_mode) or size != facts.st_size:
        raise MalformedReply("the session's agent sent a payload of the wrong kind or size")
    content = bytearray()
    while len(content) < size:
        part = os.pread(fds[0], size - len(content), len(content))
        if not part:
            raise MalformedReply("the session's agent cut a payload short")
        content += part
    return bytes(content)


def _object(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedReply("the session's agent sent something that is not JSON") from None
    if not isinstance(fields, dict):
        raise MalformedReply("the session's agent sent something that is not an object")
    return fields


def _system_error(reply: Reply) -> SandboxOSError:
    path = reply.fields.get("path")
    if not isinstance(path, str):
        raise MalformedReply("the session's agent sent no usable path")
    return SandboxOSError(reply.integer("errno"), path)
