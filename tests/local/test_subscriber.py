"""Scrollback, subscribers and connections, without a session."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.websocket.connection import Connection
from agentbay_local.websocket.scrollback import Scrollback
from agentbay_local.websocket.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable


class EndedTerminal:
    """A terminal that has written its text and has ended."""

    id = "pty-1"

    def __init__(self, text: bytes) -> None:
        self.scrollback = Scrollback(1024)
        self.scrollback.append(text)
        self.changed = asyncio.Event()
        self.end_event: dict[str, Any] | None = {"eventType": "pty.exit", "exitCode": 0}

    def on_progress(self) -> None:
        """Ignore it."""


def recording(sent: list[dict[str, Any]], then: Callable[[], None] = lambda: None) -> Connection:
    """Return a connection that records data, and calls a function after each frame."""

    async def send(text: str) -> None:
        sent.append(json.loads(text)["data"])
        then()

    return Connection(send)


@pytest.mark.parametrize("sizes", [[1] * 100, [10, 64, 7], [200], [16, 16, 1], []])
def test_scrollback_keeps_the_last_bytes_with_their_positions(sizes: list[int]) -> None:
    """In appends of any size."""
    scrollback, text = Scrollback(16), b""
    for index, size in enumerate(sizes):
        piece = bytes([index]) * size
        scrollback.append(piece)
        text += piece
        assert (scrollback.start, scrollback.end) == (max(0, len(text) - 16), len(text))
        assert scrollback.read(scrollback.start, 100) == text[-16:]
        assert scrollback.read(max(scrollback.end - 3, scrollback.start), 2) == text[-3:][:2]
    assert scrollback.read(scrollback.end, 10) == b""
    assert len(scrollback._data) <= 2 * 16


async def test_a_subscriber_sends_the_output_and_then_the_end() -> None:
    """From the position of its seek."""
    sent: list[dict[str, Any]] = []
    subscriber = Subscriber(EndedTerminal(b"0123456789"), recording(sent))
    subscriber.seek(4, is_new=False)
    await subscriber.run()
    event = {"ptySessionId": "pty-1", "eventType": "pty.output", "offset": 4}
    assert sent == [
        {**event, "encoding": "utf8", "data": "456789"},
        {"ptySessionId": "pty-1", "eventType": "pty.exit", "exitCode": 0},
    ]


@pytest.mark.parametrize(("position", "offset"), [(0, 976), (1500, 1500), (9999, None)])
async def test_a_position_outside_the_scrollback_is_clamped(
    position: int, offset: int | None
) -> None:
    """To the first byte that is kept, or to the end."""
    sent: list[dict[str, Any]] = []
    subscriber = Subscriber(EndedTerminal(b"x" * 2000), recording(sent))
    subscriber.seek(position, is_new=False)
    await subscriber.run()
    assert sent[0].get("offset") == offset


async def test_a_seek_while_the_end_is_sent_repeats_output_and_end() -> None:
    """The client has connected again."""
    sent: list[dict[str, Any]] = []
    again = [0]

    def connect() -> None:
        if sent[-1]["eventType"] == "pty.exit" and again:
            subscriber.seek(again.pop(), is_new=False)

    subscriber = Subscriber(EndedTerminal(b"hi"), recording(sent, connect))
    subscriber.seek(0, is_new=False)
    await subscriber.run()
    kinds = [data["eventType"] for data in sent]
    assert kinds == ["pty.output", "pty.exit"] * 2


async def test_a_subscriber_ends_with_its_connection() -> None:
    """Whether a send fails or the connection is lost during a wait."""

    async def broken(text: str) -> None:
        raise ConnectionResetError

    connection = Connection(broken)
    subscriber = Subscriber(EndedTerminal(b"hi"), connection)
    subscriber.seek(0, is_new=False)
    await subscriber.run()
    assert connection.lost.is_set()

    waiting = EndedTerminal(b"")
    waiting.end_event = None
    connection = recording([])
    running = asyncio.create_task(Subscriber(waiting, connection).run())
    connection.lost.set()
    await asyncio.wait_for(running, 10)


async def test_a_connection_sends_one_frame_at_a_time() -> None:
    """Senders wait while the client does not read."""
    sent: list[str] = []
    read = asyncio.Event()

    async def send(text: str) -> None:
        sent.append(text)
        await read.wait()

    connection = Connection(send)
    sending = [asyncio.create_task(connection.send(text)) for text in "abc"]
    await asyncio.wait(sending, timeout=0)
    assert sent == ["a"]
    read.set()
    await asyncio.gather(*sending)
    assert sent == ["a", "b", "c"]
