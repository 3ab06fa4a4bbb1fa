"""The Python kernel: a persistent IPython shell, controlled through a socket.

It is IPython's own shell without the messaging of a Jupyter kernel. Displays go to the service as
MIME bundles. Printed text goes to the ordinary streams, so that the output of child processes
comes in its right place.
"""

from __future__ import annotations

import base64
import gc
import importlib
import json
import os
import re
import select
import signal
import site
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTROL = 3
AGAIN = "again"
LARGEST_BUNDLE = 12 * 1024 * 1024
LARGEST_TEXT = 1024 * 1024
MOST_VALUES = 250_000
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
INLINE = "module://matplotlib_inline.backend_inline"


class ServiceChannel:
    """The kernel's end of the control socket."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.lock = threading.RLock()
        self.active = False
        self.deferred = False
        self.pid = os.getpid()

    def receive_request(self) -> dict[str, Any] | None:
        """Wait for the next request; return None when the service has closed the socket."""
        frame = self.receive()
        return json.loads(frame) if frame else None

    def send_event(
        self, head: dict[str, Any], parts: Sequence[bytes], *, acknowledged: bool = False
    ) -> None:
        """Send a message, unless no code runs or this is a forked child.

        Args:
            head: The head of the message.
            parts: The content that the head lists.
            acknowledged: Wait until the service has taken it.
        """
        with self.interrupt_deferred(), self.lock:
            if self.active and os.getpid() == self.pid:
                self.send(head, parts)
                if acknowledged:
                    self.receive()

    @contextmanager
    def interrupt_deferred(self) -> Iterator[None]:
        """Defer an interrupt until the block ends: inside a frame it would corrupt the stream."""
        # Python runs signal handlers in the main thread only.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.signal(signal.SIGINT, self.defer)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous or signal.default_int_handler)
        if self.deferred:
            self.deferred = False
            raise KeyboardInterrupt

    def defer(self, *_: object) -> None:
        """Handle an interrupt: raise it later."""
        self.deferred = True

    def send(self, head: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
        """Write one frame."""
        data = json.dumps(head, allow_nan=False).encode("ascii")
        size = 4 + len(data) + sum(map(len, parts))
        prefix = size.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        self.control.sendall(b"".join((prefix, data, *parts)))

    def receive(self) -> bytes:
        """Read one frame; it is empty for an acknowledgement and at the end."""
        return self.receive_exactly(int.from_bytes(self.receive_exactly(4), "big"))

    def receive_exactly(self, size: int) -> bytes:
        """Read `size` bytes; return none when the service has closed the socket."""
        data = bytearray()
        while len(data) < size:
            chunk = self.control.recv(size - len(data))
            if not chunk:
                return b""
            data += chunk
        return bytes(data)


class ResultHook(DisplayHook):
    """Sends the value of the last expression."""

    def write_output_prompt(self) -> None:
        """Write no prompt: there is no terminal."""

    def write_format_data(
        self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None
    ) -> None:
        """Send the value in all its MIME types."""
        send_display(self.shell, format_dict, main=True)

    def finish_displayhook(self) -> None:
        """Skip what a terminal needs after a value."""
        self._is_active = False


class Publisher(DisplayPublisher):
    """Sends displays."""

    def publish(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
        """Send a display in all its MIME types."""
        send_display(self.shell, data, main=False)

    def clear_output(self, wait: bool = False) -> None:
        """Do nothing: a display that was sent cannot be withdrawn."""


class Shell(InteractiveShell):
    """IPython's shell, which sends its output to the service."""

    channel: ServiceChannel
    # The default runs commands on a pseudo-terminal, which merges their two streams.
    system = InteractiveShell.system_raw

    def init_completer(self) -> None:
        """Leave the completer to those who use it: no terminal does, and its import takes long."""

    def __getattr__(self, name: str) -> Any:
        """Make the completer when something asks for it."""
        if name != "Completer":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        make_completer: Any = super().init_completer  # IPython's functions have no types
        make_completer()
        return self.__dict__[name]

    def enable_gui(self, gui: str | None = None) -> None:
        """Accept any graphical toolkit and use none."""

    def ask_exit(self) -> None:
        """End the code, not the shell."""
        raise SystemExit

    def _showtraceback(
        self, etype: type[BaseException], evalue: BaseException | None, stb: list[str]
    ) -> None:
        name, traceback = getattr(etype, "__name__", str(etype)), COLOURS.sub("", "\n".join(stb))
        parts = [encode(shorten(text)) for text in (name, text_of(evalue), traceback)]
        self.channel.send_event({"error": [len(part) for part in parts]}, parts)


def text_of(error: BaseException | None) -> str:
    """Return the text of an error, even if its ``__str__`` fails."""
    try:
        return str(error)
    except Exception:  # the user's __str__ can raise anything
        return "<no text: its __str__ failed>"


def shorten(text: str) -> str:
    """Cut the middle out of a text that is too large to send."""
    if len(text) <= LARGEST_TEXT:
        return text
    half = LARGEST_TEXT // 2
    return text[:half] + "\n[...]\n" + text[-half:]


def encode(text: str) -> bytes:
    """Encode a text, which may hold half of a surrogate pair."""
    return text.encode("utf-8", "replace")


def send_display(shell: Any, data: dict[str, Any], *, main: bool) -> None:
    """Send a display in all its MIME types; one that is too large is replaced by a notice."""
    bundle = {str(kind): to_part(kind, value) for kind, value in data.items()}
    sent = {kind: part for kind, part in bundle.items() if part is not None}
    size = sum(len(part) for _, part in sent.values())
    if size > LARGEST_BUNDLE:
        sent = {"text/plain": ("text", b"<a result of %d bytes is too large to be shown>" % size)}
    head = {kind: [form, len(part)] for kind, (form, part) in sent.items()}
    parts = [part for _, part in sent.values()]
    shell.channel.send_event({"result": head, "main": main}, parts, acknowledged=True)


