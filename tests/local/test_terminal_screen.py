"""Screens of terminals as the page of a session shows them, without a session."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_local.dashboard.terminal_screen import TerminalScreen
from agentbay_local.dashboard.terminals import Terminals
from agentbay_local.websocket.scrollback import Scrollback

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_local.websocket.pty_session import PtySession

#: A program that fills the screen once, and then changes one number only.
FRAME = b"\x1b[?1049h\x1b[2J\x1b[H+--------+\x1b[2;1H|        |\x1b[3;1H+--------+"
FRAMED = ["+--------+", "|      {} |", "+--------+"]


def counted(numbers: range) -> bytes:
    """Return what such a program writes to show numbers."""
    return b"".join(b"\x1b[2;8H%d" % number for number in numbers)


def drawn(output: bytes, columns: int = 20, rows: int = 6) -> list[str]:
    """Return the screen after some output, which comes in pieces that cut it anywhere."""
    screen = TerminalScreen(columns, rows)
    for start in range(0, len(output), 3):
        screen.feed(output[start : start + 3])
    return screen.lines()


class Terminal:
    """What a screen needs of a terminal."""

    def __init__(self, *, keeps: int = 1024 * 1024) -> None:
        self.id = f"pty-{id(self)}"
        self.scrollback = Scrollback(keeps)
        self.size: tuple[int, int] = (20, 6)

    def write(self, output: bytes) -> None:
        """Add output as the reader of a terminal does."""
        self.scrollback.append(output)

    async def seen(self, terminals: Terminals) -> list[str]:
        """Return what a viewer sees now."""
        return await terminals.lines(cast("PtySession", self))


@pytest.fixture
def terminals() -> Terminals:
    """Give screens with time to draw all that there is."""
    return Terminals(seconds=600)


async def test_a_program_that_fills_the_screen_is_shown_to_who_comes_later(
    terminals: Terminals,
) -> None:
    """Its frame was drawn long ago; all output that is kept is drawn at the first look."""
    terminal = Terminal()
    terminal.write(FRAME + counted(range(10)) * 5000)
    assert terminal.scrollback.end > 10 * 32 * 1024

    assert await terminal.seen(terminals) == [line.format(9) for line in FRAMED]


async def test_a_page_needs_only_what_came_since_the_last_look(terminals: Terminals) -> None:
    """The frame is no longer kept, but its screen is."""
    terminal = Terminal(keeps=4096)
    terminal.write(FRAME)
    await terminal.seen(terminals)
    for _ in range(20):
        terminal.write(counted(range(10)) * 50)
        assert await terminal.seen(terminals) == [line.format(9) for line in FRAMED]
    assert terminal.scrollback.start > len(FRAME)

    assert FRAMED[0] not in await terminal.seen(Terminals())


async def test_a_screen_begins_anew_when_more_came_than_is_kept(terminals: Terminals) -> None:
    """It does not mix the old with the new."""
    terminal = Terminal(keeps=64)
    terminal.write(FRAME)
    await terminal.seen(terminals)
    terminal.write(b"\r" * 200 + b"later")

    assert await terminal.seen(terminals) == ["later"]


async def test_a_look_ends_in_time_and_the_next_one_goes_on() -> None:
    """A terminal with much output does not take a processor for long."""
    terminal, looks = Terminal(), Terminals(seconds=0)
    terminal.write(b"a" * 1023 + b"\x1b[2J\x1b[H" + b"b" * 3000 + b"\x1b[2J\x1b[Hend")

    seen = [await terminal.seen(looks) for _ in range(4)]

    assert [lines[0][:3] for lines in seen] == ["aaa", "bbb", "bbb", "end"]


async def test_a_screen_follows_the_size_of_its_terminal(terminals: Terminals) -> None:
    """What is above the cursor stays as far as there is room."""
    terminal = Terminal()
    terminal.write(b"one\r\ntwo\r\nlines")
    terminal.size = (40, 12)
    assert await terminal.seen(terminals) == ["one", "two", "lines"]
    terminal.size = (4, 2)
    assert await terminal.seen(terminals) == ["two", "line"]
    terminal.write("é".encode())
    assert await terminal.seen(terminals) == ["line", "é"]
    terminal.write(b"\r!\tx")
    assert await terminal.seen(terminals) == ["line", "!  x"]
    terminal.size = (500, 500)
    terminal.write(b"\x1b[500;500Hx\t\ty")
    assert (await terminal.seen(terminals))[-1] == " " * 499 + "y"


async def test_screens_that_nobody_looks_at_make_room_for_others(terminals: Terminals) -> None:
    """The one that was not looked at for longest is drawn again from what is kept of it."""
    first, second, third = (Terminal(keeps=64) for _ in range(3))
    for terminal in (first, second, third):
        terminal.size = (300, 300)
        terminal.write(b"old")
        await terminal.seen(terminals)
        terminal.write(b"\r" * 64)

    assert await third.seen(terminals) == ["old"]
    assert await second.seen(terminals) == ["old"]
    assert await first.seen(terminals) == []
    assert await second.seen(terminals) == ["old"]
    assert await third.seen(terminals) == []


async def test_screens_go_with_their_terminals(terminals: Terminals) -> None:
    """Nothing else holds one."""
    terminal = Terminal()
    await terminal.seen(terminals)
    assert len(terminals._kept) == 1
    del terminal
    assert len(terminals._kept) == 0


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        pytest.param(b"shell$ \x1b[?1049h\x1b[Hvim\x1b[?1049l ls", ["shell$  ls"], id="back"),
        pytest.param(b"$ \x1b[?47hold\x1b[?47l\x1b[?47hx", ["  x"], id="alternate"),
        pytest.param(b"\x1b[?1049h\x1b[Ha\nb\x1b[1;5H\nc", ["a", " b  c"], id="line-feeds"),
        pytest.param(b"ab\ncd", ["ab", "cd"], id="background"),
        pytest.param(b"\x1b(0lqk\r\nx x\r\nmqj\x1b(Ba", ["┌─┐", "│ │", "└─┘a"], id="lines"),
        pytest.param(b"1\r\n2\r\n3\x1b[2;3r\x1b[S\x1b[r\x1b[4;1H4", ["1", "3", "", "4"], id="up"),
        pytest.param(b"1\r\n2\r\n3\x1b[1;2r\x1b[T\x1b[;r", ["", "1", "3"], id="down"),
        pytest.param(b"-\x1b[9b|\x1b[999b", ["-" * 10 + "|" * 10], id="repeat"),
        pytest.param(b"hd\x1b[D\x1b[4hea\x1b[4l", ["head"], id="insert"),
        pytest.param(b"\t\tx\x1b[2Zy", ["        y       x"], id="tabs"),
        pytest.param(b"ab\x1b[sX\x1b[uYZ\x1b8!\x1b8?", ["ab?Z"], id="saved"),
        pytest.param(b"\x1b]0;title\x07a\x1bP+q436f\x1b\\b\x1b_x\x1b\\c", ["abc"], id="strings"),
        pytest.param(b"a\x1b[!p\x1b[>4;2m\x1b[2 q\x1b[?2026$pb", ["ab"], id="others"),
        pytest.param("世界\rab\r\n世x\x1b[2Dy".encode(), ["ab界", " yx"], id="wide"),
        pytest.param("e\u0301 \u1112\u1161\u11ab \u200bא\u05b0 👍\ufe0f.".encode(), ["é 한 א\u05b0 👍\ufe0f."], id="marks"),  # noqa: E501
        pytest.param(b"a\x1b[3J\x1b[7K\x1b[9Jb", ["ab"], id="erases-nothing"),
        pytest.param(b"a\r\nb\r\nc\x1b[2;1H\x1b[1Jx\x1b[J", ["", "x"], id="erases"),
        pytest.param(b"\x1b[?1049hx\x1bcab\ncd", ["ab", "cd"], id="reset"),
        pytest.param(b"\x1b[2;4r\x1b[?6h\x1b[2;3Hx\x1b[1dy", ["", "   y", "  x"], id="origin"),
    ],
)  # fmt: skip
def test_a_screen_shows_what_a_terminal_would(output: bytes, lines: list[str]) -> None:
    """The sequences that programs with a screen use, wherever a piece of output ends."""
    assert drawn(output) == lines


LARGEST = 500
HOSTILE = {
    "large numbers": b"\x1b[999999999;999999999H\x1b[" + b"9" * 5000 + b"L",
    "many numbers": b"\x1b[" + b"1;" * 5000 + b"H",
    "numbers without end": b"\x1b[" + b"1" * 9000,
    "strings without end": b"\x1b]0;" + b"x" * 9000,
    "saved cursors": b"\x1b7" * 50_000,
    "marks": b"a" + "\u0301\u0316".encode() * 5000,
    "marks one by one": b"a" + "\x1b[D\x1b[C\u0301".encode() * 2000,
    "repeated": b"\x1b[4ha" + b"\x1b[99999b" * 1000,
    "other screens": b"\x1b[?1049h\x1b[?1049l\x1b[?1049h" * 500,
    "other widths": b"\x1b[?3h" * 2000,
    "reversed": b"\x1b[?5h\x1b[?5l" * 1000,
    "filled": b"\x1b#8" * 2000,
    "modes": b"".join(b"\x1b[?%dh" % mode for mode in range(3000)),
    "erased": b"\x1b[2J\x1b[1J\x1b[J\x1b[2K" * 1000,
    "inserted": b"\x1b[H\x1b[9999L\x1b[9999@\x1b[9999P\x1b[9999M" * 500,
}


@pytest.mark.parametrize("output", HOSTILE.values(), ids=HOSTILE)
def test_output_cannot_make_a_screen_large(output: bytes) -> None:
    """The largest screen, full before, stays as large, however much follows."""
    screen = TerminalScreen(LARGEST, LARGEST)
    screen.feed(b"x" * LARGEST * LARGEST)
    tracemalloc.start()
    try:
        for start in range(0, len(output), 1024):
            screen.feed(output[start : start + 1024])
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Two hundred bytes for each cell of a second screen would be 50 million.
    assert grown < 1_000_000
    assert len(screen._unfinished) < 1024
    assert all(len(line) <= 8 * LARGEST for line in screen.lines())


def test_a_number_of_any_length_is_one() -> None:
    """Also in one piece; Python converts no more than some thousand digits."""
    screen = TerminalScreen(20, 6)
    screen.feed(b"\x1b[" + b"9" * 9000 + b";3Hx")
    assert screen.lines()[-1] == "  x"


SEQUENCES = st.builds(
    "\x1b[{}{}{}{}".format,
    st.sampled_from(["", "?", ">", "<="]),
    st.text("0123456789;:", max_size=12),
    st.sampled_from(["", " ", "$", "!"]),
    st.characters(min_codepoint=0x30, max_codepoint=0x7E),
)
WRITTEN = st.lists(
    st.text(max_size=20)
    | st.text("a世\u0301\t\n\r\b\x0e\x0f\x1b", max_size=20)
    | st.builds("\x1b{}".format, st.characters(max_codepoint=0x7E))
    | SEQUENCES,
    max_size=60,
)


@given(WRITTEN, st.lists(st.binary(max_size=9), max_size=3), st.integers(1, 9), st.integers(1, 9))
def test_any_output_is_drawn(
    written: list[str], more: list[bytes], columns: int, rows: int
) -> None:
    """In the same way, in one piece or in many; each line fits its screen."""
    output = "".join(written).encode("utf-8", "surrogatepass") + b"".join(more)
    whole, pieces = TerminalScreen(columns, rows), TerminalScreen(columns, rows)

    whole.feed(output)
    for index in range(len(output)):
        pieces.feed(output[index : index + 1])

    assert whole.lines() == pieces.lines()
    assert len(whole.lines()) <= rows
    whole.fit(rows, columns)
    whole.feed(b"x")
    assert all(len(line) <= 8 * rows for line in whole.lines())


def test_a_service_without_viewers_does_not_load_the_library(run_child: Callable[..., str]) -> None:
    """Its import takes time and memory."""
    code = """
        import sys
        import agentbay_local.http.app, agentbay_local.http.dashboard
        print("pyte" in sys.modules)
    """
    assert run_child(code) == "False"
