"""The requests of the TypeScript and Go clients 0.15.1, byte by byte.

Both serialise an action in the same two places, and differ in everything else: escapes, order and
spelling of headers, and whether the length of a body is known. They are described here by what they
send, because neither can be installed from the package index.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, quote_plus, urlsplit

import attrs
from tests.local.conftest import DEADLINE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Return the fields of a value: lists as ``Name.1``, objects as ``Name.Member``."""
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = ((str(number), entry) for number, entry in enumerate(value, 1))
    else:
        return {name: str(value).lower() if isinstance(value, bool) else str(value)}
    prefix = f"{name}." if name else ""
    return {
        field: text for key, entry in members for field, text in flat(entry, prefix + key).items()
    }


@attrs.frozen
class RequestWriter:
    """Writes the requests of a client; what is common to both.

    Attributes:
        host: The endpoint, which has no scheme: both speak HTTPS whatever they are told.
        key: The API key.
    """

    LANGUAGE: ClassVar[str]
    #: Protocols that the client offers for direct calls in the TLS handshake.
    PROTOCOLS: ClassVar[tuple[str, ...]]

    host: str
    key: str

    def post(self, action: str, **fields: Any) -> list[bytes]:
        """Return the packets of an action, whose fields are in the form."""
        raise NotImplementedError  # each client names and nests parameters in its own way

    def direct(self, url: str, token: str, tool: str, server: str, args: Any) -> list[bytes]:
        """Return the packets of a direct call."""
        raise NotImplementedError  # each client sends the parts of a call in its own places

    def common(self, action: str) -> dict[str, str]:
        """Return the fields that every query has."""
        return {
            "Action": action,
            "Format": "json",
            "Version": "2025-05-06",
            "Timestamp": "2026-01-02T03:04:05Z",
            "SignatureNonce": uuid.uuid4().hex,
        }

    def stats(self) -> str:
        """Return what a create says of its client."""
        return (
            f'{{"source":"sdk","sdk_language":"{self.LANGUAGE}","sdk_version":"0.15.1",'
            '"is_release":false,"framework":""}'
        )


