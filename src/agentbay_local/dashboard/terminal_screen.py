"""The screen of a terminal, as lines of text, from the last bytes of its output."""

from __future__ import annotations

import logging
import re

__all__ = ["draw_screen"]

# Control characters without a meaning for a terminal. The library leaves out the text after them.
_IGNORED = re.compile(r"[\x00-\x06\x10-\x1a\x1c-\x1f\x7f-\x9f]")

_log = logging.getLogger(__name__)


def draw_screen(output: bytes, columns: int, rows: int) -> list[str]:
    r"""Return the lines of a terminal's screen, without empty ones at its end.

    The output may begin anywhere: what is left of a cut control sequence shows as text until the
    screen has scrolled past it.

    Args:
        output: The end of what the terminal's programs have written.
        columns: Width in characters.
        rows: Height in lines.

    Example:
        >>> draw_screen(b"\x01one\ntwo", 20, 5)
        ['one', 'two']
        >>> draw_screen(b"one\r\ntwo\x1b[1A\r\x1b[2Kthree", 20, 5)
        ['three', 'two']
    """
    # Imported here: a service whose pages nobody opens does not load it.
    import pyte

    screen = pyte.Screen(columns, rows)
    # Background processes have terminals whose line breaks do not return to the first column.
    screen.set_mode(pyte.modes.LNM)
    stream = pyte.Stream(screen)
    try:
        stream.feed(_IGNORED.sub("", output.decode("utf-8", "replace")))
    except Exception:
        # Programs may write any bytes, also sequences that the library does not expect.
        _log.debug("a terminal cannot be drawn", exc_info=True)
        return ["(this output cannot be drawn)"]
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return lines
