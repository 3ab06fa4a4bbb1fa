"""A plain client of a session's direct address and WebSocket, without our own client."""

from __future__ import annotations

import base64
import json
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import WSMsgType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiohttp
    from tests.local.conftest import Api

DEADLINE = 30.0

PTY = "PTY_SERVER"
CODE = "wuying_codespace"
FILES = "wuying_filesystem"


@attrs.frozen
class SessionAddress:
    """The addresses and the token of a session."""

    session: str
    link: str
    ws: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The header with the token."""
        return {"X-Access-Token": self.token}


async def session_address(
    api: Api, session: str = "", image: str = "code_latest"
) -> SessionAddress:
    """Return the address of a session, a new one by default."""
    name = session or await api.session(ImageId=image)
    data = (await api.ok("GetSession", SessionId=name))["Data"]
    return SessionAddress(name, data["LinkUrl"], data["WsUrl"], data["Token"])


class WebSocketClient:
    """One WebSocket to a session; frames are buffered until a method returns them."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket = socket
        self._unread: list[dict[str, Any]] = []

    def unread(self) -> list[dict[str, Any]]:
        """Return the buffered frames."""
        return list(self._unread)

    async def send(self, target: str, method: str, invocation: str = "", **params: Any) -> str:
        """Send a frame and return its id."""
        name = invocation or uuid.uuid4().hex
        data = {"method": method, "params": params}
        frame = {"invocationId": name, "source": "SDK", "target": target, "data": data}
        await self.socket.send_str(json.dumps(frame))
        return name

    async def ask(self, target: str, method: str, **params: Any) -> dict[str, Any]:
        """Send a request with one reply, and return the data of the reply."""
        return await self.answer(await self.send(target, method, **params))

    async def answer(self, invocation: str) -> dict[str, Any]:
        """Return the data of the next frame of an invocation."""
        frame = await self.next(lambda one: one["invocationId"] == invocation)
        assert frame["target"] == "SDK", frame
        data: dict[str, Any] = frame["data"]
        return data

    async def error(self, target: str, method: str, **params: Any) -> str:
        """Send a request that fails, and return the error."""
        data = await self.ask(target, method, **params)
        assert data.get("error"), data
        return str(data["error"])

    async def next(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next frame that is wanted; buffer the others."""
        for index, frame in enumerate(self._unread):
            if wanted(frame):
                return self._unread.pop(index)
        while True:
            text = await self.socket.receive_str(timeout=DEADLINE)
            frame = json.loads(text)
            if wanted(frame):
                return frame  # type: ignore[no-any-return]  # any JSON
            self._unread.append(frame)

    async def push(self, kind: str) -> dict[str, Any]:
        """Return the data of the next event of a type."""
        data: dict[str, Any] = (await self.next(lambda one: one["data"].get("eventType") == kind))[
            "data"
        ]
        return data

    async def frames(self, invocation: str) -> list[dict[str, Any]]:
        """Return the data of all frames of a stream."""
        found: list[dict[str, Any]] = []
        while not found or found[-1].get("phase") == "event":
            found.append(await self.answer(invocation))
        return found

    async def open(self, **params: Any) -> str:
        """Open a terminal and return its id."""
        data = await self.ask(PTY, "pty.create", **params)
        assert "result" in data, data
        return str(data["result"]["ptySessionId"])

    async def type(self, terminal: str, text: str) -> None:
        """Type into a terminal."""
        await self.send(PTY, "pty.input", ptySessionId=terminal, encoding="utf8", data=text)

    async def next_output(self, terminal: str) -> Output:
        """Return the next output of a terminal."""
        return Output.of(await self._of(terminal, "pty.output"))

    async def until(self, terminal: str, mark: bytes) -> bytes:
        """Return the output of a terminal up to a mark."""
        text = b""
        while mark not in text:
            text += (await self.next_output(terminal)).data
        return text

    async def read_to_end(self, terminal: str) -> tuple[list[Output], int]:
        """Return the remaining output of a terminal, and its exit code."""
        found: list[Output] = []
        while True:
            data = await self._of(terminal, "pty.output", "pty.exit")
            if data["eventType"] == "pty.exit":
                return found, data["exitCode"]
            found.append(Output.of(data))

    async def _of(self, terminal: str, *kinds: str) -> dict[str, Any]:
        def wanted(frame: dict[str, Any]) -> bool:
            data = frame["data"]
            return data.get("ptySessionId") == terminal and data.get("eventType") in kinds

        data: dict[str, Any] = (await self.next(wanted))["data"]
        return data


@attrs.frozen
class Output:
    """A piece of a terminal's output."""

    offset: int
    data: bytes

    @classmethod
    def of(cls, data: dict[str, Any]) -> Output:
        """Parse an event."""
        text = data["data"]
        piece = text.encode() if data["encoding"] == "utf8" else base64.b64decode(text)
        return cls(data["offset"], piece)


def join(pieces: list[Output], start: int = 0) -> bytes:
    """Join pieces, which must follow each other without a gap."""
    text = b""
    for piece in pieces:
        assert piece.offset == start + len(text)
        text += piece.data
    return text


@asynccontextmanager
async def connect(api: Api, address: SessionAddress) -> AsyncIterator[WebSocketClient]:
    """Connect to a session's WebSocket."""
    # Without autoclose, which overwrites the code of the service when the service has closed the
    # connection before this side answers.
    async with api.http.ws_connect(
        address.ws, headers=address.headers, max_msg_size=0, autoclose=False
    ) as socket:
        yield WebSocketClient(socket)


async def wait_closed(client: WebSocketClient) -> int | None:
    """Wait until the service closes the connection, and return its close code."""
    while True:
        message = await client.socket.receive(timeout=DEADLINE)
        if message.type is WSMsgType.CLOSE:
            await client.socket.close()
            return int(message.data)
        if message.type in (WSMsgType.CLOSED, WSMsgType.ERROR):
            return client.socket.close_code
