"""Parse JSON and close descriptors that came from a session."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING, Any

from agentbay_local.sandbox.errors import MalformedReply

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["close_descriptors", "disable_linger", "parse_json"]


def parse_json(data: bytes) -> Any:
    """Parse some JSON, whose size is bounded already.

    Raises:
        MalformedReply: It is not JSON, or nested too deeply.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedReply("the session's agent sent something that is not JSON") from None


def close_descriptors(fds: Iterable[int]) -> None:
    """Close descriptors of any kind."""
    for fd in fds:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            with socket.socket(fileno=fd) as sock:
                disable_linger(sock)
        else:
            os.close(fd)


def disable_linger(sock: socket.socket) -> None:
    """Let `close` return at once: with SO_LINGER it blocks for as long as the session likes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
