"""A plain client of the direct channels, which speaks them without our own client."""

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
class Reached:
    """How a session is reached."""

    session: str
    link: str
    ws: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What opens it."""
        return {"X-Access-Token": self.token}


async def reached(api: Api, session: str = "", image: str = "code_latest") -> Reached:
    """Return how a session is reached; of a new one, unless it is named."""
    name = session or await api.session(ImageId=image)
    data = (await api.ok("GetSession", SessionId=name))["Data"]
    return Reached(name, data["LinkUrl"], data["WsUrl"], data["Token"])


class Line:
    """One WebSocket to a session; what comes is kept until it is asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket = socket
        self._kept: list[dict[str, Any]] = []

    def kept(self) -> list[dict[str, Any]]:
        """Return the frames that have come and that nobody has asked for."""
        return list(self._kept)

    async def tell(self, target: str, method: str, invocation: str = "", **params: Any) -> str:
        """Send a frame and return its id."""
        name = invocation or uuid.uuid4().hex
        data = {"method": method, "params": params}
        frame = {"invocationId": name, "source": "SDK", "target": target, "data": data}
        await self.socket.send_str(json.dumps(frame))
        return name

    async def ask(self, target: str, method: str, **params: Any) -> dict[str, Any]:
        """Ask a question that has one answer, and return its data."""
        return await self.answer(await self.tell(target, method, **params))

    async def answer(self, invocation: str) -> dict[str, Any]:
        """Return the data of the next frame of an invocation."""
        frame = await self.next(lambda one: one["invocationId"] == invocation)
        assert frame["target"] == "SDK", frame
        data: dict[str, Any] = frame["data"]
        return data

    async def refusal(self, target: str, method: str, **params: Any) -> str:
        """Ask a question that is refused, and return why."""
        data = await self.ask(target, method, **params)
        assert data.get("error"), data
        return str(data["error"])

    async def next(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next frame of a kind; others are kept for later."""
        for index, frame in enumerate(self._kept):
            if wanted(frame):
                return self._kept.pop(index)
        while True:
            text = await self.socket.receive_str(timeout=DEADLINE)
            frame = json.loads(text)
            if wanted(frame):
                return frame  # type: ignore[no-any-return]  # any JSON
            self._kept.append(frame)

    async def push(self, kind: str) -> dict[str, Any]:
        """Return the data of the next push of a kind."""
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
        await self.tell(PTY, "pty.input", ptySessionId=terminal, encoding="utf8", data=text)

    async def seen(self, terminal: str) -> Seen:
        """Return the next that a terminal shows."""
        return Seen.of(await self._of(terminal, "pty.output"))

    async def until(self, terminal: str, mark: bytes) -> bytes:
        """Return what a terminal shows up to some text."""
        text = b""
        while mark not in text:
            text += (await self.seen(terminal)).data
        return text

    async def rest(self, terminal: str) -> tuple[list[Seen], int]:
        """Return all that a terminal still shows, and its exit code."""
        found: list[Seen] = []
        while True:
            data = await self._of(terminal, "pty.output", "pty.exit")
            if data["eventType"] == "pty.exit":
                return found, data["exitCode"]
            found.append(Seen.of(data))

    async def _of(self, terminal: str, *kinds: str) -> dict[str, Any]:
        def wanted(frame: dict[str, Any]) -> bool:
            data = frame["data"]
            return data.get("ptySessionId") == terminal and data.get("eventType") in kinds

        data: dict[str, Any] = (await self.next(wanted))["data"]
        return data


@attrs.frozen
class Seen:
    """A piece of a terminal's output."""

    offset: int
    data: bytes

    @classmethod
    def of(cls, data: dict[str, Any]) -> Seen:
        """Read a push."""
        text = data["data"]
        piece = text.encode() if data["encoding"] == "utf8" else base64.b64decode(text)
        return cls(data["offset"], piece)


def joined(pieces: list[Seen], start: int = 0) -> bytes:
    """Return the bytes of pieces that follow each other without a gap."""
    text = b""
    for piece in pieces:
        assert piece.offset == start + len(text)
        text += piece.data
    return text


@asynccontextmanager
async def line_to(api: Api, place: Reached) -> AsyncIterator[Line]:
    """Connect to a session's WebSocket."""
    # Without autoclose, which overwrites the code of the service when the service has closed the
    # connection before this side answers.
    async with api.http.ws_connect(
        place.ws, headers=place.headers, max_msg_size=0, autoclose=False
    ) as socket:
        yield Line(socket)


async def ends(line: Line) -> int | None:
    """Wait until the service closes the connection, and return its close code."""
    while True:
        message = await line.socket.receive(timeout=DEADLINE)
        if message.type is WSMsgType.CLOSE:
            await line.socket.close()
            return int(message.data)
        if message.type in (WSMsgType.CLOSED, WSMsgType.ERROR):
            return line.socket.close_code
