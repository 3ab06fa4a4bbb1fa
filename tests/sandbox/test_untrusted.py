"""A compromised agent that talks to the service."""

from __future__ import annotations

import array
import asyncio
import errno
import json
import os
import socket
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
from agentbay_local.sandbox.host.agent_client import AgentClient, Reply
from agentbay_local.sandbox.host.file_systems import kinds_of_session
from agentbay_local.sandbox.inside import wire

from .process_table import open_count, until_open_at_most

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


def send_packet(liar: socket.socket, message: object, fds: list[int] | None = None) -> None:
    """Send any packet."""
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    liar.sendmsg([data], rights)


@given(packet=st.binary(min_size=1, max_size=200) | JSON.map(lambda one: json.dumps(one).encode()))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_packet_ends_in_an_answer_or_a_sandbox_error(packet: bytes) -> None:
    """The caller gets an answer or a typed error, and never waits for ever."""

    async def scene() -> None:
        async with channel_pair() as (channel, liar):
            pending = asyncio.ensure_future(channel.request("stat", {}, within=0.2))
            await asyncio.sleep(0)
            send_packet(liar, packet)
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
        replies.parse_paths,
        replies.parse_entries,
        lambda given: Reply(given).integer("exit", 0, 255),
    ):
        given_fields = fields if decode is replies.parse_entry or isinstance(fields, dict) else {}
        try:
            decode(given_fields)
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
    "packet",
    [
        b"not json",
        b"[1]",
        b"[" * 20_000,
        b'{"id": "1"}',
        b'{"id": true}',
        b'{"id": 1e300}',
        b'{"no": 1}',
        b'{"id": 1, "errno": "x", "path": ""}',
        b'{"id": 1, "errno": 2}',
        b'{"large": 10}',
        b"x" * 100_000,
    ],
)
async def test_malformed_packet_closes_the_channel(packet: bytes) -> None:
    """The caller and the owner of the sandbox are notified at once."""
    async with channel_pair() as (channel, liar):
        broken = asyncio.Event()
        channel.on_disconnect = broken.set
        pending = asyncio.ensure_future(channel.request("stat", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, packet)

        with pytest.raises(SandboxGone):
            await asyncio.wait_for(pending, 5)
        assert broken.is_set()
        with pytest.raises(SandboxGone):
            channel.begin("stat", {})


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
        send_packet(liar, {"id": late.id}, [liar.fileno()])
        send_packet(liar, {"id": last.id})
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


async def test_unexpected_answers_are_dropped_with_their_descriptors() -> None:
    """Second greetings, unknown ids and repeated answers leave nothing behind."""
    async with channel_pair() as (channel, liar):
        before = open_count()
        send_packet(liar, {"ready": True}, [liar.fileno()])
        for _ in range(20):
            send_packet(liar, {"id": 999}, [liar.fileno(), liar.fileno()])
        pending = asyncio.ensure_future(channel.request("stat", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, {"id": 1, "n": 1})
        send_packet(liar, {"id": 1, "n": 2}, [liar.fileno()])

        assert (await pending).fields["n"] == 1
        await asyncio.sleep(0)
        await until_open_at_most(before)


async def test_too_many_descriptors_close_the_channel() -> None:
    """They are closed; no answer needs more than a few."""
    async with channel_pair() as (channel, liar):
        before = open_count()
        pending = asyncio.ensure_future(channel.request("open", {}, within=30))
        await asyncio.sleep(0)
        send_packet(liar, {"id": 1}, [liar.fileno()] * 50)

        with pytest.raises(SandboxGone):
            await pending
        await until_open_at_most(before - 1)  # the channel's own socket


@pytest.mark.parametrize("kind", ["pipe", "directory", "short", "long", "negative", "not-json"])
async def test_payload_of_the_wrong_kind_or_size_is_rejected(kind: str) -> None:
    """A pipe would block, a directory cannot be read, a wrong size would be read past."""
    read, write = os.pipe()
    file = os.memfd_create("payload")
    os.write(file, b'{"id": 1}' if kind != "not-json" else b"{{{{{{{{{")
    place = os.open("/", os.O_RDONLY)
    sizes = {"short": 5, "long": 2**40, "negative": -1, "directory": os.fstat(place).st_size}
    sent = {"pipe": read, "directory": place}.get(kind, file)
    try:
        async with channel_pair() as (channel, liar):
            pending = asyncio.ensure_future(channel.request("list", {}, within=30))
            await asyncio.sleep(0)
            send_packet(liar, {"large": sizes.get(kind, 9)}, [sent])
            with pytest.raises(SandboxGone, match="agent"):
                await pending
    finally:
        for fd in (read, write, file, place):
            os.close(fd)


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


def test_oversized_answer_becomes_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An honest agent knows the limit, so a huge listing does not end its session."""
    monkeypatch.setattr(wire, "LARGEST", 1000)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        wire.send(theirs, {"id": 7, "paths": ["x" * 1000]})

        assert json.loads(ours.recv(5000)) == {"id": 7, "errno": errno.EOVERFLOW, "path": ""}
