"""The screens of the terminals that people look at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import attrs

from agentbay_local.sandbox.host.off_loop import run_off_loop
from agentbay_local.single_flight import SingleFlight

if TYPE_CHECKING:
    from agentbay_local.dashboard.terminal_screen import TerminalScreen
    from agentbay_local.websocket.pty_session import PtySession

__all__ = ["Terminals"]

# Characters of all screens that are kept: one of the largest, or a hundred of the usual size.
_MOST_CELLS = 250_000
# Bytes that are drawn before the time is looked at. On the largest screens, where one byte can move
# all lines, this takes a tenth of a second.
_STEP = 1024


@attrs.define
class _Drawn:
    """A screen, and the position in the terminal's output up to which it is drawn."""

    screen: TerminalScreen
    position: int
    size: tuple[int, int]

    def draw(self, output: bytes, size: tuple[int, int], seconds: float) -> list[str]:
        """Draw some more output, for at most `seconds`, and return the lines of the screen."""
        self.screen.fit(*size)
        self.size = size
        end = time.monotonic() + seconds
        for start in range(0, len(output), _STEP):
            step = output[start : start + _STEP]
            self.screen.feed(step)
            self.position += len(step)
            if time.monotonic() >= end:
                break
        return self.screen.lines()


class Terminals:
    """Draws terminals for any number of viewers, and only while somebody looks.

    The first look draws all output that is kept of a terminal, and each later one what has come
    since. So a program that fills the screen, and then changes only parts of it, is shown whole. If
    more came than is kept, the screen begins anew. Screens go with their terminals, or when there
    is no room for them, the one that was not looked at for longest first.

    Args:
        seconds: For how long a look draws; the next one goes on from there.
    """

    def __init__(self, seconds: float = 0.5) -> None:
        self._seconds = seconds
        self._kept: WeakKeyDictionary[PtySession, _Drawn] = WeakKeyDictionary()
        self._drawing: SingleFlight[list[str]] = SingleFlight()

    async def lines(self, pty: PtySession) -> list[str]:
        """Return the lines of a terminal's screen, without empty ones at the end."""
        return await self._drawing.run(pty.id, lambda: self._draw(pty))

    async def _draw(self, pty: PtySession) -> list[str]:
        log, size = pty.scrollback, pty.size
        drawn = self._kept.get(pty)
        if drawn is None or drawn.position < log.start:
            # Imported here: a service whose pages nobody opens does not load pyte.
            from agentbay_local.dashboard.terminal_screen import TerminalScreen

            drawn = _Drawn(TerminalScreen(*size), log.start, size)
        output = log.read(drawn.position, log.end - drawn.position)
        lines = await run_off_loop(lambda: drawn.draw(output, size, self._seconds))
        self._keep(pty, drawn)
        return lines

    def _keep(self, pty: PtySession, drawn: _Drawn) -> None:
        self._kept.pop(pty, None)
        self._kept[pty] = drawn  # at the end, as the newest
        room = _MOST_CELLS
        for terminal, one in reversed(list(self._kept.items())):
            columns, rows = one.size
            room -= columns * rows
            if room < 0 and terminal is not pty:
                del self._kept[terminal]
