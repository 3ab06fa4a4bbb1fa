"""Requests that a cassette answers: all actions, and the URLs that recorded answers hold."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import WSCloseCode, WSMsgType, web

from agentbay_async._protocol import error_codes
from agentbay_local.cassettes.cassette import Request, describe_body
from agentbay_local.cassettes.matching import replace_texts
from agentbay_local.cassettes.redaction import API_KEY
from agentbay_local.http.bodies import read_body
from agentbay_local.http.connections import trust
from agentbay_local.http.middleware import Reply, error_reply
from agentbay_local.http.websocket import MAX_FRAME
from agentbay_local.protocol import answers
from agentbay_local.protocol.errors import ApiError
from agentbay_local.testing.faults import Call
from agentbay_local.websocket.subscriber import REGISTER_DELAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.cassettes.player import Conversation, Player, Recorded
    from agentbay_local.http.middleware import Middleware
    from agentbay_local.state import ServiceState
    from agentbay_local.testing.fault_actions import Effect

__all__ = ["Replay"]

_log = logging.getLogger(__name__)

_PURPOSE = "replay"
_REASON_BYTES = 120  # RFC 6455 allows 123


@attrs.frozen
class Replay:
    """The handlers.

    Attributes:
        state: The service.
        player: Its cassette.
        api_key: Its key, which requests may hold where the recorded ones have a placeholder.
        middleware: Applies faults, and keeps the journal.
    """

    state: ServiceState
    player: Player
    api_key: str
    middleware: Middleware

    def add(self, app: web.Application) -> None:
        """Add the route of recorded URLs."""
        app.router.add_route("*", "/replay/{label:[^/]+}{rest:(?s:/.*)?}", self.serve)

    def act(self, name: str, fields: Mapping[str, str]) -> Reply:
        """Answer an action.

        Raises:
            ApiError: The cassette has no answer.
        """
        request = self._masked(Request(form={**fields, "Action": name}))
        return self._reply(self.player.answer(request, self._url_of))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to a recorded URL."""
        text = self.state.signer.open_label(_PURPOSE, request.match_info["label"])
        if text is None:
            error = ApiError(error_codes.NOT_LOGIN, "The URL does not belong to this service.", 403)
            return error_reply(error).response
        trust(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._converse(request, text)
        content = bytes(await read_body(request))
        asked = self._masked(
            Request(
                request.method,
                self._target(request, text),
                body=describe_body(content),
            )
        )
        call = Call("callTool" if asked.target.endswith("/callTool") else request.method)
        return await self.middleware.respond(request, call, partial(self._handle, asked))

    async def _handle(self, asked: Request, _effect: Effect | None) -> Reply:
        return self._reply(self.player.answer(asked, self._url_of))

    def _reply(self, recorded: Recorded) -> Reply:
        response = web.Response(
            body=recorded.content, status=recorded.status, headers=recorded.headers
        )
        return Reply(response, *_code_and_id(recorded))

    async def _converse(self, request: web.Request, text: str) -> web.StreamResponse:
        """Play a recorded WebSocket."""
        asked = Request("GET", self._target(request, text))
        try:
            conversation = self.player.connect(asked, self._url_of)
        except ApiError as error:
            # Clients read no more than the status of a refused WebSocket.
            _log.warning("%s", error.message)
            return error_reply(error).response
        socket = web.WebSocketResponse(max_msg_size=MAX_FRAME, compress=False)
        await socket.prepare(request)
        for frame in conversation.opening():
            await socket.send_str(frame)
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await self._reply_to(socket, conversation, message.data)
        return socket

    async def _reply_to(
        self, socket: web.WebSocketResponse[bool], conversation: Conversation, data: str | bytes
    ) -> None:
        body = describe_body(data.encode() if isinstance(data, str) else data)
        try:
            frames = conversation.reply(replace_texts(body, self._mask))
        except ApiError as error:
            # A client that waits for an answer must learn that none comes.
            _log.warning("%s", error.message)
            reason = error.message.encode("ascii", "replace")[:_REASON_BYTES]
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason)
            return
        for number, frame in enumerate(frames):
            if number == 1 and _opens_terminal(body):
                await asyncio.sleep(REGISTER_DELAY)
            await socket.send_str(frame)

    def _masked(self, request: Request) -> Request:
        form = replace_texts(dict(request.form), self._mask)
        return attrs.evolve(request, form=form, body=replace_texts(dict(request.body), self._mask))

    def _mask(self, text: str) -> str:
        return text.replace(self.api_key, API_KEY)

    def _url_of(self, scheme: str, number: int) -> str:
        label = self.state.signer.seal_label(_PURPOSE, f"{scheme}-{number}")
        kind = scheme.replace("https", "http").replace("wss", "ws")
        return f"{kind}{self.state.endpoint.removeprefix('http')}/replay/{label}"

    def _target(self, request: web.Request, text: str) -> str:
        """Return the URL as the cassette has it."""
        scheme, _, number = text.partition("-")
        own = f"/replay/{request.match_info['label']}"
        return f"{scheme}://<url-{number}>{request.raw_path[len(own) :]}"


def _opens_terminal(body: Mapping[str, Any]) -> bool:
    """Return whether the reply to a frame has the id of a terminal, whose output follows."""
    value = body.get("json")
    data = value.get("data") if isinstance(value, dict) else None
    return isinstance(data, dict) and data.get("method") in ("pty.create", "pty.connect")


def _code_and_id(recorded: Recorded) -> tuple[str, str]:
    """Return the code and the request id of an answer, for the journal."""
    try:
        document = json.loads(recorded.content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return (error_codes.OK if recorded.status < 400 else str(recorded.status)), ""
    good = document.get("Success") is not False and recorded.status < 400
    code = error_codes.OK if good else str(document.get("Code") or recorded.status)
    return code, str(document.get("RequestId") or answers.request_id())
