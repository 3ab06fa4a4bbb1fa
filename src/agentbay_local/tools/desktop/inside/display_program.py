"""Carry out requests on the display of a session: a client of the X protocol.

Each line of standard input is a JSON object: `display` (a number), `cookie` (hexadecimal), `do` (a
name in `ACTIONS`) and the arguments of that action. The answer is a line of standard output, a JSON
object, with `error` if the request cannot be carried out. The Python of the machine runs this, 3.8
or newer, without packages.

The requests are those of the core protocol (X11R7.6, "X Window System Protocol", chapter 9 and
appendix B), of its extension XTEST 2.2, and of the Extended Window Manager Hints 1.5.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import sys
import time

TYPE_CHECKING = False  # typing is not needed at run time
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
TIMEOUT = 10.0
# Events and their masks.
KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION = range(2, 7)
CLIENT_MESSAGE = 33
STRUCTURE, SUBSTRUCTURE, SUBSTRUCTURE_REDIRECT, PROPERTY = 1 << 17, 1 << 19, 1 << 20, 1 << 22
LOCK = 1 << 1
SHIFT = 0xFFE1
UNICODE = 0x01000000
FIRST_KEYCODE, KEYCODES = 8, 248
VENDOR = range(0x10080000, 0x10090000)
CONTROL_KEYS = {"\n": 0xFF0D, "\r": 0xFF0D, "\t": 0xFF09, "\b": 0xFF08, "\x1b": 0xFF1B}
SETTLE = 1.0
# Limits of a property that is read, in units of four bytes. One unit holds the id of a window, or
# four characters.
MOST_WINDOWS = 500
LONGEST_TEXT = 2000


class RequestError(Exception):
    """The request cannot be carried out; the text says why."""


class Connection:
    """A connection to an X server."""

    def __init__(self, display: int, cookie: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sequence = 0
        self.atoms: dict[str, int] = {}
        self.events: list[bytes] = []
        try:
            self.sock.connect(f"/tmp/.X11-unix/X{display}")  # noqa: S108 - inside
            self.set_up(bytes.fromhex(cookie))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect."""
        self.sock.close()

    def set_up(self, cookie: bytes) -> None:
        """Introduce this client, and read the description of the screen."""
        lengths = len(COOKIE_NAME), len(cookie)
        head = struct.pack("<cxHHHHxx", b"l", 11, 0, *lengths)
        self.sock.sendall(head + padded(COOKIE_NAME) + padded(cookie))
        status, _, size = struct.unpack("<B5sH", self.read(8))
        body = self.read(4 * size)
        if status != 1:
            raise RequestError("the display refuses the connection")
        vendor, formats = struct.unpack_from("<H3xB", body, 16)[0], body[21]
        screen = 32 + vendor + -vendor % 4 + 8 * formats
        self.root = struct.unpack_from("<I", body, screen)[0]
        self.size = struct.unpack_from("<HHHH", body, screen + 20)

    def read(self, size: int) -> bytes:
        """Read exactly some bytes."""
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            if not part:
                raise RequestError("the display has ended")
            data += part
        return data

    def send(self, opcode: int, detail: int, body: bytes = b"") -> None:
        """Send a request that has no answer."""
        body = padded(body)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.sock.sendall(struct.pack("<BBH", opcode, detail, 1 + len(body) // 4) + body)

    def ask(self, opcode: int, detail: int, body: bytes = b"") -> bytes | None:
        """Send a request and return its answer; None if it has failed, as for a gone window."""
        self.send(opcode, detail, body)
        while True:
            packet = self.receive()
            if packet[0] in (0, 1) and struct.unpack_from("<H", packet, 2)[0] == self.sequence:
                return packet if packet[0] == 1 else None
            if packet[0] > 1:
                self.events.append(packet)

    def receive(self) -> bytes:
        """Return the next answer, error or event."""
        packet = self.read(32)
        more = struct.unpack_from("<I", packet, 4)[0] if packet[0] == 1 else 0
        return packet + self.read(4 * more)

    def sync(self) -> None:
        """Wait until the server has carried out all requests."""
        self.ask(43, 0)

    def atom(self, name: str) -> int:
        """Return the number of a name."""
        if name not in self.atoms:
            answer = self.ask(16, 0, struct.pack("<HH", len(name), 0) + name.encode())
            self.atoms[name] = struct.unpack_from("<I", answer or bytes(12), 8)[0]
        return self.atoms[name]

    def property(self, window: int, name: str) -> bytes:
        """Return the value of a property of a window; empty if there is none."""
        asked = struct.pack("<IIIII", window, self.atom(name), 0, 0, MOST_WINDOWS)
        answer = self.ask(20, 0, asked)
        if answer is None:
            return b""
        count = struct.unpack_from("<I", answer, 16)[0]
        return answer[32 : 32 + count * answer[1] // 8]

    def numbers(self, window: int, name: str) -> list[int]:
        """Return the 32-bit numbers of a property."""
        value = self.property(window, name)
        return [number for (number,) in struct.iter_unpack("<I", value[: len(value) // 4 * 4])]

    def fake(
        self, kind: int, detail: int, point: tuple[int, int] = (0, 0), delay: float = 0
    ) -> None:
        """Make an event of a device, some seconds after the last one (XTestFakeInput)."""
        if not hasattr(self, "xtest"):
            answer = self.ask(98, 0, struct.pack("<HH", 5, 0) + b"XTEST")
            if answer is None or not answer[8]:
                raise RequestError("the display has no extension XTEST")
            self.xtest = answer[9]
        pause = int(delay * 1000)
        event = struct.pack("<BBxxII8xhh8x", kind, detail, pause, self.root, *point)
        self.send(self.xtest, 2, event)

    def message(self, window: int, name: str, *values: int) -> None:
        """Send a message about a window to the window manager."""
        numbers = [*values, 0, 0, 0, 0, 0][:5]
        event = struct.pack("<BBHII5I", CLIENT_MESSAGE, 32, 0, window, self.atom(name), *numbers)
        mask = SUBSTRUCTURE | SUBSTRUCTURE_REDIRECT
        self.send(25, 0, struct.pack("<II", self.root, mask) + event)

    def watch(self, *windows: int) -> None:
        """Receive an event when a window changes."""
        for window in windows:
            self.send(2, 0, struct.pack("<III", window, 1 << 11, STRUCTURE | PROPERTY))

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition holds, and look again at each event; return whether it does."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if not self.events and not select.select([self.sock], [], [], max(left, 0))[0]:
                return False
            # What has arrived is read as a whole, so that a flood of events ends at `end`.
            self.events.clear()
            while select.select([self.sock], [], [], 0)[0] and time.monotonic() < end:
                self.receive()
            if left <= 0:
                return condition()
        return True


def padded(data: bytes) -> bytes:
    """Return data with zeros up to a multiple of four bytes."""
    return data + bytes(-len(data) % 4)


def wait_for_manager(x: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Wait until a window manager works."""
    x.watch(x.root)

    def works() -> bool:
        return bool(x.numbers(x.root, "_NET_SUPPORTING_WM_CHECK"))

    if not x.wait_until(works, request["seconds"]):
        raise RequestError("the window manager does not start")
    return {}


def describe_screen(x: Connection, _: dict[str, Any]) -> dict[str, Any]:
    """Return the size of the screen in pixels and millimetres."""
    geometry = x.ask(14, 0, struct.pack("<I", x.root))
    width, height = struct.unpack_from("<HH", geometry, 16) if geometry else x.size[:2]
    return {"width": width, "height": height, "millimetres": x.size[2]}


def find_pointer(x: Connection) -> tuple[int, int, int]:
    """Return the position of the pointer, and the modifiers that are on."""
    answer = x.ask(38, 0, struct.pack("<I", x.root)) or bytes(32)
    across, down, modifiers = struct.unpack_from("<hh4xH", answer, 16)
    return across, down, modifiers


def describe_pointer(x: Connection, _: dict[str, Any]) -> dict[str, Any]:
    """Return the position of the pointer."""
    across, below, _modifiers = find_pointer(x)
    return {"x": across, "y": below}


def use_pointer(x: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Move the pointer, and press and release its buttons.

    The steps are `["move", x, y, t]`, `["down", n, t]` and `["up", n, t]`; the time t is in seconds
    since the step before.
    """
    width, height = x.size[:2]
    moves = [step[1:3] for step in request["steps"] if step[0] == "move"]
    if not all(across < width and down < height for across, down in moves):
        raise RequestError(f"the point is not on the screen, which has {width} x {height} pixels")
    for kind, *numbers, delay in request["steps"]:
        if kind == "move":
            x.fake(MOTION, 0, (numbers[0], numbers[1]), delay)
        else:
            x.fake(BUTTON_PRESS if kind == "down" else BUTTON_RELEASE, numbers[0], delay=delay)
    x.sync()
    return {}


class Keyboard:
    """The keyboard mapping: which key makes which symbol."""

    def __init__(self, x: Connection) -> None:
        self.x = x
        answer = x.ask(101, 0, struct.pack("<BB2x", FIRST_KEYCODE, KEYCODES)) or bytes(32)
        self.width = answer[1]
        symbols = struct.unpack_from(f"<{KEYCODES * self.width}I", answer, 32)
        rows = [symbols[n * self.width : (n + 1) * self.width] for n in range(KEYCODES)]
        self.rows = {FIRST_KEYCODE + n: row for n, row in enumerate(rows)}
        self.places: dict[int, tuple[int, bool]] = {}
        for keycode, row in self.rows.items():
            for level, symbol in enumerate(row[:2]):
                self.places.setdefault(symbol, (keycode, level == 1 and row[0] != symbol))

    def spare(self) -> list[int]:
        """Return the keys that may be mapped to other characters, those in use last.

        These are keys without a symbol, those of multimedia keyboards (XF86AudioPlay and so on),
        and those that `add` has mapped before.
        """
        free = [
            keycode
            for keycode, row in self.rows.items()
            if all(symbol in VENDOR for symbol in row if symbol)
        ]
        return free + [keycode for keycode, row in self.rows.items() if is_ours(row)]

    def add(self, symbols: Sequence[int], kept: Iterable[int] = ()) -> None:
        """Map spare keys to symbols, except keys that have one of the symbols to keep.

        Two symbols share a key. A capital letter alone would be made small without the shift key,
        so that a single symbol takes both places.
        """
        used = {self.places[symbol][0] for symbol in kept if symbol in self.places}
        free = [keycode for keycode in self.spare() if keycode not in used]
        pairs = [
            (symbols[n], symbols[min(n + 1, len(symbols) - 1)]) for n in range(0, len(symbols), 2)
        ]
        chosen = dict(zip(free, pairs))  # noqa: B905 - Python 3.8 has no strict
        if any(is_ours(self.rows[keycode]) for keycode in chosen):
            self.x.sync()
            time.sleep(SETTLE)
        for keycode, pair in chosen.items():
            for old in self.rows[keycode][:2]:
                self.places.pop(old, None)
            self.rows[keycode] = pair
            for level, symbol in enumerate(pair):
                self.places.setdefault(symbol, (keycode, level == 1 and pair[0] != symbol))
        self.send(chosen)

    def send(self, changed: dict[int, tuple[int, int]]) -> None:
        """Send a new mapping, with a request for each row of neighbouring keys.

        Each request makes all programs ask for the whole mapping again.
        """
        keycodes = sorted(changed)
        while keycodes:
            first = keycodes[0]
            count = 1
            while count < len(keycodes) and keycodes[count] == first + count:
                count += 1
            symbols = [one for keycode in keycodes[:count] for one in changed[keycode]]
            head = struct.pack("<BB2x", first, 2)
            self.x.send(100, count, head + struct.pack(f"<{len(symbols)}I", *symbols))
            del keycodes[:count]

    def keycode(self, symbol: int) -> int:
        """Return the key that makes a symbol; map one if there is none."""
        if symbol not in self.places:
            self.add([symbol])
        return self.places[symbol][0]


def is_ours(row: Sequence[int]) -> bool:
    """Return whether `Keyboard.add` has mapped a key, by the symbols in its row."""
    first, second = row[:2]
    return second != 0 and (first >= UNICODE or 0xA0 <= first <= 0xFF) and first not in VENDOR


def symbol_of(character: str) -> int:
    """Return the symbol (keysym) of a character."""
    if character in CONTROL_KEYS:
        return CONTROL_KEYS[character]
    code = ord(character)
    return code if 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xFF else UNICODE | code


def type_text(x: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Type a text.

    Characters without a key get one. A program learns of that by an event before those of the keys,
    and asks for the mapping of that moment. So a key gets another character only after a pause in
    which the program reads what was typed.
    """
    keyboard = Keyboard(x)
    symbols = [symbol_of(character) for character in request["text"]]
    start = 0
    while start < len(symbols):
        part = take(symbols[start:], keyboard)
        missing = [symbol for symbol in dict.fromkeys(part) if symbol not in keyboard.places]
        keyboard.add(missing, kept=part)
        strike(x, keyboard, part)
        start += len(part)
    x.sync()
    return {}


def take(symbols: Sequence[int], keyboard: Keyboard) -> Sequence[int]:
    """Return the longest beginning whose symbols without a key of their own find room."""
    spare = set(keyboard.spare())
    special: set[int] = set()
    for index, symbol in enumerate(symbols):
        place = keyboard.places.get(symbol)
        if place is None or place[0] in spare:
            special.add(symbol)
        # A symbol that has a spare key already may share it with one that is not wanted.
        if len(special) > len(spare):
            return symbols[:index]
    return symbols


def strike(x: Connection, keyboard: Keyboard, symbols: Iterable[int]) -> None:
    """Press and release the keys of symbols, each with the shift key if it needs that."""
    shift = keyboard.keycode(SHIFT)
    locked = bool(find_pointer(x)[2] & LOCK)
    for symbol in symbols:
        keycode, shifted = keyboard.places[symbol]
        if locked and (0x41 <= symbol <= 0x5A or 0x61 <= symbol <= 0x7A):
            shifted = not shifted
        if shifted:
            x.fake(KEY_PRESS, shift)
        x.fake(KEY_PRESS, keycode)
        x.fake(KEY_RELEASE, keycode)
        if shifted:
            x.fake(KEY_RELEASE, shift)


def use_keys(x: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Press keys in order, and release keys in order, by their symbols."""
    keyboard = Keyboard(x)
    symbols = [*request["down"], *request["up"]]
    keyboard.add([one for one in dict.fromkeys(symbols) if one not in keyboard.places], symbols)
    for symbol in request["down"]:
        x.fake(KEY_PRESS, keyboard.keycode(symbol))
    for symbol in request["up"]:
        x.fake(KEY_RELEASE, keyboard.keycode(symbol))
    x.sync()
    return {}


def list_windows(x: Connection, _: dict[str, Any]) -> dict[str, Any]:
    """Return the windows of programs, the lowest first, and the id of the active one."""
    ids = x.numbers(x.root, "_NET_CLIENT_LIST_STACKING")
    # The window manager changes two lists, one after the other. Changes of windows read this one.
    managed = x.numbers(x.root, "_NET_CLIENT_LIST")
    found = [describe_window(x, window) for window in ids if window in managed]
    return {"active": active(x), "windows": [one for one in found if one is not None]}


def active(x: Connection) -> int:
    """Return the window that has the focus; 0 if none has it."""
    return next(iter(x.numbers(x.root, "_NET_ACTIVE_WINDOW")), 0)


def describe_window(x: Connection, window: int) -> dict[str, Any] | None:
    """Return the facts of a window; None if it is gone."""
    geometry = x.ask(14, 0, struct.pack("<I", window))
    place = x.ask(40, 0, struct.pack("<IIhh", window, x.root, 0, 0))
    if geometry is None or place is None:
        return None
    across, down = struct.unpack_from("<hh", place, 12)
    width, height = struct.unpack_from("<HH", geometry, 16)
    title = x.property(window, "_NET_WM_NAME")
    legacy = title or x.property(window, "WM_NAME")
    pid = next(iter(x.numbers(window, "_NET_WM_PID")), 0)
    return {
        "id": window,
        "title": legacy.decode("utf-8" if title else "latin-1", "replace"),
        "box": [across, down, width, height],
        "pid": pid,
        **describe_process(pid),
    }


def describe_process(pid: int) -> dict[str, str]:
    """Return the name and the command line of a process; empty if it is gone."""
    name, line = read_process(pid, "comm"), read_process(pid, "cmdline")
    return {"name": name.rstrip("\n"), "line": line.rstrip("\0").replace("\0", " ")}


def read_process(pid: int, name: str) -> str:
    """Return the beginning of a file of a process."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read(LONGEST_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""


def change_window(x: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the window manager to change a window, and wait until it has done so."""
    window, change = request["window"], request["change"]
    if window not in x.numbers(x.root, "_NET_CLIENT_LIST"):
        raise RequestError(f"window_id {window} is not the id of a window")
    x.watch(x.root, window)
    size = request.get("size", [0, 0])
    CHANGES[change](x, window, size)
    if not x.wait_until(lambda: REACHED[change](x, window, size), request["seconds"]):
        raise RequestError(f"the window did not {change} within {request['seconds']} seconds")
    return {}


def states(x: Connection, window: int) -> set[int]:
    """Return the states of a window."""
    return set(x.numbers(window, "_NET_WM_STATE"))


def maximal(x: Connection) -> tuple[int, int]:
    """Return the two states of a window that is maximized."""
    return x.atom("_NET_WM_STATE_MAXIMIZED_VERT"), x.atom("_NET_WM_STATE_MAXIMIZED_HORZ")


def set_state(x: Connection, window: int, on: bool, *atoms: int) -> None:
    """Set or remove up to two states of a window."""
    x.message(window, "_NET_WM_STATE", int(on), *[*atoms, 0][:2], 2)


def activate(x: Connection, window: int, _: Sequence[int]) -> None:
    """Give a window the focus."""
    x.message(window, "_NET_ACTIVE_WINDOW", 2)


def maximize(x: Connection, window: int, _: Sequence[int]) -> None:
    """Maximize a window."""
    show(x, window)
    set_state(x, window, True, *maximal(x))


def minimize(x: Connection, window: int, _: Sequence[int]) -> None:
    """Minimize a window."""
    x.message(window, "WM_CHANGE_STATE", 3)


def restore(x: Connection, window: int, _: Sequence[int]) -> None:
    """Show a minimized window as it was, or give another one its normal size."""
    if not show(x, window):
        set_state(x, window, False, *maximal(x))
        set_state(x, window, False, x.atom("_NET_WM_STATE_FULLSCREEN"))


def show(x: Connection, window: int) -> bool:
    """Show a window if it is minimized; return whether it was."""
    hidden = x.atom("_NET_WM_STATE_HIDDEN") in states(x, window)
    if hidden:
        activate(x, window, ())
    return hidden


def fullscreen(x: Connection, window: int, _: Sequence[int]) -> None:
    """Let a window fill the screen, without a frame."""
    show(x, window)
    set_state(x, window, True, x.atom("_NET_WM_STATE_FULLSCREEN"))


def resize(x: Connection, window: int, size: Sequence[int]) -> None:
    """Give a window another size, and its normal state."""
    restore(x, window, ())
    x.message(window, "_NET_MOVERESIZE_WINDOW", 1 << 10 | 1 << 11 | 2 << 12, 0, 0, *size)


def close(x: Connection, window: int, _: Sequence[int]) -> None:
    """Ask a window to close."""
    x.message(window, "_NET_CLOSE_WINDOW", 0, 2)


def has(*names: str) -> Callable[[Connection, int, Sequence[int]], bool]:
    """Return a condition: the window has all these states."""
    return lambda x, window, _: {x.atom(name) for name in names} <= states(x, window)


def is_normal(x: Connection, window: int, _: Sequence[int]) -> bool:
    """Return whether a window is shown; it may be maximized, if it was before."""
    return x.atom("_NET_WM_STATE_HIDDEN") not in states(x, window)


def has_changed_size(x: Connection, window: int, size: Sequence[int]) -> bool:
    """Return whether a window has a size, up to what a terminal rounds off."""
    found = describe_window(x, window)
    differences = [abs(a - b) for a, b in zip(found["box"][2:], size)] if found else [0]  # noqa: B905 - 3.8
    return max(differences) <= ROUNDING


ROUNDING = 32
"""Pixels: a window may have a size in whole characters only."""

CHANGES: dict[str, Callable[[Connection, int, Sequence[int]], None]] = {
    "activate": activate,
    "close": close,
    "fullscreen": fullscreen,
    "maximize": maximize,
    "minimize": minimize,
    "resize": resize,
    "restore": restore,
}

REACHED: dict[str, Callable[[Connection, int, Sequence[int]], bool]] = {
    "activate": lambda x, window, _: active(x) == window,
    "close": lambda x, window, _: window not in x.numbers(x.root, "_NET_CLIENT_LIST"),
    "fullscreen": has("_NET_WM_STATE_FULLSCREEN"),
    "maximize": has("_NET_WM_STATE_MAXIMIZED_VERT", "_NET_WM_STATE_MAXIMIZED_HORZ"),
    "minimize": has("_NET_WM_STATE_HIDDEN"),
    "resize": has_changed_size,
    "restore": is_normal,
}


def reconfigure(x: Connection, _: dict[str, Any]) -> dict[str, Any]:
    """Let the window manager (openbox) read its configuration again."""
    x.message(x.root, "_OB_CONTROL", 1)
    x.sync()
    return {}


ACTIONS: dict[str, Callable[[Connection, dict[str, Any]], dict[str, Any]]] = {
    "change_window": change_window,
    "describe_pointer": describe_pointer,
    "describe_screen": describe_screen,
    "list_windows": list_windows,
    "reconfigure": reconfigure,
    "type_text": type_text,
    "use_keys": use_keys,
    "use_pointer": use_pointer,
    "wait_for_manager": wait_for_manager,
}


def main() -> None:
    """Carry out the requests of standard input, and write the answers."""
    for line in iter(sys.stdin.readline, ""):
        sys.stdout.write(json.dumps(carry_out(json.loads(line))) + "\n")
        sys.stdout.flush()


def carry_out(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request, which has a connection of its own."""
    try:
        with contextlib.closing(Connection(request["display"], request["cookie"])) as x:
            return ACTIONS[request["do"]](x, request)
    except RequestError as error:
        return {"error": str(error)}
    except (OSError, struct.error, IndexError) as error:
        return {"error": f"the display does not answer ({error})"}


if __name__ == "__main__":
    main()
