"""The client of a session's agent, over a socket.

Each request has an id, so that several can wait for answers at the same time. Answers are not
trusted, because a session may control its agent: sizes, types and descriptors are checked, every
wait has a deadline, and the first malformed packet ends the connection.

`agentbay_local.sandbox.inside.wire` describes the format. Each request is answered once and has a
limit for its answer, so a session cannot make the service work more than its callers ask for. What
long answers contain is parsed by their readers, in steps.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import stat
import struct
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from agentbay_local.sandbox.errors import (
    MalformedReply,
    SandboxGone,
    SandboxOSError,
    SandboxTimeout,
)
from agentbay_local.sandbox.inside.files import MOST_FOUND, MOST_LISTED
from agentbay_local.sandbox.inside.wire import HEAD, LARGEST, LONGEST_PATH, PACKET, memory_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agentbay_local.sandbox.errors import SandboxError

__all__ = ["AgentClient", "PendingReply", "Reply", "disable_linger", "parse_json"]

PACKETS_AT_ONCE = 32
DESCRIPTORS = 4

MOST_ABANDONED = 65_536
"""Abandoned requests whose answers are still accepted, and dropped."""


@attrs.frozen
class AnswerLimit:
    """The limits of the answer to one request.

    Attributes:
        size: Bytes of its body, or of its records.
        fds: Descriptors beside it.
        records: How many records; 0 for an answer that is one object.
    """

    size: int = 256
    fds: int = 0
    records: int = 0


_SMALL = AnswerLimit()

ANSWER_LIMITS: Mapping[str, AnswerLimit] = MappingProxyType(
    {
        "dial": AnswerLimit(fds=1),
        "fork": AnswerLimit(fds=1),
        "list": AnswerLimit(LARGEST, 1, MOST_LISTED),
        "open": AnswerLimit(fds=1),
        "proxy": AnswerLimit(fds=1),
        "search": AnswerLimit(LARGEST, 1, MOST_FOUND),
        "spawn": AnswerLimit(),
        "stat": AnswerLimit(PACKET),
        "survey": AnswerLimit(LARGEST, 1, MOST_FOUND),
        "terminal": AnswerLimit(fds=1),
    }
)
"""The limits of answers that are larger than a few numbers, by the operation."""


@attrs.frozen
class Reply:
    """One answer, of which only the format is checked; the caller owns its descriptors.

    Attributes:
        fields: Its fields.
        fds: Its descriptors; of an answer with records, the file of the records.
        size: Bytes of the records.
        count: Number of records.
    """

    fields: dict[str, Any]
    fds: tuple[int, ...] = ()
    size: int = 0
    count: int = 0

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
        close_descriptors(self.fds)


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
        self._waiting: dict[int, PendingReply] = {}
        # Their answers may still come. A dict, because it keeps the order.
        self._abandoned: dict[int, None] = {}
        self._outgoing: deque[_Packet] = deque()
        self._last_id = -1
        self._ended: str | None = None
        # The report of the agent has the number 0, though nobody asks for it.
        self.ready = PendingReply(self, _SMALL).future
        self._loop.add_reader(sock.fileno(), self._readable)

    def begin(
        self, operation: str, fields: Mapping[str, object], fds: Sequence[int] = ()
    ) -> PendingReply:
        """Send a request; return its pending reply.

        The descriptors must stay open until the reply is closed.
        """
        call = PendingReply(self, ANSWER_LIMITS.get(operation, _SMALL))
        call.unsent = self._send({**fields, "op": operation, "id": call.id}, fds)
        return call

    def expect_reply(self) -> PendingReply:
        """Return a pending reply without a request; another request tells the agent its id."""
        return PendingReply(self, _SMALL)

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

    def interrupt(self, error: SandboxError) -> None:
        """Fail every request that has a time limit, because the agent cannot answer now.

        What has no time limit, such as the end of a program, is still waited for.
        """
        for expected in [one for one in self._waiting.values() if one.is_timed]:
            self._abandon(expected.id)
            expected.future.set_exception(error)

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
        for expected in self._waiting.values():
            _fail(expected.future, reason)
        self._waiting.clear()

    def _send(
        self, message: dict[str, object], fds: Sequence[int], keep: bool = True
    ) -> _Packet | None:
        """Send a message, or keep it until the socket has room; then return its packet."""
        data = json.dumps(message).encode("ascii")
        packet = None
        if len(data) > PACKET:
            packet = _spill(data, fds)
            data, fds = packet.data, packet.fds
        if not self._outgoing and self._try_send(data, fds):
            if packet is not None:
                packet.close()
            return None
        packet = packet or _Packet(data, fds)
        if not keep:
            packet.close()
            return None
        self._outgoing.append(packet)
        self._loop.add_writer(self._sock.fileno(), self._writable)
        return packet

    def _try_send(self, data: bytes, fds: Sequence[int]) -> bool:
        """Send a packet; return False if the socket has no room for it."""
        rights = array.array("i", fds)
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        try:
            self._sock.sendmsg([data], control)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._disconnect(f"the session's agent is gone ({error.strerror})")
        return True

    def _writable(self) -> None:
        # Sending may end the connection, which closes all packets.
        while self._outgoing and self._try_send(self._outgoing[0].data, self._outgoing[0].fds):
            if self._outgoing:
                self._outgoing.popleft().close()
        if not self._outgoing and self._ended is None:
            self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        for _ in range(PACKETS_AT_ONCE):
            if self._ended is not None:
                return
            answer = None
            try:
                answer = _receive(self._sock)
                self._deliver(answer)
            except (BlockingIOError, InterruptedError):
                return
            except (SandboxGone, MalformedReply) as error:
                close_descriptors(answer.fds if answer is not None else ())
                self._disconnect(str(error))
            except OSError as error:
                self._disconnect(f"the session's agent is gone ({error.strerror})")

    def _deliver(self, answer: _Answer) -> None:
        """Pass an answer to its pending request.

        Raises:
            MalformedReply: Nobody has made such a request, or its answer is too large or invalid.
        """
        if answer.request in self._abandoned:
            del self._abandoned[answer.request]
            close_descriptors(answer.fds)
            return
        expected = self._waiting.get(answer.request)
        if expected is None:
            raise MalformedReply("the session's agent answered an unknown request")
        outcome = answer.error() if answer.errno else answer.reply(expected.limit)
        del self._waiting[answer.request]
        if isinstance(outcome, Reply):
            expected.future.set_result(outcome)
        else:
            expected.future.set_exception(outcome)

    def _abandon(self, request: int) -> None:
        """Drop the answer of a request when it comes."""
        if self._waiting.pop(request, None) is not None:
            self._abandoned[request] = None
            if len(self._abandoned) > MOST_ABANDONED:
                del self._abandoned[next(iter(self._abandoned))]

    def _disconnect(self, reason: str) -> None:
        if self._ended is None:
            self.close(reason)
            self.on_disconnect()


class PendingReply:
    """A reply that has not come yet; leaving its `with` block abandons it.

    Args:
        client: The client, which gives it an id.
        limit: What the answer may have.

    Attributes:
        id: The id of the request, which the answer repeats.
        future: The answer.
        is_timed: Whether a time limit for the answer runs.
        unsent: The packet of the request, if it could not be sent at once.

    Raises:
        SandboxGone: The agent has ended.
    """

    def __init__(self, client: AgentClient, limit: AnswerLimit) -> None:
        if client._ended is not None:
            raise SandboxGone(client._ended)
        client._last_id += 1
        self.id = client._last_id
        self.future: asyncio.Future[Reply] = client._loop.create_future()
        self.limit = limit
        self.is_timed = False
        self.unsent: _Packet | None = None
        self._client = client
        self._taken = False
        client._waiting[self.id] = self

    def __enter__(self) -> PendingReply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Abandon it, and close the descriptors of an answer that nobody took. Repeatable."""
        if self.unsent is not None and self.unsent in self._client._outgoing:
            self._client._outgoing.remove(self.unsent)
            self.unsent.close()
            self._client._waiting.pop(self.id, None)
        self._client._abandon(self.id)
        if not self.future.done():
            self.future.cancel()
        elif not self._taken and not self.future.cancelled() and not self.future.exception():
            self.future.result().close()
            self._taken = True

    def forget(self) -> None:
        """Abandon it for good: no answer will come."""
        self._client._waiting.pop(self.id, None)
        self.close()

    async def wait(self, within: float | None) -> Reply:
        """Wait for the answer; with None, for as long as the sandbox lives."""
        self.is_timed = within is not None
        done, _ = await asyncio.wait([self.future], timeout=within)
        if not done:
            raise SandboxTimeout(f"the session did not answer within {within} seconds")
        self._taken = True
        return self.future.result()


