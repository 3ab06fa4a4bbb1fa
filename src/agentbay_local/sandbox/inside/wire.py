"""Receive requests and send answers on the agent's side of the channel.

Each packet of the SOCK_SEQPACKET socket is one message, with file descriptors beside it.

A request is a JSON object. If it is too large for a packet, it is sent as a memory file: its
descriptor comes first, and the packet is `{"large": bytes}`.

An answer has a binary head, so that the service can reject it before it parses anything. The body
that follows is a JSON object, or the path of an error. The records of a long answer are the lines
of a memory file instead, which the service parses one by one.
"""

from __future__ import annotations

import errno
import os
import struct

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    Message = dict[str, Any]
else:
    import _socket as socket

PACKET = 48 * 1024

HEAD = struct.Struct("!QiII")
"""Id of the request, error number or 0, bytes of the body or the records, number of records."""

DESCRIPTOR = struct.Struct("i")

LARGEST = 32 * 1024 * 1024
"""Bytes of the records of one answer."""

LONGEST_PATH = 16 * 1024
"""Bytes of the path in an error."""


class ClosedError(Exception):
    """The service has closed the channel."""


def send(channel: socket.socket, request: int, fields: Message, fds: Sequence[int] = ()) -> None:
    """Send one answer; it is atomic, so forked copies may share the socket."""
    transmit(channel, request, encode(fields), fds)


def send_error(channel: socket.socket, request: int, number: int, path: str) -> None:
    """Send an error and the path concerned, cut to what the service reads."""
    transmit(channel, request, os.fsencode(path)[:LONGEST_PATH], number=number)


def send_records(channel: socket.socket, request: int, records: Iterable[Any]) -> None:
    """Send an answer of many JSON values, as the lines of a memory file.

    Raises:
        OSError: EOVERFLOW: they are more than the service reads.
    """
    fd = os.memfd_create("records", os.MFD_CLOEXEC)
    try:
        count = size = 0
        with open(fd, "wb", closefd=False) as file:
            for record in records:
                count += 1
                size += file.write(encode(record) + b"\n")
                if size > LARGEST:
                    raise OSError(errno.EOVERFLOW, "")
        transmit(channel, request, b"", [fd], size=size, count=count)
    finally:
        os.close(fd)


def transmit(
    channel: socket.socket,
    request: int,
    body: bytes,
    fds: Sequence[int] = (),
    *,
    number: int = 0,
    size: int = 0,
    count: int = 0,
) -> None:
    """Send one packet: a head, and perhaps a body and descriptors."""
    head = HEAD.pack(request, number, size or len(body), count)
    packed = struct.pack(f"{len(fds)}i", *fds)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)] if fds else []
    channel.sendmsg([head + body], rights)


def receive(channel: socket.socket) -> tuple[Message, list[int]]:
    """Return the next message and the descriptors that came with it.

    Raises:
        ClosedError: The service has closed the channel.
    """
    room = socket.CMSG_SPACE(8 * DESCRIPTOR.size)
    data, ancillary, _, _ = channel.recvmsg(2 * PACKET, room, socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise ClosedError
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            whole = len(payload) - len(payload) % DESCRIPTOR.size
            fds += [fd for (fd,) in DESCRIPTOR.iter_unpack(payload[:whole])]
    message = decode(data)
    if "large" in message:
        with open(fds.pop(0), "rb") as file:
            message = decode(file.read())
    return message, fds


def encode(value: Any) -> bytes:
    """Return a value as JSON."""
    if type(value) is dict and all(type(number) is int for number in value.values()):
        # The answers to most requests, for which no session has to load a module.
        return ("{" + ", ".join(f'"{name}": {value[name]}' for name in value) + "}").encode("ascii")
    import json  # large, and not needed by a first command

    return json.dumps(value).encode("ascii")


def make_decoder() -> Callable[[str], Any]:
    """Return a function that parses the JSON of the service."""
    try:
        # The part of `json` that parses. The module around it would load `re` for the rest.
        import _json

        settings: Any = ParserSettings
        scan = _json.make_scanner(settings)
    except (ImportError, AttributeError, TypeError):  # it is an implementation detail of Python
        import json

        return json.loads
    return lambda text: scan(text, 0)[0]


class ParserSettings:
    """The attributes that the parser reads from a `json.JSONDecoder`."""

    strict = False
    object_hook = object_pairs_hook = parse_constant = None
    parse_float, parse_int = float, int


parse = make_decoder()


def decode(data: bytes) -> Message:
    """Parse a message of the service."""
    message: Message = parse(data.decode("ascii"))
    return message


def memory_file(data: bytes) -> int:
    """Return an anonymous file with some content, positioned at its start."""
    fd = os.memfd_create("data", os.MFD_CLOEXEC)
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:], written)
    return fd