class TypeScript(RequestWriter):
    """Node 20 with ``querystring``; bodies are streams, so that they are sent in chunks."""

    LANGUAGE = "typescript"
    PROTOCOLS = ("http/1.1",)
    _AGENT = "AlibabaCloud (linux; x64) Node.js/v20.20.2 Core/1.0.1 TeaDSL/2"

    def post(self, action: str, **fields: Any) -> list[bytes]:
        """Return the head, one chunk and the end of the chunks."""
        query = self.common(action)
        # The only two that are not in the form.
        if action == "SyncContext":
            query["Authorization"] = f"Bearer {self.key}"
        elif action == "GetSessionDetail":
            query["SessionId"] = fields.pop("SessionId")
        form = fields if action == "SyncContext" else self._with_key(fields)
        body = self._encode(flat(form)).encode()
        head = self._head("POST", query, "content-type: application/x-www-form-urlencoded")
        return [
            f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(),
            b"%x\r\n%s\r\n" % (len(body), body),
            b"0\r\n\r\n",
        ]

    def get(self, action: str, **fields: Any) -> list[bytes]:
        """Return the packets of an action with everything in the query."""
        query = {**self.common(action), **flat(self._with_key(fields))}
        return [f"{self._head('GET', query)}\r\n".encode()]

    def direct(self, url: str, token: str, tool: str, server: str, args: Any) -> list[bytes]:
        """Return what ``fetch`` sends."""
        call = {
            "args": args,
            "server": server,
            "requestId": "link-1767323045000-000000042",
            "tool": tool,
            "token": token,
        }
        body = json.dumps(call, separators=(",", ":"), ensure_ascii=False).encode()
        parts = urlsplit(url)
        # Those of fetch(); it gives itself the mode of a request across origins, but no Origin.
        head = (
            f"POST {parts.path}/callTool HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            "connection: keep-alive\r\nContent-Type: application/json\r\n"
            f"X-Access-Token: {token}\r\naccept: */*\r\naccept-language: *\r\n"
            "sec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: br, gzip, deflate\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return [head.encode(), body]

    def _with_key(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return fields in the order of their names, as the client was generated."""
        return dict(sorted({"Authorization": f"Bearer {self.key}", **fields}.items()))

    def _head(self, method: str, query: Mapping[str, str], *more: str) -> str:
        action = query["Action"]
        lines = (
            f"{method} /?{self._encode(query)} HTTP/1.1",
            f"host: {self.host}",
            "x-acs-version: 2025-05-06",
            f"x-acs-action: {action}",
            f"user-agent: {self._AGENT}",
            *more,
            "Connection: keep-alive",
        )
        return "".join(f"{line}\r\n" for line in lines)

    @staticmethod
    def _encode(fields: Mapping[str, str]) -> str:
        return "&".join(f"{name}={quote(text, safe=_UNESCAPED)}" for name, text in fields.items())


# Of the punctuation, ``encodeURIComponent`` leaves these.
_UNESCAPED = "-_.!~*'()"


class Go(RequestWriter):
    """net/http with ``url.Values``: fields in the order of their names, and HTTP/2 if offered."""

    LANGUAGE = "golang"
    PROTOCOLS = ("h2", "http/1.1")

    def post(self, action: str, **fields: Any) -> list[bytes]:
        """Return the head and the form, which fit into one packet."""
        query, form = self.common(action), {"Authorization": f"Bearer {self.key}", **fields}
        if action in ("SyncContext", "PauseSessionAsync", "ResumeSessionAsync"):
            query["Authorization"] = form.pop("Authorization")
        elif action == "GetSessionDetail":
            query["SessionId"] = form.pop("SessionId")
        body = self._encode(flat(form)).encode()
        head = (
            f"POST /?{self._encode(query)} HTTP/1.1\r\nHost: {self.host}\r\n"
            "User-Agent: AlibabaCloud (linux; amd64) Golang/1.24.3 Core/0.01 TeaDSL/2\r\n"
            f"Content-Length: {len(body)}\r\n"
            "content-type: application/x-www-form-urlencoded\r\n"
            f"x-acs-action: {action}\r\nx-acs-version: 2025-05-06\r\nAccept-Encoding: gzip\r\n\r\n"
        )
        return [head.encode() + body]

    def direct(self, url: str, token: str, tool: str, server: str, args: Any) -> list[bytes]:
        """Return what ``http.Client`` sends."""
        call = {
            "args": args,
            "requestId": "link-1767323045000-000000042",
            "server": server,
            "token": token,
            "tool": tool,
        }
        body = json.dumps(call, separators=(",", ":"), ensure_ascii=False).encode()
        parts = urlsplit(url)
        head = (
            f"POST {parts.path}/callTool HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"User-Agent: Go-http-client/1.1\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/json\r\nX-Access-Token: {token}\r\n"
            "Accept-Encoding: gzip\r\n\r\n"
        )
        return [head.encode() + body]

    @staticmethod
    def _encode(fields: Mapping[str, str]) -> str:
        return "&".join(f"{name}={quote_plus(text)}" for name, text in sorted(fields.items()))


class Wire:
    """One connection that is kept alive, over TLS.

    Args:
        address: Host and port.
        tls: Whom to trust, and which protocols to offer.
    """

    def __init__(self, address: str, tls: ssl.SSLContext) -> None:
        self._address = address
        self._tls = tls

    async def __aenter__(self) -> Self:
        host, _, port = self._address.rpartition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port), ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        with suppress(OSError):
            await asyncio.wait_for(self._writer.wait_closed(), DEADLINE)

    @property
    def protocol(self) -> str | None:
        """The protocol that the server has chosen in the handshake."""
        chosen: str | None = self._writer.get_extra_info("ssl_object").selected_alpn_protocol()
        return chosen

    async def ask(self, packets: Sequence[bytes]) -> tuple[int, Any]:
        """Send a request, and return the status and the JSON of its answer."""
        for packet in packets:
            self._writer.write(packet)
            await self._writer.drain()
        return await asyncio.wait_for(self._answer(), DEADLINE)

    async def _answer(self) -> tuple[int, Any]:
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        # The clients unpack only what they asked to be packed.
        assert "content-encoding" not in headers
        assert headers["content-type"].startswith("application/json")
        body = await self._reader.readexactly(int(headers["content-length"]))
        return int(first.split()[1]), json.loads(body)