class _Answer(NamedTuple):  # made for each packet, and cheaper to make than a frozen class
    """A packet of the agent; only its header is parsed.

    Attributes:
        request: The id of the request.
        errno: The number of the error; 0 if there is none.
        size: Bytes of the body, or of the records.
        records: Number of records.
        body: The body.
        fds: The descriptors.
    """

    request: int
    errno: int
    size: int
    records: int
    body: bytes
    fds: tuple[int, ...]

    def error(self) -> SandboxOSError:
        """Return the error that it reports.

        Raises:
            MalformedReply: It is an invalid one.
        """
        if self.errno < 0 or self.fds or self.records or len(self.body) > LONGEST_PATH:
            raise MalformedReply("the session's agent sent an invalid error")
        return SandboxOSError(self.errno, self.body.decode("utf-8", "surrogateescape"))

    def reply(self, limit: AnswerLimit) -> Reply:
        """Return the answer, if it is within a limit.

        Raises:
            MalformedReply: It is not, or it is invalid.
        """
        if self.size > limit.size or self.records > limit.records or len(self.fds) > limit.fds:
            raise MalformedReply("the session's agent sent more than the answer may have")
        if limit.records:
            self._check_file()
            return Reply({}, self.fds, self.size, self.records)
        fields = parse_json(self.body)
        if not isinstance(fields, dict) or self.size != len(self.body):
            raise MalformedReply("the session's agent sent something that is not an object")
        return Reply(fields, self.fds)

    def _check_file(self) -> None:
        facts = os.fstat(self.fds[0]) if self.fds else None
        if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size != self.size:
            raise MalformedReply("the session's agent sent records of the wrong kind or size")


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


def _receive(sock: socket.socket) -> _Answer:
    """Receive one packet, and read its head.

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
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or 0 < len(data) < HEAD.size:
        close_descriptors(rights)
        raise MalformedReply("the session's agent sent less or more than a packet holds")
    if not data:
        close_descriptors(rights)
        raise SandboxGone("the session has ended")
    request, number, size, count = HEAD.unpack_from(data)
    return _Answer(request, number, size, count, data[HEAD.size :], tuple(rights))


def parse_json(data: bytes) -> Any:
    """Parse some JSON, whose size is bounded already.

    Raises:
        MalformedReply: It is not JSON, or nested too deeply.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedReply("the session's agent sent something that is not JSON") from None


def close_descriptors(fds: Iterable[int]) -> None:
    """Close descriptors of any kind."""
    for fd in fds:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            with socket.socket(fileno=fd) as sock:
                disable_linger(sock)
        else:
            os.close(fd)


def disable_linger(sock: socket.socket) -> None:
    """Let `close` return at once: with SO_LINGER it blocks for as long as the session likes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
