"""Send and receive messages on the agent's side of the channel.

Each packet of the SOCK_SEQPACKET socket is one JSON object, with file descriptors beside it. A
message too large for a packet is sent as a memory file: its descriptor comes first, and the packet
is `{"large": bytes}`.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Message = dict[str, Any]

PACKET = 48 * 1024
LARGEST = 64 * 1024 * 1024


class ClosedError(Exception):
    """The service has closed the channel."""


def send(channel: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message; it is atomic, so forked copies may share the socket.

    An answer larger than the service reads becomes an error.
    """
    data = json.dumps(message).encode("ascii")
    if len(data) > LARGEST:
        send(channel, {"id": message["id"], "errno": errno.EOVERFLOW, "path": ""})
        return
    if len(data) > PACKET:
        spill = memory_file(data)
        try:
            send(channel, {"large": len(data)}, [spill, *fds])
        finally:
            os.close(spill)
        return
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([data], rights)


def receive(channel: socket.socket) -> tuple[Message, list[int]]:
    """Return the next message and the descriptors that came with it.

    Raises:
        ClosedError: The service has closed the channel.
    """
    room = socket.CMSG_SPACE(8 * array.array("i").itemsize)
    data, ancillary, _, _ = channel.recvmsg(2 * PACKET, room, socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise ClosedError
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    message, received = json.loads(data), fds.tolist()
    if "large" in message:
        with open(received.pop(0), "rb") as file:
            message = json.loads(file.read())
    return message, received


def memory_file(data: bytes) -> int:
    """Return an anonymous file with some content, positioned at its start."""
    fd = os.memfd_create("data", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
