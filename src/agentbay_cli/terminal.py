"""A terminal of a session in the terminal of this program: every key goes there.

The keyboard has a thread of its own, because the main one waits for output. It also changes the
size of the remote terminal, which the handler of a signal must not wait for.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import termios
import threading
import tty
from typing import TYPE_CHECKING

from agentbay_async.services._pty.sequences import SequenceFinder
from agentbay_cli.output import is_terminal, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay import AgentBayError
    from agentbay.services.pty import PtyHandle

__all__ = ["attach", "has_terminal", "parse_keys", "terminal_size"]

_READ = 32 * 1024
# The service takes no larger terminal.
_MAX_SIZE = 500
_DEFAULT_SIZE = os.terminal_size((80, 24))
_RESIZE, _STOP = b"r", b"s"


def has_terminal() -> bool:
    """Return whether a person types to this process, and sees what it writes."""
    return is_terminal(sys.stdin) and is_terminal(sys.stdout)


def terminal_size() -> tuple[int, int]:
    """Return columns and rows of the terminal, within what a session can have."""
    try:
        size = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        size = _DEFAULT_SIZE
    columns, rows = (
        min(number or usual, _MAX_SIZE) for number, usual in zip(size, _DEFAULT_SIZE, strict=True)
    )
    return columns, rows


def parse_keys(text: str) -> bytes:
    r"""Return the bytes of keys such as ``ctrl-p,ctrl-q``, or of single characters.

    Raises:
        ValueError: It names no keys.

    Example:
        >>> parse_keys("ctrl-p,ctrl-q"), parse_keys("ctrl-],x")
        (b'\x10\x11', b'\x1dx')
    """
    return bytes(_parse_key(key) for key in text.split(","))


def _parse_key(key: str) -> int:
    name = key.lower().removeprefix("ctrl-")
    is_control = name != key.lower()
    if len(name) == 1 and name.isascii() and name.isprintable():
        if not is_control:
            return ord(key)
        if name.isalpha() or name in "@[\\]^_":
            return ord(name.upper()) & 0x1F
    raise ValueError(f"{key!r} is no key such as ctrl-p or x; separate keys by commas")


def attach(handle: PtyHandle, keys: bytes) -> int | None:
    """Connect this terminal with one of a session, until that ends or the person detaches.

    Args:
        handle: The terminal of the session.
        keys: The bytes that detach.

    Returns:
        The exit code of its program, or None if the person detached.

    Raises:
        AgentBayError: The connection is lost.
    """
    from agentbay import PtyNotConnectedError

    with _raw(), _Keyboard(handle, keys) as keyboard:
        try:
            for chunk in handle:
                write_bytes(chunk, sys.stdout)
            return handle.wait()
        except PtyNotConnectedError:
            if keyboard.error is not None:
                raise keyboard.error from None
            if keyboard.detached:
                return None
            raise


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Let the terminal pass every key on, and restore its settings afterwards."""
    handle = sys.stdin.fileno()
    settings = termios.tcgetattr(handle)
    # At once: what was typed meanwhile is not lost, and nobody need read what was written.
    tty.setraw(handle, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(handle, termios.TCSANOW, settings)


class _Keyboard:
    """Sends what is typed, and each new size, from a thread.

    Attributes:
        detached: Whether the person typed the keys that detach, or the terminal is gone.
        error: Why the input could not be sent, or None.
    """

    def __init__(self, handle: PtyHandle, keys: bytes) -> None:
        self.detached = False
        self.error: AgentBayError | None = None
        self._handle = handle
        self._keys = SequenceFinder(keys)
        self._thread = threading.Thread(target=self._serve, name="agentbay-keyboard", daemon=True)

    def __enter__(self) -> _Keyboard:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._previous = signal.signal(signal.SIGWINCH, lambda *_: self._notify(_RESIZE))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGWINCH, self._previous)
        self._notify(_STOP)
        self._thread.join()
        os.close(self._reader)
        os.close(self._writer)

    def _notify(self, what: bytes) -> None:
        # A full pipe has the news already.
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, what)

    def _serve(self) -> None:
        from agentbay import AgentBayError, PtyNotConnectedError

        try:
            while self._serve_once():
                pass
        except PtyNotConnectedError:
            # Its program has ended; the main thread learns of it too.
            return
        except AgentBayError as error:
            self.error = error
            self._handle.disconnect()

    def _serve_once(self) -> bool:
        """Wait for a key or a signal; return whether to go on."""
        typing = sys.stdin.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(typing, selectors.EVENT_READ)
            selector.register(self._reader, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select()}
        if self._reader in ready:
            if _STOP in os.read(self._reader, _READ):
                return False
            self._handle.resize(*terminal_size())
        return typing not in ready or self._send(_read_keys(typing))

    def _send(self, typed: bytes) -> bool:
        text, is_over = self._keys.feed(typed)
        if text:
            self._handle.send_input(text)
        # Nothing: the terminal is gone.
        if is_over or not typed:
            self.detached = True
            self._handle.disconnect()
        return not self.detached


def _read_keys(handle: int) -> bytes:
    try:
        return os.read(handle, _READ)
    except OSError:
        return b""
