"""A persistent IPython shell, steered through a socket.

The shell is IPython's own, without the machinery of a Jupyter kernel. What a notebook would show
goes to the service as bundles of MIME types; what is printed goes to the ordinary streams, where
the output of child processes lands too, in its right place.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL = 3
LARGEST_BUNDLE = 12 * 1024 * 1024
LARGEST_TEXT = 1024 * 1024
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
INLINE = "module://matplotlib_inline.backend_inline"


class Service:
    """The worker's end of the conversation with the service."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.lock = threading.RLock()
        self.active = False
        self.postponed = False
        self.pid = os.getpid()

    def request(self) -> dict[str, Any] | None:
        """Wait for the next piece of code; None when the service is gone."""
        frame = self.receive()
        return json.loads(frame) if frame else None

    def tell(self, message: dict[str, Any], *, acknowledged: bool = False) -> None:
        """Say something; nothing when it comes too late, or from a forked child.

        Args:
            message: What to say.
            acknowledged: Return only when the service has taken it.
        """
        with self.undisturbed(), self.lock:
            if self.active and os.getpid() == self.pid:
                self.send(message)
                if acknowledged:
                    self.receive()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Put off an interrupt: in the middle of a frame it would spoil all that comes after."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self.postpone)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before or signal.default_int_handler)
        if self.postponed:
            self.postponed = False
            raise KeyboardInterrupt

    def postpone(self, *_: object) -> None:
        """Remember an interrupt."""
        self.postponed = True

    def send(self, message: dict[str, Any]) -> None:
        """Write one frame."""
        # No part of a character can be written that the service could not read.
        data = json.dumps(message, allow_nan=False).encode("ascii")
        self.channel.sendall(len(data).to_bytes(4, "big") + data)

    def receive(self) -> bytes:
        """Read one frame; empty for an acknowledgement and at the end."""
        return self.exactly(int.from_bytes(self.exactly(4), "big"))

    def exactly(self, size: int) -> bytes:
        """Read so many bytes, or none when the service is gone."""
        data = bytearray()
        while len(data) < size:
            part = self.channel.recv(size - len(data))
            if not part:
                return b""
            data += part
        return bytes(data)


class Hook(DisplayHook):
    """Shows the value of the last expression."""

    def write_output_prompt(self) -> None:
        """Write no prompt: there is no terminal."""

    def write_format_data(
        self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None
    ) -> None:
        """Send the value in all its forms."""
        show(self.shell, format_dict, main=True)

    def finish_displayhook(self) -> None:
        """Leave out what a terminal needs after a value."""
        self._is_active = False


class Publisher(DisplayPublisher):
    """Shows what is displayed on the way."""

    def publish(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
        """Send a display in all its forms."""
        show(self.shell, data, main=False)

    def clear_output(self, wait: bool = False) -> None:
        """Do nothing: what was sent cannot be taken back."""


class Shell(InteractiveShell):
    """IPython's shell, with its output turned to the service."""

    service: Service
    # The other way runs commands on a terminal, where both streams are one.
    system = InteractiveShell.system_raw

    def enable_gui(self, gui: str | None = None) -> None:
        """Accept the choice of a graphical toolkit, of which there is none."""

    def ask_exit(self) -> None:
        """End the code; the shell stays."""
        raise SystemExit

    def _showtraceback(
        self, etype: type[BaseException], evalue: BaseException | None, stb: list[str]
    ) -> None:
        error = {
            "name": getattr(etype, "__name__", str(etype)),
            "value": said(evalue),
            "traceback": COLOURS.sub("", "\n".join(stb)),
        }
        self.service.tell({"error": {name: short(text) for name, text in error.items()}})


def said(error: BaseException | None) -> str:
    """Return the text of an error, which its own code may refuse."""
    try:
        return str(error)
    except Exception:  # anything can come out of the user's own __str__
        return "<no text: its __str__ failed>"


def short(text: str) -> str:
    """Return a text of a size that can be sent."""
    if len(text) <= LARGEST_TEXT:
        return text
    half = LARGEST_TEXT // 2
    return text[:half] + "\n[...]\n" + text[-half:]


def show(shell: Any, data: dict[str, Any], *, main: bool) -> None:
    """Send one thing in all its forms; what is too large is replaced by a word about it."""
    bundle = {str(kind): plain(value) for kind, value in data.items()}
    try:
        size = len(json.dumps(bundle, allow_nan=False))
    except (TypeError, ValueError) as error:  # a form that is no JSON, or NaN in it
        bundle = {kind: value for kind, value in bundle.items() if isinstance(value, str)}
        size = len(json.dumps(bundle))
        sys.stderr.write(f"a form of the result is left out: {error}\n")
    if size > LARGEST_BUNDLE:
        bundle = {"text/plain": f"<a result of {size} bytes is too large to be shown>"}
    shell.service.tell({"result": bundle, "main": main}, acknowledged=True)


def plain(value: Any) -> Any:
    """Return a form as JSON can hold it: bytes as base64."""
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def configuration() -> Config:
    """Return the settings of the shell: nothing is kept on disk, nothing is coloured."""
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.display_page = True
    return config


def conversation() -> socket.socket:
    """Return the socket to the service, which no child shall inherit."""
    os.set_inheritable(CONTROL, False)
    return socket.socket(fileno=CONTROL)


def shell_for(service: Service) -> Shell:
    """Return the one shell of this process."""
    os.environ.setdefault("MPLBACKEND", INLINE)
    shell: Shell = Shell.instance(
        config=configuration(), displayhook_class=Hook, display_pub_class=Publisher
    )
    shell.service = service
    return shell


def turn(shell: Shell, service: Service, request: dict[str, Any]) -> None:
    """Run one piece of code and tell that it is done."""
    os.environ.update(request["env"])
    service.active, service.postponed = True, False
    error: BaseException | None = None
    count = 0
    try:
        # The code before may have put another one in its place.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        count, error = run_cell(shell, request["code"])
        signal.signal(signal.SIGINT, calm)
    except KeyboardInterrupt as interrupt:  # it came between the code and our own
        signal.signal(signal.SIGINT, calm)
        error = interrupt
    if os.getpid() != service.pid:
        os._exit(0)  # a forked child that ran to the end of the code
    finish(service, count, error)


def run_cell(shell: Any, code: str) -> tuple[int, BaseException | None]:
    """Run code and return its number and its error."""
    try:
        ended = shell.run_cell(code, store_history=True)
    except Exception as error:  # the code has broken the shell's own functions
        shell.showtraceback()
        return 0, error
    return ended.execution_count or 0, ended.error_before_exec or ended.error_in_exec


def calm(*_: object) -> None:
    """Do nothing at an interrupt: no code runs. Children still get the system's own behaviour."""


def finish(service: Service, count: int, error: BaseException | None) -> None:
    """Say that the code is done; from then on, no late display counts."""
    for stream in (sys.stdout, sys.stderr):
        flushed(stream)
    interrupted = isinstance(error, KeyboardInterrupt)
    with service.lock:
        service.active = False
        service.send({"done": count, "failed": error is not None, "interrupted": interrupted})


def flushed(stream: Any) -> None:
    """Flush a stream, which the code may have closed or replaced by anything."""
    try:
        stream.flush()
    except Exception:  # whatever the code has put there
        return


def main() -> None:
    """Serve until the service closes its end."""
    service = Service(conversation())
    signal.signal(signal.SIGINT, calm)
    sys.argv = [""]
    shell = shell_for(service)
    service.send({"ready": True})
    while (request := service.request()) is not None:
        turn(shell, service, request)


if __name__ == "worker":
    main()
