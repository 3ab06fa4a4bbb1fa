"""The kernel of a language that cannot read the control socket: a relay to a program.

The program gets the paths of two pipes as its last arguments. A message in them is the number of
its texts and then each text with its length in bytes, all numbers in four bytes, most significant
first. A request is the code and then names and values of variables. The program answers with
``ready`` once, and then with ``result``, type, text and whether it is the main one, with ``error``,
name, value and traceback, and last with ``done``, count, whether it failed, and whether by an
interrupt; flags are ``0`` or ``1``. It waits for a request without texts after each result.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedIOBase

CONTROL = 3
LARGEST_TEXT = 1024 * 1024


def main() -> None:
    """Start the program, and relay until it or the service ends."""
    # The interrupt is for the program. A handler, because an ignored signal would be inherited.
    signal.signal(signal.SIGINT, lambda *_: None)
    (theirs, requests), (replies, ours) = os.pipe(), os.pipe()
    command = [*sys.argv[1:], f"/dev/fd/{theirs}", f"/dev/fd/{ours}"]
    # Only the service names the program (languages.py), and no shell reads its arguments.
    program = subprocess.Popen(  # noqa: S603  # see above
        command, stdin=subprocess.DEVNULL, pass_fds=(theirs, ours)
    )
    # The ends stay open here: the program opens them anew, which waits for nobody.
    threading.Thread(target=end_with, args=(program,), daemon=True).start()
    with (
        socket.socket(fileno=CONTROL).makefile("rwb") as service,
        open(requests, "wb") as requests_file,
        open(replies, "rb") as replies_file,
    ):
        relay(service, requests_file, replies_file)


def end_with(program: subprocess.Popen[bytes]) -> None:
    """Exit as the program does, by whatever its code has done."""
    status = program.wait()
    os._exit(status if status >= 0 else 128 - status)


def relay(service: BufferedIOBase, requests: BufferedIOBase, replies: BufferedIOBase) -> None:
    """Pass requests and replies on until the service closes the socket."""
    while True:
        reply = receive(replies)
        send(service, *translate(reply))
        if reply[0] in (b"ready", b"done"):
            request = json.loads(service.read(read_number(service)) or b"null")
            if request is None:
                return
            texts = [request["code"], *(text for pair in request["env"].items() for text in pair)]
            write_message(requests, texts)
        elif reply[0] == b"result":
            service.read(read_number(service))
            write_message(requests, [])


def translate(reply: list[bytes]) -> tuple[dict[str, object], list[bytes]]:
    """Return the head and the parts of the frame of a reply."""
    kind, *texts = reply
    if kind == b"ready":
        return {"ready": True}, []
    if kind == b"result":
        text = shorten(texts[1])
        head = {"result": {texts[0].decode(): ["text", len(text)]}, "main": texts[2] == b"1"}
        return head, [text]
    if kind == b"error":
        parts = [shorten(text) for text in texts]
        return {"error": [len(part) for part in parts]}, parts
    count, failed, interrupted = texts
    return {"done": int(count), "failed": failed == b"1", "interrupted": interrupted == b"1"}, []


def shorten(text: bytes) -> bytes:
    """Return the beginning and the end of a long text."""
    if len(text) <= LARGEST_TEXT:
        return text
    half = LARGEST_TEXT // 2
    return text[:half] + b"\n[...]\n" + text[-half:]


def send(service: BufferedIOBase, head: dict[str, object], parts: list[bytes]) -> None:
    """Write one frame to the service."""
    data = json.dumps(head).encode("ascii")
    size = 4 + len(data) + sum(map(len, parts))
    service.write(b"".join((size.to_bytes(4, "big"), len(data).to_bytes(4, "big"), data, *parts)))
    service.flush()


def write_message(requests: BufferedIOBase, texts: list[str]) -> None:
    """Write one message to the program."""
    # Half of a surrogate pair has no bytes.
    encoded = [text.encode("utf-8", "replace") for text in texts]
    parts = [part for text in encoded for part in (len(text).to_bytes(4, "big"), text)]
    requests.write(b"".join((len(encoded).to_bytes(4, "big"), *parts)))
    requests.flush()


def receive(replies: BufferedIOBase) -> list[bytes]:
    """Read one message of the program."""
    return [replies.read(read_number(replies)) for _ in range(read_number(replies))]


def read_number(file: BufferedIOBase) -> int:
    """Read a number; it is 0 at the end of the file."""
    return int.from_bytes(file.read(4), "big")


if __name__ == "__main__":
    main()
