"""Stub of the service in a child process: HTTP/1.1 over TLS on 127.0.0.1.

Hand-written on :class:`asyncio.Protocol`, because the frameworks cost more than the clients that
are measured. Run as ``python -m support.stub CERTIFICATE SESSIONS``; it writes one line of JSON
with its port, and then answers each line of JSON on its stdin with its counts. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import threading
from importlib import import_module
from typing import cast
from urllib.parse import parse_qsl

from support.answers import Answers

_REASONS = {200: "OK", 400: "Bad Request"}


class Stub:
    """The state that all connections share.

    Args:
        sessions: How many sessions exist at the start.
    """

    def __init__(self, sessions: int) -> None:
        self.answers = Answers(sessions)
        self.latency = 0.0
        self.connections = 0
        self.requests = 0

    def handle(self, order: dict[str, float]) -> dict[str, int]:
        """Take new settings (``latency`` in seconds) and return the counts so far."""
        self.latency = order.get("latency", self.latency)
        return {"connections": self.connections, "requests": self.requests}

    def answer(self, target: str, form: bytes) -> bytes:
        """Return the whole HTTP response to one request."""
        query = dict(parse_qsl(target.partition("?")[2]))
        action = query.get("Action", "")
        self.requests += 1
        status, text = self.answers.body(action, {**query, **dict(parse_qsl(form.decode()))})
        body = text.encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
            "Content-Type: application/json;charset=utf-8\r\n"
            "Connection: keep-alive\r\n"
            "x-acs-request-id: 01234567-89AB-CDEF-0123-456789ABCDEF\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection: cuts requests out of the stream and writes the answers."""

    _transport: asyncio.WriteTransport

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection; over TLS this is after the handshake."""
        # uvloop's transports do not derive from those of asyncio.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._stub.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each request that has arrived whole."""
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            begin = end + 4
            after = begin + _content_length(head)
            if len(self._unread) < after:
                return
            form, self._unread = self._unread[begin:after], self._unread[after:]
            self._send(self._stub.answer(head.split(b" ", 2)[1].decode(), form))

    def _send(self, response: bytes) -> None:
        if self._stub.latency:
            loop = asyncio.get_running_loop()
            loop.call_later(self._stub.latency, self._transport.write, response)
        else:
            self._transport.write(response)


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _write_line(value: object) -> None:
    print(json.dumps(value), flush=True)


async def serve(certificate: str, stub: Stub) -> None:
    """Serve until stdin ends; `certificate` is a PEM file with the key in it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def listen_to_orders() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(
                lambda order: _write_line(stub.handle(order)), json.loads(line)
            )
        loop.call_soon_threadsafe(ended.set)

    server = await loop.create_server(lambda: Connection(stub), "127.0.0.1", 0, ssl=context)
    threading.Thread(target=listen_to_orders, daemon=True).start()
    _write_line({"port": server.sockets[0].getsockname()[1]})
    await ended.wait()


def main() -> None:
    """Run on uvloop when it is installed: the stub is not what is measured."""
    try:
        runner = import_module("uvloop")
    except ImportError:
        runner = asyncio
    runner.run(serve(sys.argv[1], Stub(int(sys.argv[2]))))


if __name__ == "__main__":
    main()
