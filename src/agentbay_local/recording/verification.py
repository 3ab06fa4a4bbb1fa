"""Where the local service would have answered otherwise than a cassette.

The requests of the cassette are sent again, in their order, to a service that is empty. Ids, tokens
and URLs that its answers give out take the place of the recorded ones in later requests.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import aiohttp
import attrs
from yarl import URL

from agentbay_local.cassettes.cassette import (
    CLIENT,
    WEBSOCKET,
    Cassette,
    CassetteError,
    Exchange,
    Frame,
    Request,
    Response,
    describe_body,
    parse_container,
    read_body,
)
from agentbay_local.cassettes.matching import RANDOM, replace_texts, replacer
from agentbay_local.cassettes.redaction import API_KEY, PLACEHOLDER_URL
from agentbay_local.http.proxy_headers import AUTOMATIC_HEADERS
from agentbay_local.http.websocket_proxy import MAX_MESSAGE
from agentbay_local.recording.comparison import compare_answers, compare_values
from agentbay_local.service import LocalService

__all__ = ["Difference", "Verification", "verify_cassette"]

# Seconds for one request. The longest that a program may wait for an answer is shorter.
_ANSWER_WITHIN = 300.0
# Seconds that a state or a frame may take to become what was recorded.
_PATIENCE = 10.0
_LITTLE_PATIENCE = 0.5
_PAUSE = 0.05

_READS = re.compile(r"Get|List|Describe")
_PLACEHOLDER = re.compile(r"<secret:\d+>|(?:https?|wss?)://<url-\d+>")
_IDENTITIES = ("id", "token", "url")
_SAME_EVERYWHERE = frozenset({"ImageId", "RegionId"})
# A shorter one would be found in the middle of other texts.
_SHORTEST = 6


@attrs.frozen
class Difference:
    """A difference between a recorded answer and that of the local service.

    Attributes:
        exchange: The number of the first exchange in which it was found.
        request: The action, or the method and URL.
        what: Where, what was recorded, and what was answered here.
        count: How often it was found.
    """

    exchange: int
    request: str
    what: str
    count: int = 1


@attrs.frozen
class Verification:
    """The outcome of a comparison.

    Attributes:
        requests: The number of requests that were sent.
        differences: The differences, in the order in which they were found.
    """

    requests: int
    differences: tuple[Difference, ...]

    @property
    def is_same(self) -> bool:
        """Whether there was no difference."""
        return not self.differences


def verify_cassette(cassette: Cassette) -> Verification:
    """Send the requests of a cassette to a new local service, and compare the answers.

    Raises:
        RuntimeError: This machine cannot isolate sessions; the message says why.

    Example:
        ::

            for difference in verify_cassette(Cassette.read("cassette.jsonl")).differences:
                print(difference.request, difference.what)
    """
    return asyncio.run(_verify(cassette))


async def _verify(cassette: Cassette) -> Verification:
    async with (
        LocalService() as service,
        aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_WITHIN),
        ) as http,
    ):
        if not service.isolation.available:
            reason, remedy = service.isolation.reason, service.isolation.remedy
            raise RuntimeError(f"sessions cannot be created here: {reason} To cure it: {remedy}")
        verifier = _Verifier(http, service.endpoint, service.api_key)
        try:
            for entry in cassette.entries:
                await verifier.check(entry)
        finally:
            await verifier.close()
        return verifier.outcome()


class _Verifier:
    """Sends the entries of a cassette, one after the other."""

    def __init__(self, http: aiohttp.ClientSession, endpoint: str, api_key: str) -> None:
        self._http, self._endpoint = http, endpoint
        self._known: dict[str, str] = {API_KEY: api_key}
        self._connections: dict[int, _Connection] = {}
        self._found: dict[tuple[str, str], Difference] = {}
        self._requests = 0

    async def check(self, entry: Exchange | Frame) -> None:
        """Send a request or a frame of the client; wait for a frame of the service."""
        if isinstance(entry, Exchange):
            await self._check_exchange(entry)
            return
        connection = self._connections.get(entry.connection)
        if connection is None:
            return
        if entry.sender == CLIENT:
            await connection.send(replace_texts(dict(entry.body), replacer(self._known)))
        else:
            await self._check_frame(connection, entry)

    async def close(self) -> None:
        """Close the WebSockets."""
        for connection in self._connections.values():
            await connection.close()

    def outcome(self) -> Verification:
        """Return what was found."""
        return Verification(self._requests, tuple(self._found.values()))

    def _report(self, exchange: int, request: str, *lines: str) -> None:
        for line in lines:
            known = self._found.get((request, line))
            count = known.count + 1 if known else 1
            first = known.exchange if known else exchange
            self._found[request, line] = Difference(first, request, line, count)

    async def _check_exchange(self, exchange: Exchange) -> None:
        recorded, name = exchange.response, _shown(exchange.request)
        self._requests += 1
        try:
            if exchange.request.target.startswith("ws"):
                await self._connect(exchange)
                return
            here = await self._send(exchange.request)
            if recorded is None or recorded.failed:
                return
            here, lines = await self._settle(exchange, recorded, here)
        except _CannotSendError as error:
            lines = [str(error)]
        self._report(exchange.number, name, *lines)

    async def _settle(
        self, exchange: Exchange, recorded: Response, here: Response
    ) -> tuple[Response, list[str]]:
        """Return the answer and its differences, and ask again while a state may still change."""
        name = _shown(exchange.request)
        end = time.monotonic() + self._patience(name)
        while True:
            lines = compare_answers(recorded, here)
            request = exchange.request
            is_read = _READS.match(request.action) is not None or (
                not request.action and request.method == "GET"
            )
            if not lines or not is_read or time.monotonic() > end:
                self._learn(recorded.body.get("json"), here.body.get("json"))
                return here, lines
            await asyncio.sleep(_PAUSE)
            here = await self._send(exchange.request)

    def _patience(self, name: str) -> float:
        waited = any(request == name for request, _ in self._found)
        return _LITTLE_PATIENCE if waited else _PATIENCE

    async def _send(self, request: Request) -> Response:
        headers = {**self._replaced(request.headers)}
        if request.target.startswith("/"):
            url = f"{self._endpoint}{request.target}?{urlencode(self._replaced(request.query))}"
        else:
            url = self._url_of(request)
        try:
            content: bytes = read_body(self._replaced(request.body))
        except CassetteError as error:
            raise _CannotSendError(f"cannot be sent again: {error}") from error
        if request.form:
            content = urlencode(self._replaced(request.form)).encode()
        async with self._http.request(
            request.method,
            URL(url, encoded=True),
            data=BytesIO(content) if content else None,
            headers=headers,
            skip_auto_headers=AUTOMATIC_HEADERS,
            allow_redirects=False,
        ) as response:
            body = describe_body(await response.read())
            return Response(response.status, dict(response.headers), body)

    def _url_of(self, request: Request) -> str:
        url = replacer(self._known)(request.target)
        if PLACEHOLDER_URL.search(url) or not url.startswith(("http", "ws")):
            raise _CannotSendError("cannot be sent: no answer here gave out this URL")
        return url

    def _replaced(self, values: Any) -> Any:
        return replace_texts(dict(values), replacer(self._known))

    async def _connect(self, exchange: Exchange) -> None:
        try:
            socket = await self._http.ws_connect(
                URL(self._url_of(exchange.request), encoded=True),
                headers=self._replaced(exchange.request.headers),
                max_msg_size=MAX_MESSAGE,
            )
        except aiohttp.WSServerHandshakeError as error:
            self._report_handshake(exchange, error.status)
            return
        self._report_handshake(exchange, WEBSOCKET)
        self._connections[exchange.number] = _Connection(socket, exchange)

    def _report_handshake(self, exchange: Exchange, status: int) -> None:
        recorded = exchange.response
        if recorded is not None and not recorded.failed:
            lines = compare_answers(Response(recorded.status), Response(status))
            self._report(exchange.number, _shown(exchange.request), *lines)

    async def _check_frame(self, connection: _Connection, frame: Frame) -> None:
        """Wait until a frame like a recorded one has come."""
        name = f"frames of {_shown(connection.exchange.request)}"
        recorded = frame.body.get("json")
        call = connection.call_of(recorded)
        end = time.monotonic() + self._patience(name)
        lines = ["a frame was recorded, here none came"]
        while True:
            for here in connection.received:
                if connection.call_of(here) == call:
                    lines = compare_values(recorded, here)
                    if not lines:
                        self._learn(recorded, here)
                        return
            if time.monotonic() > end:
                self._report(connection.exchange.number, name, *lines)
                return
            await asyncio.sleep(_PAUSE)

    def _learn(self, recorded: Any, here: Any, name: str = "") -> None:
        """Remember what stands for the ids, tokens and URLs of a recorded answer."""
        if isinstance(recorded, dict) and isinstance(here, dict):
            for key in recorded.keys() & here.keys():
                self._learn(recorded[key], here[key], key)
        elif isinstance(recorded, list) and isinstance(here, list):
            for one, other in zip(recorded, here, strict=False):
                self._learn(one, other, name)
        elif isinstance(recorded, str) and isinstance(here, str) and recorded and here:
            self._learn_text(recorded, here, name)

    def _learn_text(self, recorded: str, here: str, name: str) -> None:
        inner = parse_container(recorded), parse_container(here)
        if inner[0] is not None and inner[1] is not None:
            self._learn(*inner, name)
        elif _PLACEHOLDER.fullmatch(recorded) or (
            recorded != here and (name.lower().endswith(_IDENTITIES) or RANDOM.fullmatch(recorded))
        ):
            self._known.setdefault(recorded, here)


class _Connection:
    """A WebSocket to the local service, and the frames that have come.

    Attributes:
        exchange: The exchange that opened the recorded one.
        received: The JSON of the frames.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool], exchange: Exchange) -> None:
        self.exchange = exchange
        self.received: list[Any] = []
        self._calls: set[str] = set()
        self._socket = socket
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.received.append(parse_container(message.data))

    async def send(self, body: dict[str, Any]) -> None:
        """Send a recorded frame, unless the service has closed the connection."""
        self._calls.add(_call_in(body.get("json")))
        if not self._socket.closed:
            text = json.dumps(body["json"]) if "json" in body else str(body.get("text", ""))
            await self._socket.send_str(text)

    def call_of(self, value: Any) -> str:
        """Return the id of the call that a frame belongs to, if the client has made one."""
        call = _call_in(value)
        return call if call in self._calls else ""

    async def close(self) -> None:
        """Close the connection."""
        await self._socket.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


class _CannotSendError(Exception):
    """A recorded request cannot be sent to this service; the message says why."""


def _shown(request: Request) -> str:
    """Return the name of a request for people; a tool is named with its action."""
    tool = request.form.get("Name") if request.action == "CallMcpTool" else None
    document = request.body.get("json")
    if request.target.endswith("/callTool") and isinstance(document, dict):
        tool = document.get("tool")
        return f"callTool {tool}"
    return f"{request.name} {tool}" if tool else request.name


def _is_identity(text: str, name: str) -> bool:
    """Return whether a text names one thing of one service, so that it differs elsewhere."""
    if len(text) < _SHORTEST or name in _SAME_EVERYWHERE:
        return False
    return name.lower().endswith(_IDENTITIES) or RANDOM.fullmatch(text) is not None


def _call_in(value: Any) -> str:
    call = value.get("invocationId") if isinstance(value, dict) else None
    return call if isinstance(call, str) else ""
