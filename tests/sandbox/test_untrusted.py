"""A compromised agent that talks to the service."""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import json
import os
import socket
import struct
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbay_local.sandbox.base import Entry, SandboxSpec
from agentbay_local.sandbox.errors import (
    MalformedReply,
    SandboxError,
    SandboxGone,
    SandboxOSError,
    SandboxTimeout,
)
from agentbay_local.sandbox.host import replies
from agentbay_local.sandbox.host.agent_client import (
    ANSWER_LIMITS,
    AgentClient,
    AnswerLimit,
    Reply,
)
from agentbay_local.sandbox.host.file_systems import kinds_of_session
from agentbay_local.sandbox.inside import wire

from .process_table import open_count, until_open_at_most

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SESSION_KINDS = kinds_of_session(SandboxSpec(Path(__file__).parent))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
ENTRY = {
    "path": "/f",
    "name": "f",
    "size": 1,
    "mode": 33188,
    "modified": 1.0,
    "accessed": 1.0,
    "changed": 1.0,
    "is_dir": False,
    "is_file": True,
    "is_symlink": False,
    "owner": "wuying",
    "group": "wuying",
}


@asynccontextmanager
async def channel_pair() -> AsyncIterator[tuple[AgentClient, socket.socket]]:
    """Return the service's end of a channel, and the end of the hostile agent."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = AgentClient(ours)
    try:
        yield channel, theirs
    finally:
        channel.close("the test is over")
        theirs.close()


def packet(
    request: int,
    body: object = b"",
    *,
    error: int = 0,
    size: int | None = None,
    count: int = 0,
) -> bytes:
    """Return a packet of the agent; `size` is that of the body unless it lies."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire.HEAD.pack(request, error, len(data) if size is None else size, count) + data


