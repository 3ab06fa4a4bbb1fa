"""A small HTTP and WebSocket server that tests of ports run inside a session."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        """Call the method for the path."""
        name = self.path.partition("?")[0].strip("/").split("/")[0] or "echo"
        getattr(self, f"say_{name}", self.say_echo)()

    do_GET = do_POST = do_PUT = do_HEAD = handle_one  # noqa: N815  # the names of the base class

    def body(self) -> bytes:
        """Read the body, chunked or with a length."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        """Send an answer with a length."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def say_echo(self) -> None:
        """Describe the request."""
        body = self.body()
        request = {
            "method": self.command,
            "path": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "size": len(body),
            "md5": hashlib.md5(body).hexdigest(),
        }
        others = [("X-Twice", "a=1"), ("X-Twice", "b=2"), ("Keep-Alive", "timeout=5")]
        self.answer(200, json.dumps(request).encode(), *others)

    def say_origin(self) -> None:
        """Send headers that concern a whole origin, and others that a link must not pass on."""
        self.answer(
            200,
            b"{}",
            ("Set-Cookie", "a=1; Path=/; HttpOnly"),
            ("Set-Cookie", "b=2; domain = localhost ;Path=/"),
            ("Set-Cookie", "Domain=3; DOMAIN"),
            ("Service-Worker-Allowed", "/"),
            ("Clear-Site-Data", '"*"'),
            ("Alt-Svc", 'h2=":1"'),
            ("Strict-Transport-Security", "max-age=1"),
            ("WWW-Authenticate", "Basic"),
        )

    def say_large(self) -> None:
        """Send 20 MiB in chunks."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(320):
            piece = bytes([number % 256]) * 65536
            self.wfile.write(b"10000\r\n" + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def say_lines(self) -> None:
        """Echo each chunk at once."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while size := int(self.rfile.readline(), 16):
            line = b"heard " + self.rfile.read(size)
            self.rfile.readline()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def say_cut(self) -> None:
        """Close the connection inside the body."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def say_away(self) -> None:
        """Redirect to the URL in the query."""
        self.answer(302, b"", ("Location", self.path.partition("?")[2]))

    def say_zipped(self) -> None:
        """Claim a content encoding, which a proxy must not decode."""
        self.answer(200, b"no gzip at all", ("Content-Encoding", "gzip"))

    def say_ws(self) -> None:
        """Echo WebSocket messages; close with 4001 on ``bye``."""
        key = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(key).decode())
        if "chat" in self.headers.get("Sec-WebSocket-Protocol", ""):
            self.send_header("Sec-WebSocket-Protocol", "chat")
        self.end_headers()
        while True:
            kind, data = self.frame()
            if kind == 8 or data == b"bye":
                self.send_frame(8, struct.pack("!H", 4001) + b"gone")
                break
            if data == b"cut":
                break
            self.send_frame(kind, data)
        self.close_connection = True

    def frame(self) -> tuple[int, bytes]:
        """Read one frame of a client."""
        first, second = self.rfile.read(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack("!H", self.rfile.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.rfile.read(8))
        mask = self.rfile.read(4)
        data = self.rfile.read(size)
        whole = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        return first & 15, (int.from_bytes(data, "big") ^ whole).to_bytes(size, "big")

    def send_frame(self, kind: int, data: bytes) -> None:
        """Write one frame."""
        size = len(data)
        small = struct.pack("!BB", 128 | kind, min(size, 127))
        head = small if size < 126 else struct.pack("!BBQ", 128 | kind, 127, size)
        self.wfile.write(head + data)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
