"""pyte's screen of a terminal, whose memory and work are bounded by its size.

Colours are left out, because only text is shown.
"""

from __future__ import annotations

import copy
import itertools
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyte
from pyte import charsets, modes
from pyte.screens import Char

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BoundedScreen"]

# Characters of one cell: a letter and its marks.
_LONGEST_CELL = 8
# Vowels and last consonants of Korean syllables, which have no width of their own.
_VOWELS = frozenset(map(chr, range(0x1160, 0x1200)))


@lru_cache(maxsize=4096)
def _cell(text: str) -> Char:
    """Return a cell; all that have the same text are one object."""
    return Char(text)


class BoundedScreen(pyte.Screen):
    """The screen of a terminal.

    Args:
        columns: Width in characters.
        rows: Height in lines.
        returns: Whether a line feed also returns to the first column.
    """

    def __init__(self, columns: int, rows: int, *, returns: bool) -> None:
        self._returns = returns
        super().__init__(columns, rows)

    def text(self) -> list[str]:
        """Return the lines, without empty ones at the end."""
        lines = [_text_of(self.buffer[y], self.columns) for y in range(self.lines)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def fit(self, columns: int, rows: int) -> None:
        """Change the size. The line of the cursor stays, and as many above it as there is room."""
        if (columns, rows) == (self.columns, self.lines):
            return
        above = max(0, self.cursor.y + 1 - rows)
        kept = {y - above: line for y, line in self.buffer.items() if 0 <= y - above < rows}
        for line in kept.values():
            for x in [x for x in line if x >= columns]:
                del line[x]
        self.buffer.clear()
        self.buffer.update(kept)
        more = range(8 * (self.columns // 8 + 1), columns, 8)
        self.tabstops = {stop for stop in (*self.tabstops, *more) if stop < columns}
        self.lines, self.columns, self.margins = rows, columns, None
        self.cursor.y, self.cursor.x = self.cursor.y - above, min(self.cursor.x, columns)

    def draw(self, data: str) -> None:
        """Write text at the cursor."""
        charset = self.g1_charset if self.charset else self.g0_charset
        if data.isascii() and charset is charsets.LAT1_MAP and modes.DECAWM in self.mode:
            self._draw_runs(data)
            return
        for char in data:
            category = unicodedata.category(char)
            if category.startswith("M") or char in _VOWELS:
                self._add_mark(char)
            elif category != "Cf":
                super().draw(char)

    def _draw_runs(self, data: str) -> None:
        start = 0
        while start < len(data):
            if self.cursor.x >= self.columns:
                self.carriage_return()
                self.linefeed()
            part = data[start : start + self.columns - self.cursor.x]
            self._put(map(_cell, part), len(part))
            start += len(part)

    def _put(self, cells: Iterable[Char], count: int) -> None:
        """Write cells for which there is room in the line, all at once."""
        if modes.IRM in self.mode:
            self.insert_characters(count)
        self.buffer[self.cursor.y].update(zip(itertools.count(self.cursor.x), cells))
        self.cursor.x += count

    def _add_mark(self, mark: str) -> None:
        """Add an accent or a part of a syllable to the character before the cursor."""
        line, x = self.buffer[self.cursor.y], self.cursor.x - 1
        if x > 0 and not line[x].data:
            x -= 1  # the second half of a wide one
        if x >= 0 and 0 < len(line[x].data) < _LONGEST_CELL:
            line[x] = _cell(unicodedata.normalize("NFC", line[x].data + mark))

    def repeat(self, count: int = 1) -> None:
        """Write the character before the cursor again, to the end of the line at most."""
        before = self.buffer[self.cursor.y][self.cursor.x - 1]
        count = min(count or 1, self.columns - self.cursor.x)
        if self.cursor.x and before.data and count:
            self._put(itertools.repeat(before, count), count)

    def linefeed(self) -> None:
        """Go to the next line."""
        self.index()
        if self._returns:
            self.carriage_return()

    def next_line(self) -> None:
        """Go to the beginning of the next line."""
        self.index()
        self.carriage_return()

    def scroll_up(self, count: int = 1) -> None:
        """Move the lines of the scrolling region up."""
        x, y = self.cursor.x, self.cursor.y
        self.cursor.y = self.margins.top if self.margins else 0
        self.delete_lines(count)
        self.cursor.x, self.cursor.y = x, y

    def scroll_down(self, count: int = 1) -> None:
        """Move the lines of the scrolling region down."""
        x, y = self.cursor.x, self.cursor.y
        self.cursor.y = self.margins.top if self.margins else 0
        self.insert_lines(count)
        self.cursor.x, self.cursor.y = x, y

    def set_region(self, top: int = 0, bottom: int = 0) -> None:
        """Choose the lines that scroll; 0 is the first or the last of the screen."""
        self.set_margins(top or 1, bottom or self.lines)

    def cursor_to_line(self, line: int | None = None) -> None:
        """Move the cursor to a line. pyte's own fails without a scrolling region."""
        self.cursor_position(line, self.cursor.x + 1)

    def back_tab(self, count: int = 1) -> None:
        """Move the cursor to an earlier tab stop."""
        stops = sorted(stop for stop in self.tabstops if stop < self.cursor.x)
        self.cursor.x = stops[-min(count or 1, len(stops))] if stops else 0

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        """Erase a line from the cursor, to the cursor, or whole."""
        if how in (0, 1, 2):
            super().erase_in_line(how, private)

    def erase_in_display(self, how: int = 0, *_: Any, **__: Any) -> None:
        """Erase the screen from the cursor, to the cursor, or whole."""
        if how == 2:
            self.buffer.clear()
        elif how in (0, 1):
            gone = [
                y for y in self.buffer if (y > self.cursor.y if how == 0 else y < self.cursor.y)
            ]
            for y in gone:
                del self.buffer[y]
            self.erase_in_line(how)

    def save_cursor(self) -> None:
        """Remember the cursor, and nothing older."""
        self.savepoints.clear()
        super().save_cursor()

    def restore_cursor(self) -> None:
        """Go back to where the cursor was saved; this can be repeated."""
        saved = self.savepoints[:]
        super().restore_cursor()
        self.savepoints = saved
        self.cursor = copy.copy(self.cursor)


def _text_of(line: Mapping[int, Char], columns: int) -> str:
    """Return a line, without spaces at its end. pyte's own fails at half of a wide character."""
    text: list[str] = []
    wide = False
    for x in range(min(max(line, default=-1) + 1, columns)):
        data = line[x].data
        if data and wide:
            text[-1] = " "  # something else stands where its second half was
        text.append(data if data or wide else " ")
        wide = bool(data) and unicodedata.east_asian_width(data[0]) in "WF"
    return "".join(text).rstrip()
