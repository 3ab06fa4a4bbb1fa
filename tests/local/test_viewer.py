"""What a terminal has written and what one client sees of it: the rules, without a session."""

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


class Still:
    """A terminal that has written what it was given, and has ended."""

    id = "pty-1"

    def __init__(self, text: bytes) -> None:
        self.kept = Scrollback(1024)
        self.kept.append(text)
        self.news = asyncio.Event()
        self.ending: dict[str, Any] | None = {"eventType": "pty.exit", "exitCode": 0}

    def seen(self) -> None:
        """Take note of nothing."""


def recorded(heard: list[dict[str, Any]], then: Callable[[], None] = lambda: None) -> Connection:
    """Return a line that keeps what is said, and does something after each frame."""

    async def send(text: str) -> None:
        heard.append(json.loads(text)["data"])
        then()

    return Connection(send)


@pytest.mark.parametrize("sizes", [[1] * 100, [10, 64, 7], [200], [16, 16, 1], []])
def test_the_last_bytes_are_kept_with_their_positions(sizes: list[int]) -> None:
    """However they came."""
    kept, text = Scrollback(16), b""
    for index, size in enumerate(sizes):
        piece = bytes([index]) * size
        kept.append(piece)
        text += piece
        assert (kept.start, kept.end) == (max(0, len(text) - 16), len(text))
        assert kept.read(kept.start, 100) == text[-16:]
        assert kept.read(max(kept.end - 3, kept.start), 2) == text[-3:][:2]
    assert kept.read(kept.end, 10) == b""
    assert len(kept._data) <= 2 * 16


async def test_a_viewer_shows_what_is_kept_and_then_the_end() -> None:
    """From the byte that it is placed at."""
    heard: list[dict[str, Any]] = []
    viewer = Subscriber(Still(b"0123456789"), recorded(heard))
    viewer.place(4, at_once=True)
    await viewer.show()
    shown = {"ptySessionId": "pty-1", "eventType": "pty.output", "offset": 4}
    assert heard == [
        {**shown, "encoding": "utf8", "data": "456789"},
        {"ptySessionId": "pty-1", "eventType": "pty.exit", "exitCode": 0},
    ]


@pytest.mark.parametrize(("position", "offset"), [(0, 976), (1500, 1500), (9999, None)])
async def test_a_position_that_is_not_kept_becomes_one_that_is(
    position: int, offset: int | None
) -> None:
    """The first after it, or the end."""
    heard: list[dict[str, Any]] = []
    viewer = Subscriber(Still(b"x" * 2000), recorded(heard))
    viewer.place(position, at_once=True)
    await viewer.show()
    assert heard[0].get("offset") == offset


async def test_who_connects_while_the_end_is_told_sees_all_of_it_again() -> None:
    """And the end once more."""
    heard: list[dict[str, Any]] = []
    again = [0]

    def connect() -> None:
        if heard[-1]["eventType"] == "pty.exit" and again:
            viewer.place(again.pop(), at_once=True)

    viewer = Subscriber(Still(b"hi"), recorded(heard, connect))
    viewer.place(0, at_once=True)
    await viewer.show()
    kinds = [data["eventType"] for data in heard]
    assert kinds == ["pty.output", "pty.exit"] * 2


async def test_a_viewer_ends_with_its_line() -> None:
    """Whether it is found out by speaking or told."""

    async def broken(text: str) -> None:
        raise ConnectionResetError

    line = Connection(broken)
    viewer = Subscriber(Still(b"hi"), line)
    viewer.place(0, at_once=True)
    await viewer.show()
    assert line.lost.is_set()

    waiting = Still(b"")
    waiting.ending = None
    line = recorded([])
    showing = asyncio.create_task(Subscriber(waiting, line).show())
    line.lost.set()
    await asyncio.wait_for(showing, 10)


async def test_a_line_hands_over_one_frame_at_a_time() -> None:
    """So that little waits in memory for a client that does not read."""
    sent: list[str] = []
    read = asyncio.Event()

    async def send(text: str) -> None:
        sent.append(text)
        await read.wait()

    line = Connection(send)
    saying = [asyncio.create_task(line.say(text)) for text in "abc"]
    await asyncio.wait(saying, timeout=0)
    assert sent == ["a"]
    read.set()
    await asyncio.gather(*saying)
    assert sent == ["a", "b", "c"]
