"""Pack a message to an agent into a packet, and unpack an untrusted packet from it."""

from __future__ import annotations

import array
import json
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.sandbox.errors import MalformedReply, SandboxOSError
from agentbay_local.sandbox.inside.wire import LARGEST, PACKET, memory_file

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["OutgoingPacket", "find_error", "get_integer", "pack", "receive", "unpack"]

DESCRIPTORS = 4


@attrs.define(eq=False)
class OutgoingPacket:
    """A packet with its descriptors, of which it may own one."""

    data: bytes
    fds: Sequence[int]
    owned: int | None = None

    def close(self) -> None:
        """Close the descriptor it owns."""
        if self.owned is not None:
            os.close(self.owned)


def pack(message: dict[str, object], fds: Sequence[int]) -> OutgoingPacket:
    """Pack a message; one that is too large for a packet goes into a memory file."""
    data = json.dumps(message).encode("ascii")
    if len(data) <= PACKET:
        return OutgoingPacket(data, fds)
    spill = memory_file(data)
    return OutgoingPacket(json.dumps({"large": len(data)}).encode("ascii"), [spill, *fds], spill)


def receive(sock: socket.socket) -> tuple[bytes, list[int], int]:
    """Receive one packet, whatever is in it."""
    room = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, flags, _ = sock.recvmsg(2 * PACKET, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return data, fds.tolist(), flags


def unpack(data: bytes, fds: list[int], flags: int) -> tuple[dict[str, Any], list[int]]:
    """Return a packet's message and the descriptors that belong to it.

    The descriptor of a payload is closed. After an error, the caller owns all that are in the list.

    Raises:
        MalformedReply: The packet breaks the protocol.
    """
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise MalformedReply("the session's agent sent more than a packet holds")
    fields = _object(data)
    if "large" in fields:
        if not fds:
            raise MalformedReply("the session's agent announced a payload and sent none")
        fields = _object(_spilled(fds[0], get_integer(fields, "large")))
        os.close(fds.pop(0))
    return fields, fds


def _spilled(fd: int, size: int) -> bytes:
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or not 0 <= size == facts.st_size <= LARGEST:
        raise MalformedReply("the session's agent sent a payload of the wrong kind or size")
    content = bytearray()
    while len(content) < size:
        part = os.pread(fd, size - len(content), len(content))
        if not part:
            raise MalformedReply("the session's agent cut a payload short")
        content += part
    return bytes(content)


def _object(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedReply("the session's agent sent something that is not JSON") from None
    if not isinstance(fields, dict):
        raise MalformedReply("the session's agent sent something that is not an object")
    return fields


def find_error(fields: dict[str, Any]) -> SandboxOSError | None:
    """Return the error in a message; None if there is none."""
    if "errno" not in fields:
        return None
    return SandboxOSError(get_integer(fields, "errno"), _text(fields, "path"))


def get_integer(fields: dict[str, Any], name: str) -> int:
    """Return a field that must be an integer of 64 bits."""
    value = fields.get(name)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise MalformedReply(f"the session's agent sent no usable {name}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise MalformedReply(f"the session's agent sent no usable {name}")
    return value
