"""The service's end of the conversation with a session's agent.

Requests carry an id, so many can be under way at once. Whatever comes back is untrusted:
a session may have taken its agent over. Sizes, types and descriptors are checked, nothing is waited
for without a deadline, and the first malformed packet ends the conversation.
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

from agentbay_local.sandbox.inside.wire import PACKET, memory_file
from agentbay_local.sandbox.problems import (
    FileProblem,
    MalformedReply,
    SandboxGone,
    SandboxTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["PAYLOAD_LIMIT", "Channel", "Reply"]

PAYLOAD_LIMIT = 64 * 1024 * 1024
"""Bytes of the largest answer that is read from a session."""

DESCRIPTORS = 4
PACKETS_AT_ONCE = 32


@attrs.frozen
class Reply:
    """One answer; whoever awaits it owns the descriptors."""

    fields: dict[str, Any]
    fds: tuple[int, ...] = ()

    def close(self) -> None:
        """Close every descriptor that came along."""
        for fd in self.fds:
            os.close(fd)


@attrs.define(eq=False)
class _Outgoing:
    data: bytes
    fds: Sequence[int]
    owned: int | None = None

    def close(self) -> None:
        if self.owned is not None:
            os.close(self.owned)


class Channel:
    """Requests and answers over one socket, on the running event loop.

    Args:
        sock: The service's end of a SOCK_SEQPACKET pair; the channel closes it.

    Attributes:
        ready: Done when the agent has reported.
        on_broken: Called once when the agent is gone or lied.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self.on_broken: Callable[[], None] = lambda: None
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._outgoing: deque[_Outgoing] = deque()
        self._last_id = 0
        self._ended: str | None = None
        self.ready: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._loop.add_reader(sock.fileno(), self._readable)

    def begin(self, operation: str, fields: Mapping[str, object], fds: Sequence[int] = ()) -> Call:
        """Send a request and return it, to be awaited or given up.

        The descriptors must stay open until the call has ended.
        """
        if self._ended is not None:
            raise SandboxGone(self._ended)
        self._last_id += 1
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[self._last_id] = future
        message = self._post({**fields, "op": operation, "id": self._last_id}, fds)
        return Call(self, self._last_id, future, message)

    async def request(
        self, operation: str, fields: Mapping[str, object], *, within: float
    ) -> Reply:
        """Send a request and wait for its answer.

        Args:
            operation: What the agent shall do.
            fields: The operation's own fields.
            within: Seconds until `SandboxTimeout`.
        """
        with self.begin(operation, fields) as call:
            return await call.answer(within)

    def tell(self, operation: str, fields: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        """Send something that has no answer; copies of the descriptors are sent at once or never.

        When the socket is full the message waits, unless it carries descriptors.
        """
        if self._ended is None and not (fds and self._outgoing):
            self._post({**fields, "op": operation, "id": 0}, fds, keep=not fds)

    def end(self, reason: str) -> None:
        """Close the socket and fail everything that waits. Repeatable."""
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

    def _post(self, message: dict[str, object], fds: Sequence[int], keep: bool = True) -> _Outgoing:
        outgoing = _packed(message, fds)
        if self._outgoing or not self._sent(outgoing):
            if keep:
                self._outgoing.append(outgoing)
                self._loop.add_writer(self._sock.fileno(), self._writable)
            else:
                outgoing.close()
        return outgoing

    def _sent(self, outgoing: _Outgoing) -> bool:
        rights = array.array("i", outgoing.fds)
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        try:
            self._sock.sendmsg([outgoing.data], control)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            outgoing.close()
            self._broken(f"the session's agent is gone ({error.strerror})")
            return True
        outgoing.close()
        return True

    def _writable(self) -> None:
        while self._outgoing and self._ended is None and self._sent(self._outgoing[0]):
            if self._outgoing:
                self._outgoing.popleft()
        if not self._outgoing and self._ended is None:
            self._loop.remove_writer(self._sock.fileno())

    def _forget(self, request_id: int, outgoing: _Outgoing) -> None:
        self._waiting.pop(request_id, None)
        if outgoing in self._outgoing:
            self._outgoing.remove(outgoing)
            outgoing.close()

    def _readable(self) -> None:
        for _ in range(PACKETS_AT_ONCE):
            if self._ended is not None:
                return
            try:
                received = _receive(self._sock)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._broken(f"the session's agent is gone ({error.strerror})")
                return
            self._take(*received)

    def _take(self, data: bytes, fds: list[int], flags: int) -> None:
        try:
            if not data:
                raise SandboxGone("the session has ended")
            fields, fds = _parsed(data, fds, flags)
            self._deliver(fields, fds)
        except (SandboxGone, MalformedReply) as error:
            for fd in fds:
                os.close(fd)
            self._broken(str(error))

    def _deliver(self, fields: dict[str, Any], fds: list[int]) -> None:
        if fields.get("ready") is True and not self.ready.done():
            self.ready.set_result(fields)
            Reply(fields, tuple(fds)).close()
            return
        request_id, problem = _integer(fields, "id"), _problem(fields)
        future = self._waiting.pop(request_id, None)
        reply = Reply(fields, tuple(fds))
        if future is not None and problem is None:
            future.set_result(reply)
            return
        reply.close()
        if future is not None and problem is not None:
            future.set_exception(problem)

    def _broken(self, reason: str) -> None:
        if self._ended is None:
            self.end(reason)
            self.on_broken()


class Call:
    """A request under way; leaving its `with` block gives it up if it was not answered."""

    def __init__(
        self, channel: Channel, request_id: int, future: asyncio.Future[Reply], sent: _Outgoing
    ) -> None:
        self.id = request_id
        self._channel = channel
        self._future = future
        self._sent = sent
        self._taken = False

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel._forget(self.id, self._sent)
        if not self._taken and self._future.done() and not self._future.exception():
            self._future.result().close()
        self._future.cancel()

    async def answer(self, within: float | None) -> Reply:
        """Wait for the answer; None waits for as long as the sandbox lives."""
        done, _ = await asyncio.wait([self._future], timeout=within)
        if not done:
            raise SandboxTimeout(f"the session did not answer within {within} seconds")
        self._taken = True
        return self._future.result()


def _fail(future: asyncio.Future[Any], reason: str) -> None:
    if not future.done():
        future.set_exception(SandboxGone(reason))
        future.exception()  # looked at, so that nothing is logged when nobody waits


def _packed(message: dict[str, object], fds: Sequence[int]) -> _Outgoing:
    data = json.dumps(message).encode("ascii")
    if len(data) <= PACKET:
        return _Outgoing(data, fds)
    spill = memory_file(data)
    return _Outgoing(json.dumps({"large": len(data)}).encode("ascii"), [spill, *fds], spill)


def _receive(sock: socket.socket) -> tuple[bytes, list[int], int]:
    room = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, flags, _ = sock.recvmsg(2 * PACKET, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return data, fds.tolist(), flags


def _parsed(data: bytes, fds: list[int], flags: int) -> tuple[dict[str, Any], list[int]]:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise MalformedReply("the session's agent sent more than a packet holds")
    fields = _object(data)
    if "large" in fields:
        if not fds:
            raise MalformedReply("the session's agent announced a payload and sent none")
        fields = _object(_spilled(fds[0], _integer(fields, "large")))
        os.close(fds.pop(0))
    return fields, fds


def _spilled(fd: int, size: int) -> bytes:
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or not 0 <= size == facts.st_size <= PAYLOAD_LIMIT:
        raise MalformedReply("the session's agent sent a payload of the wrong kind or size")
    content = bytearray()
    while len(content) < size:
        part = os.pread(fd, size - len(content), len(content))
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


def _problem(fields: dict[str, Any]) -> FileProblem | None:
    if "errno" not in fields:
        return None
    return FileProblem(_integer(fields, "errno"), _text(fields, "path"))


def _integer(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise MalformedReply(f"the session's agent sent no usable {name}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise MalformedReply(f"the session's agent sent no usable {name}")
    return value