def send_packet(liar: socket.socket, data: bytes, fds: Sequence[int] = ()) -> None:
    """Send any packet."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    liar.sendmsg([data], rights)


@given(
    sent=st.binary(min_size=1, max_size=200)
    | JSON.map(lambda one: packet(1, one))
    | st.binary(max_size=100).map(lambda path: packet(1, path, error=2))
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_packet_ends_in_an_answer_or_a_sandbox_error(sent: bytes) -> None:
    """The caller gets an answer or a typed error, and never waits for ever."""

    async def scene() -> None:
        async with channel_pair() as (channel, liar):
            pending = asyncio.ensure_future(channel.request("stat", {}, within=0.2))
            await asyncio.sleep(0)
            send_packet(liar, sent)
            try:
                (await pending).close()
            except SandboxError:
                return

    asyncio.run(scene())


@given(fields=JSON)
@settings(max_examples=200, deadline=None)
def test_any_answer_is_a_value_or_malformed(fields: Any) -> None:
    """The decoders raise one error for any input."""
    for decode in (
        replies.parse_entry,
        replies.parse_path,
        replies.parse_mark,
        lambda given: Reply(given if isinstance(given, dict) else {}).integer("exit", 0, 255),
    ):
        try:
            decode(fields)
        except MalformedReply:
            continue


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Entry)])
def test_entry_needs_every_field_with_its_type(name: str) -> None:
    """A bool is not a number, and a number is not a string."""
    assert replies.parse_entry(ENTRY).path == "/f"
    wrong: list[object] = [None, [], {}, "x" if type(ENTRY[name]) is not str else 1, True]
    for value in wrong:
        if type(value) is not type(ENTRY[name]):
            with pytest.raises(MalformedReply, match=name):
                replies.parse_entry({**ENTRY, name: value})


@pytest.mark.parametrize(
    "sent",
    [
        b"short",
        packet(1, b"not json"),
        packet(1, [1]),
        packet(1, b"[" * 20_000),
        packet(1, {}, size=1),
        packet(1, {}, size=2**32 - 1),
        packet(1, {}, count=1),
        packet(1, b"x" * (wire.LONGEST_PATH + 1), error=2),
        packet(1, error=-2),
        packet(1, error=2, count=1),
        packet(1, b"x" * 100_000),
        packet(2, {}),
        packet(2**64 - 1, {}),
    ],
)
async def test_malformed_packet_closes_the_channel(sent: bytes) -> None:
    """The caller and the owner of the sandbox are notified at once."""
    async with channel_pair() as (channel, liar):
        broken = asyncio.Event()
        channel.on_disconnect = broken.set
        pending = asyncio.ensure_future(channel.request("stat", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, sent)

        with pytest.raises(SandboxGone):
            await asyncio.wait_for(pending, 30)
        assert broken.is_set()
        with pytest.raises(SandboxGone):
            channel.begin("stat", {})


@pytest.mark.parametrize("operation", ["stat", "run", "open", "move", "list", "survey"])
async def test_answer_of_an_operation_has_a_limit(operation: str) -> None:
    """More ends the conversation before it is parsed."""
    size = ANSWER_LIMITS.get(operation, AnswerLimit()).size + 1
    async with channel_pair() as (channel, liar):
        pending = asyncio.ensure_future(channel.request(operation, {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, packet(1, b"[" * min(size, wire.PACKET), size=size))

        with pytest.raises(SandboxGone, match="more than"):
            await pending


async def test_answer_to_no_request_ends_the_conversation() -> None:
    """Its sender has taken over the socket of the agent; the packet is not parsed."""
    async with channel_pair() as (channel, liar):
        before = open_count()
        pending = asyncio.ensure_future(channel.request("stat", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, packet(999, b"{" * 10_000), [liar.fileno(), liar.fileno()])

        with pytest.raises(SandboxGone, match="answered an unknown request"):
            await pending
        await until_open_at_most(before - 1)  # the channel's own socket


async def test_request_is_answered_once() -> None:
    """Small valid answers would keep the service busy otherwise."""
    async with channel_pair() as (channel, liar):
        pending = asyncio.ensure_future(channel.request("stat", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, packet(1, {"n": 1}))
        assert (await pending).fields["n"] == 1

        other = asyncio.ensure_future(channel.request("stat", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, packet(1, {"n": 2}), [liar.fileno()])
        with pytest.raises(SandboxGone):
            await other


async def test_agent_reports_its_start_once() -> None:
    """A second report is an answer to nothing."""
    async with channel_pair() as (channel, liar):
        send_packet(liar, packet(0, {"pid": 1}))
        assert (await channel.ready).fields == {"pid": 1}
        pending = asyncio.ensure_future(channel.request("stat", {}, within=30))
        send_packet(liar, packet(0, {"pid": 1}))

        with pytest.raises(SandboxGone):
            await pending


async def test_answer_to_an_abandoned_request_is_dropped() -> None:
    """The honest agent does not know that nobody waits any more; its descriptors are closed."""
    async with channel_pair() as (channel, liar):
        before = open_count()
        with pytest.raises(SandboxTimeout):
            await channel.request("open", {}, within=0.01)
        send_packet(liar, packet(1, {}), [liar.fileno()])
        pending = asyncio.ensure_future(channel.request("stat", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, packet(2, {"n": 1}))

        assert (await pending).fields == {"n": 1}
        await until_open_at_most(before)


async def test_descriptor_that_lingers_is_closed_at_once() -> None:
    """A session could make `close` wait for data that nobody reads."""
    async with channel_pair() as (channel, liar):
        with socket.create_server(("127.0.0.1", 0)) as server:
            connected = socket.create_connection(server.getsockname())
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
            connected.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while connected.send(bytes(1 << 20)):
                    pass
            pending = asyncio.ensure_future(channel.request("stat", {}, within=60))
            await asyncio.sleep(0)
            send_packet(liar, packet(999), [connected.fileno()])
            os.close(connected.detach())  # the copy in the packet is the last one now

            with pytest.raises(SandboxGone):
                await asyncio.wait_for(pending, 30)


async def test_silent_agent_runs_into_the_deadline() -> None:
    """The caller does not wait longer."""
    async with channel_pair() as (channel, _):
        with pytest.raises(SandboxTimeout):
            await channel.request("stat", {}, within=0.05)


async def test_reply_can_be_abandoned_twice() -> None:
    """The second time does nothing, whether the answer has come or not."""
    async with channel_pair() as (channel, liar):
        before = open_count()
        early, late, last = (channel.begin("open", {}) for _ in range(3))
        early.close()
        early.close()
        send_packet(liar, packet(late.id, {}), [liar.fileno()])
        send_packet(liar, packet(last.id, {}))
        await last.wait(30)
        late.close()
        late.close()

        await until_open_at_most(before)


async def test_full_socket_does_not_block() -> None:
    """Requests to an agent that never reads time out and are forgotten."""
    async with channel_pair() as (channel, _):
        pending = [channel.request("stat", {"path": "x" * 20_000}, within=0.2) for _ in range(100)]
        results = await asyncio.gather(*pending, return_exceptions=True)

    assert {SandboxTimeout} == {type(one) for one in results}


async def test_requests_that_wait_for_room_are_closed_once() -> None:
    """They have descriptors, whose numbers may belong to other files the second time."""
    unhandled: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: unhandled.append(context))
    async with channel_pair() as (channel, liar):
        before = open_count()
        fields = {"path": "x" * wire.PACKET}
        pending = [asyncio.ensure_future(channel.request("stat", fields, within=30))]
        while not channel._outgoing:
            pending.append(asyncio.ensure_future(channel.request("stat", fields, within=30)))
            await asyncio.sleep(0)
        # From now on sending fails, and there is no end to read.
        liar.shutdown(socket.SHUT_RD)
        while liar.recv(1 << 16):
            pass
        results = await asyncio.gather(*pending, return_exceptions=True)
        await until_open_at_most(before - 1)  # the channel's own socket

    assert {SandboxGone} == {type(one) for one in results}
    assert unhandled == []


@pytest.mark.parametrize("number", [2, 50])
async def test_too_many_descriptors_close_the_channel(number: int) -> None:
    """They are closed; no answer needs more than a few."""
    async with channel_pair() as (channel, liar):
        before = open_count()
        pending = asyncio.ensure_future(channel.request("open", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, packet(1, {}), [liar.fileno()] * number)

        with pytest.raises(SandboxGone):
            await pending
        await until_open_at_most(before - 1)  # the channel's own socket


@pytest.mark.parametrize("kind", ["pipe", "directory", "short", "long", "none"])
async def test_records_of_the_wrong_kind_or_size_are_rejected(kind: str) -> None:
    """A pipe would block, a directory cannot be read, a wrong size would be read past."""
    read, write = os.pipe()
    file = records(b'"a"\n' * 9)
    place = os.open("/", os.O_RDONLY)
    sizes = {"short": 5, "long": 2**20, "directory": os.fstat(place).st_size}
    sent: list[int] = {"pipe": [read], "directory": [place], "none": []}.get(kind, [file])
    try:
        async with channel_pair() as (channel, liar):
            pending = asyncio.ensure_future(channel.request("search", {}, within=30))
            await asyncio.sleep(0)
            send_packet(liar, packet(1, size=sizes.get(kind, 36), count=9), sent)
            with pytest.raises(SandboxGone, match="wrong kind or size"):
                await pending
    finally:
        for fd in (read, write, file, place):
            os.close(fd)


def records(content: bytes) -> int:
    """Return a memory file."""
    file = os.memfd_create("records")
    os.write(file, content)
    return file


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b'"a"\n', 2),
        (b'"a"\n' * 3, 2),
        (b'"a"', 1),
        (b"{}\n", 1),
        (b"{{\n", 1),
        (b"[" * 20_000 + b"\n", 1),
        (b'"' + b"x" * 200_000 + b'"\n', 1),
    ],
)
async def test_invalid_records_are_malformed(content: bytes, count: int) -> None:
    """Too few, too many, the wrong kind, too long, nested too deeply."""
    reply = Reply({}, (records(content),), len(content), count)
    try:
        with pytest.raises(MalformedReply):
            await replies.read_records(reply, replies.parse_path)
    finally:
        reply.close()


async def test_others_have_their_turn_while_many_records_are_parsed() -> None:
    """However much a session sends, its answer takes half of the loop at most."""
    content = b'"/tmp/a/file"\n' * 50_000
    reply = Reply({}, (records(content),), len(content), 50_000)
    reading = asyncio.ensure_future(replies.read_records(reply, replies.parse_path))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    reply.close()

    assert len(reading.result()) == 50_000
    assert turns > 10


@pytest.mark.parametrize(
    "kind", ["fifo", "directory", "device", "read-only", "no access", "none", "two"]
)
def test_opened_file_is_checked_again(kind: str, tmp_path: Path) -> None:
    """Only a single regular file, open in the requested mode, reaches the caller."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "f").touch()
    place = {"fifo": tmp_path / "fifo", "directory": tmp_path, "device": Path("/dev/zero")}
    flags = os.O_RDONLY | os.O_NONBLOCK | (os.O_PATH if kind == "no access" else 0)
    count = {"none": 0, "two": 2}.get(kind, 1)
    fds = tuple(os.open(place.get(kind, tmp_path / "f"), flags) for _ in range(count))

    with pytest.raises(MalformedReply):
        replies.take_regular_file(Reply({}, fds), "f", kind == "read-only", SESSION_KINDS)
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