def to_part(kind: object, value: Any) -> tuple[str, bytes] | None:
    """Return the form and the bytes of a value; binary ones are sent as base64."""
    if isinstance(value, bytes):
        return "text", base64.b64encode(value)
    if isinstance(value, str):
        return "text", encode(value)
    try:
        part = json.dumps(value, allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:  # a value that is not JSON, or NaN
        sys.stderr.write(f"a MIME type of the result is left out: {error}\n")
        return None
    if sum(map(part.count, b"[]{},:")) > MOST_VALUES:
        sys.stderr.write(f"{kind} of the result is left out: it has too many values\n")
        return None
    return "json", part


def make_config() -> Config:
    """Return the settings of the shell: no history on disk, no colours."""
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.display_page = True
    return config


def open_control() -> socket.socket:
    """Return the control socket; child processes do not inherit it."""
    os.set_inheritable(CONTROL, False)
    return socket.socket(fileno=CONTROL)


def make_shell(channel: ServiceChannel) -> Shell:
    """Return the one shell of this process."""
    os.environ.setdefault("MPLBACKEND", INLINE)
    shell: Shell = Shell.instance(
        config=make_config(), displayhook_class=ResultHook, display_pub_class=Publisher
    )
    shell.channel = channel
    return shell


def execute(shell: Shell, channel: ServiceChannel, request: dict[str, Any]) -> None:
    """Run the code of one request and report its end."""
    os.environ.update(request["env"])
    channel.active, channel.deferred = True, False
    error: BaseException | None = None
    count = 0
    try:
        # Earlier code may have installed its own handler.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        count, error = run_cell(shell, request["code"])
        signal.signal(signal.SIGINT, ignore_interrupt)
    except KeyboardInterrupt as interrupt:  # it came just after the code had ended
        signal.signal(signal.SIGINT, ignore_interrupt)
        error = interrupt
    if os.getpid() != channel.pid:
        os._exit(0)  # a forked child that has run the rest of the code
    finish(channel, count, error)


def run_cell(shell: Any, code: str) -> tuple[int, BaseException | None]:
    """Run code and return its number and its error."""
    try:
        result = shell.run_cell(code, store_history=True)
    except Exception as error:  # the code has broken functions of the shell
        shell.showtraceback()
        return 0, error
    return result.execution_count or 0, result.error_before_exec or result.error_in_exec


def ignore_interrupt(*_: object) -> None:
    """Ignore an interrupt while no code runs.

    A handler and not SIG_IGN, because child processes would inherit that.
    """


def finish(channel: ServiceChannel, count: int, error: BaseException | None) -> None:
    """Report the end of an execution; later displays are dropped."""
    for stream in (sys.stdout, sys.stderr):
        flush(stream)
    interrupted = isinstance(error, KeyboardInterrupt)
    with channel.lock:
        channel.active = False
        channel.send({"done": count, "failed": error is not None, "interrupted": interrupted})


def flush(stream: Any) -> None:
    """Flush a stream, even if the code has closed or replaced it."""
    try:
        stream.flush()
    except Exception:  # the code can put any object there
        return


def environment_state() -> list[int]:
    """Return the times of the directories that the session installs packages to."""
    return [os.stat(path).st_mtime_ns for path in site.getsitepackages() if os.path.exists(path)]


def start_again_if_outdated(channel: ServiceChannel, before: list[int]) -> None:
    """Wait for the first request; if packages were installed meanwhile, start this program again.

    A kernel can be started long before its first code. That code must find what commands have
    installed until then, even another version of what the kernel has loaded.
    """
    select.select([channel.control], [], [])
    if environment_state() == before:
        return
    # Inherited, so that an interrupt of the request does not end the new program while it loads.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):  # the session has broken its Python: go on with what is loaded
        os.set_inheritable(CONTROL, True)
        os.execv(sys.executable, [*sys.orig_argv, AGAIN])  # noqa: S606 - its own command
    os.set_inheritable(CONTROL, False)
    signal.signal(signal.SIGINT, ignore_interrupt)


def main() -> None:
    """Run requests until the service closes its end."""
    before, again = environment_state(), AGAIN in sys.argv
    channel = ServiceChannel(open_control())
    signal.signal(signal.SIGINT, ignore_interrupt)
    sys.argv = [""]
    shell = make_shell(channel)
    gc.freeze()
    gc.enable()
    if not again:
        channel.send({"ready": True})
        start_again_if_outdated(channel, before)
    while (request := channel.receive_request()) is not None:
        execute(shell, channel, request)


def preload() -> None:
    """Load what a first execution loads, so that forked copies of this process need not.

    A copy tries it, because a shell that was made here would stay.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        write_modules_of_first_code(writer)
    os.close(writer)
    with open(reader, encoding="utf-8") as names:
        for name in names.read().split():
            with suppress(ImportError):  # a name that some module has made up
                importlib.import_module(name)
    os.waitpid(pid, 0)


def write_modules_of_first_code(writer: int) -> None:
    """Run code, and write the names of all modules that are loaded then."""
    try:
        control, _other = socket.socketpair()
        run_cell(make_shell(ServiceChannel(control)), "None")
        os.write(writer, "\n".join(sys.modules).encode())
    finally:
        os._exit(0)
