"""The screen of a terminal as lines of text, kept from one piece of its output to the next.

The programs of a session write any bytes. So the control sequences are read here, and pyte gets
only those that move or change text, with as many parameters as it expects: its own parser passes
on any number of them, and keeps strings of any length.
"""

from __future__ import annotations

import codecs
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentbay_local.dashboard.bounded_screen import BoundedScreen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TerminalScreen"]

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<private>[<=>?]*)(?P<parameters>[0-9:;]*)(?P<between>[ -/]*)(?P<sequence>[@-~])"
    r"|(?P<string>\x1b[PX\]^_])"
    r"|\x1b(?!\[)(?P<escape>[ -/]*[0-~])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f-\x9f])"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[<=>?]*[0-9:;]*[ -/]*|[ -/]*)\Z")
_LONGEST_UNFINISHED = 256
# What titles, palettes and pictures consist of. An escape ends it, also without the backslash.
_STRING = re.compile(r"[^\x07\x18\x1a\x1b]*")

_CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "\b": "backspace",
        "\t": "tab",
        "\n": "linefeed",
        "\v": "linefeed",
        "\f": "linefeed",
        "\r": "carriage_return",
        "\x0e": "shift_out",
        "\x0f": "shift_in",
    }
)
_ESCAPES: Mapping[str, str] = MappingProxyType(
    {
        "7": "save_cursor",
        "8": "restore_cursor",
        "D": "index",
        "E": "next_line",
        "H": "set_tab_stop",
        "M": "reverse_index",
    }
)
# The last byte of a sequence: what it does, and how many parameters that takes.
_SEQUENCES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "@": ("insert_characters", 1),
        "A": ("cursor_up", 1),
        "B": ("cursor_down", 1),
        "C": ("cursor_forward", 1),
        "D": ("cursor_back", 1),
        "E": ("cursor_down1", 1),
        "F": ("cursor_up1", 1),
        "G": ("cursor_to_column", 1),
        "H": ("cursor_position", 2),
        "J": ("erase_in_display", 1),
        "K": ("erase_in_line", 1),
        "L": ("insert_lines", 1),
        "M": ("delete_lines", 1),
        "P": ("delete_characters", 1),
        "S": ("scroll_up", 1),
        "T": ("scroll_down", 1),
        "X": ("erase_characters", 1),
        "Z": ("back_tab", 1),
        "`": ("cursor_to_column", 1),
        "a": ("cursor_forward", 1),
        "b": ("repeat", 1),
        "d": ("cursor_to_line", 1),
        "e": ("cursor_down", 1),
        "f": ("cursor_position", 2),
        "g": ("clear_tab_stop", 1),
        "r": ("set_region", 2),
        "s": ("save_cursor", 0),
        "u": ("restore_cursor", 0),
    }
)
_LARGEST = 9999
_INSERT, _ORIGIN, _WRAP = "4", "?6", "?7"
_ALTERNATE = frozenset({"?47", "?1047", "?1049"})


class TerminalScreen:
    r"""The screen of a terminal.

    The output may begin anywhere: what is left of a cut control sequence shows as text until the
    screen has scrolled past it.

    Args:
        columns: Width in characters.
        rows: Height in lines.

    Example:
        >>> screen = TerminalScreen(20, 5)
        >>> screen.feed(b"\x01one\ntwo")
        >>> screen.lines()
        ['one', 'two']
        >>> screen.feed(b"\x1b[1A\r\x1b[2")
        >>> screen.feed(b"Kthree")
        >>> screen.lines()
        ['three', 'two']
    """

    def __init__(self, columns: int, rows: int) -> None:
        # Background processes have terminals whose line feeds do not return to the first column.
        # Programs that fill the screen mean what they say.
        self._main = BoundedScreen(columns, rows, returns=True)
        self._alternate = BoundedScreen(columns, rows, returns=False)
        self._screen = self._main
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unfinished = ""
        self._in_string = False

    def lines(self) -> list[str]:
        """Return the lines, without empty ones at the end."""
        return self._screen.text()

    def fit(self, columns: int, rows: int) -> None:
        """Change the size."""
        self._main.fit(columns, rows)
        self._alternate.fit(columns, rows)

    def feed(self, output: bytes) -> None:
        """Draw what the programs of the terminal have written next."""
        text = self._unfinished + self._decoder.decode(output)
        position = 0
        while position < len(text):
            token = None if self._in_string else _TOKEN.match(text, position)
            if token is not None:
                self._perform(token)
                position = token.end()
            elif self._in_string:
                position = self._skip_string(text, position)
            elif _is_unfinished(text, position):
                break
            else:
                position += 1  # an escape that begins nothing
        self._unfinished = text[position:]

    def _skip_string(self, text: str, position: int) -> int:
        rest = _STRING.match(text, position)
        end = rest.end() if rest else position
        self._in_string = end == len(text)
        return end

    def _perform(self, token: re.Match[str]) -> None:
        kind, text = token.lastgroup, token[token.lastgroup or 0]
        if kind == "text":
            self._screen.draw(text)
        elif kind == "control" and text in _CONTROLS:
            getattr(self._screen, _CONTROLS[text])()
        elif kind == "escape":
            self._escape(text)
        elif kind == "sequence" and not token["between"]:
            self._sequence(text, token["private"], re.split("[:;]", token["parameters"]))
        elif kind == "string":
            self._in_string = True

    def _escape(self, text: str) -> None:
        if text in _ESCAPES:
            getattr(self._screen, _ESCAPES[text])()
        elif text == "c":
            self._show(alternate=False)
            self._main.reset()
        elif text[0] in "()":
            self._screen.define_charset(text[1:], text[0])

    def _sequence(self, final: str, private: str, parameters: list[str]) -> None:
        if final in "hl":
            for mode in parameters:
                self._set_mode(private + mode, on=final == "h")
        elif final in _SEQUENCES and (not private or (private == "?" and final in "JK")):
            name, most = _SEQUENCES[final]
            # Digits without end would take long to convert.
            values = (min(int(one[:9] or 0), _LARGEST) for one in parameters[:most])
            getattr(self._screen, name)(*values)

    def _set_mode(self, mode: str, *, on: bool) -> None:
        if mode in (_INSERT, _ORIGIN, _WRAP):
            change = self._screen.set_mode if on else self._screen.reset_mode
            change(int(mode.lstrip("?")), private=mode.startswith("?"))
        elif mode in _ALTERNATE:
            self._show(alternate=on)

    def _show(self, *, alternate: bool) -> None:
        """Change to an empty screen for a program that fills it, or back to what was there."""
        wanted = self._alternate if alternate else self._main
        if wanted is not self._screen:
            self._alternate.reset()
            self._alternate.cursor_position(self._main.cursor.y + 1, self._main.cursor.x + 1)
            self._screen = wanted


def _is_unfinished(text: str, position: int) -> bool:
    """Return whether a sequence may go on in the next piece of output."""
    return len(text) - position <= _LONGEST_UNFINISHED and bool(_UNFINISHED.match(text, position))