@pytest.mark.parametrize("name", ["/proc/self/oom_score_adj", "/sys/kernel/mm/ksm/run"])
def test_file_of_the_kernel_is_not_taken(name: str) -> None:
    """The kernel checks some writes against the writer, which would be the service."""
    if not os.path.exists(name):
        pytest.skip(f"this kernel has no {name}")
    opened = os.open(name, os.O_RDONLY)

    with pytest.raises(SandboxOSError, match="a file of the kernel"):
        replies.take_regular_file(Reply({}, (opened,)), "report.txt", False, SESSION_KINDS)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened)


async def test_end_of_the_agent_fails_every_request() -> None:
    """All pending requests raise."""
    async with channel_pair() as (channel, liar):
        pending = [asyncio.ensure_future(channel.request("stat", {}, within=30)) for _ in range(5)]
        await asyncio.sleep(0)
        liar.close()
        results = await asyncio.gather(*pending, return_exceptions=True)

    assert [SandboxGone] * 5 == [type(one) for one in results]


def test_honest_agent_knows_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge listing does not end its session."""
    monkeypatch.setattr(wire, "LARGEST", 1000)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        with pytest.raises(OSError, match=str(errno.EOVERFLOW)):
            wire.send_records(theirs, 7, ["x" * 1000])
        wire.send_error(theirs, 7, errno.EOVERFLOW, "/" + "x" * 20_000)

        received = ours.recv(50_000)
        assert wire.HEAD.unpack_from(received) == (7, errno.EOVERFLOW, wire.LONGEST_PATH, 0)
        assert received[wire.HEAD.size :] == b"/" + b"x" * (wire.LONGEST_PATH - 1)
