"""Parse an agent's answers, and check every field and descriptor."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from agentbay_local.sandbox.errors import MalformedReply, SandboxOSError
from agentbay_local.sandbox.host.agent_client import disable_linger, parse_json
from agentbay_local.sandbox.host.file_systems import kind_of
from agentbay_local.sandbox.host.turns import Turns
from agentbay_local.sandbox.values import Entry, Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from agentbay_local.sandbox.host.agent_client import Reply

T = TypeVar("T")

__all__ = [
    "parse_entry",
    "parse_mark",
    "parse_path",
    "read_records",
    "take_connecting_socket",
    "take_listening_socket",
    "take_regular_file",
    "take_terminal",
]

# The number of a terminal, which only its master end can tell; Python has no name for it.
TIOCGPTN = 0x80045430

KERNEL_FILE = "it is a file of the kernel; use a command to read or write it"

_PART = 64 * 1024
# A path has at most 4,096 bytes, and an entry its last name once more. JSON makes six of each.
_LONGEST_RECORD = 32 * 1024

_KINDS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}


def parse_entry(fields: object) -> Entry:
    """Parse one entry."""
    if not isinstance(fields, dict):
        raise MalformedReply(
            "the session's agent described a file by something else than an object"
        )
    values: dict[str, Any] = {}
    for attribute in attrs.fields(Entry):
        value = fields.get(attribute.name)
        if type(value) is not _KINDS[str(attribute.type)]:
            raise MalformedReply(
                f"the session's agent described a file without a usable {attribute.name}"
            )
        values[attribute.name] = value
    return Entry(**values)


def parse_path(found: object) -> str:
    """Parse one path."""
    if not isinstance(found, str):
        raise MalformedReply("the session's agent found something that is not a path")
    return found


def parse_mark(item: object) -> tuple[str, Mark]:
    """Parse one path of a survey, with its mark."""
    types = [type(value) for value in item] if isinstance(item, list) else []
    if not isinstance(item, list) or types != [str, bool, int, int, int]:
        raise MalformedReply("the session's agent surveyed something that has no usable mark")
    return item[0], Mark(*item[1:])


async def read_records(reply: Reply, parse: Callable[[object], T]) -> list[T]:
    """Read the records of a long answer, in short steps: others get their turn between them.

    Args:
        reply: The answer; the caller closes it.
        parse: Parses one record.

    Raises:
        MalformedReply: A record is invalid, or there are fewer or more than announced.
    """
    found: list[T] = []
    turns = Turns()
    for line in _lines(reply.fds[0], reply.size):
        found.append(parse(parse_json(line)))
        if len(found) > reply.count:
            break
        await turns.rest_if_due()
    if len(found) != reply.count:
        raise MalformedReply("the session's agent sent another number of records than announced")
    return found


def _lines(fd: int, size: int) -> Iterator[bytes]:
    """Yield the lines of a file of some size; no more than a part of it is in memory."""
    rest, place = b"", 0
    while place < size:
        part = os.pread(fd, min(_PART, size - place), place)
        if not part:
            raise MalformedReply("the session's agent cut its records short")
        place += len(part)
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_RECORD:
            raise MalformedReply("the session's agent sent a record that is too long")


def take_regular_file(reply: Reply, path: str, writing: bool, kinds: Collection[int]) -> int:
    """Take the descriptor of a reply, if it is a regular file, which never blocks.

    Args:
        reply: The reply.
        path: The path that was asked for, for the error.
        writing: Whether the file was to be opened for writing.
        kinds: The kinds of file systems that it may be on.

    Raises:
        SandboxOSError: The file is on another kind of file system. An honest agent opens it too:
            the session may have put a link there.
        MalformedReply: The agent sent something else.
    """
    try:
        if len(reply.fds) != 1:
            raise MalformedReply("the session's agent opened a file and sent no descriptor")
        flags = fcntl.fcntl(reply.fds[0], fcntl.F_GETFL)
        wanted = (os.O_WRONLY, os.O_RDWR) if writing else (os.O_RDONLY, os.O_RDWR)
        if (
            not stat.S_ISREG(os.fstat(reply.fds[0]).st_mode)
            or flags & os.O_ACCMODE not in wanted
            or flags & os.O_PATH
        ):
            raise MalformedReply("the session's agent opened something that is not the wanted file")
        if kind_of(reply.fds[0]) not in kinds:
            raise SandboxOSError(errno.EACCES, path, KERNEL_FILE)
        fcntl.fcntl(reply.fds[0], fcntl.F_SETFL, flags | os.O_NONBLOCK)
    except BaseException:
        reply.close()
        raise
    return reply.fds[0]


def take_terminal(reply: Reply) -> int:
    """Take the descriptor of a reply, if it is the master end of a terminal."""
    try:
        if len(reply.fds) != 1:
            raise MalformedReply("the session's agent opened a terminal and sent no descriptor")
        try:
            fcntl.ioctl(reply.fds[0], TIOCGPTN, bytes(4))
        except OSError:
            raise MalformedReply("the session's agent opened something else than asked") from None
    except BaseException:
        reply.close()
        raise
    return reply.fds[0]


def take_connecting_socket(reply: Reply) -> socket.socket:
    """Take the descriptor of a reply, if it is a TCP socket."""
    return _tcp_socket(reply, "dialled")


def take_listening_socket(reply: Reply) -> socket.socket:
    """Take the descriptor of a reply, if it is a listening TCP socket."""
    sock = _tcp_socket(reply, "listened")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise MalformedReply("the session's agent sent a socket that does not listen")
    return sock


def _tcp_socket(reply: Reply, did: str) -> socket.socket:
    if len(reply.fds) != 1 or not stat.S_ISSOCK(os.fstat(reply.fds[0]).st_mode):
        reply.close()
        raise MalformedReply(f"the session's agent {did} and sent no socket")
    sock = socket.socket(fileno=reply.fds[0])
    disable_linger(sock)
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        sock.close()
        raise MalformedReply(f"the session's agent {did} with a socket of the wrong kind")
    sock.setblocking(False)
    return sock
