"""Middleware of every request: authorization, faults, errors as answers, and the journal.

A handler returns a `Reply` or raises an `ApiError`. The middleware sends the reply, or whatever a
fault makes of it.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import logging
import socket
import struct
import time
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

import attrs
from aiohttp import Payload, web

from agentbay_async._protocol import error_codes
from agentbay_local.http.connections import CONNECTIONS, credential_shown, trust
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.hosts import link_label
from agentbay_local.http.ports import SERVE_BY_HOST
from agentbay_local.manual_clock import ManualClock
from agentbay_local.protocol import answers
from agentbay_local.protocol.errors import ApiError, disk_full, invalid
from agentbay_local.store import StateFullError
from agentbay_local.testing.fault_actions import (
    Delay,
    Drop,
    Effect,
    ExpireToken,
    Fail,
    Garbage,
    Repeat,
    Slow,
    Throttle,
    Truncate,
)
from agentbay_local.testing.journal import Entry, masked
from agentbay_local.tools.schemas import COMMANDS
from agentbay_local.urls import FILE_PREFIX, LINK_SUFFIX, PORT_PREFIX, TOKEN_HEADER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp.typedefs import Handler as WebHandler

    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session
    from agentbay_local.testing.faults import Call
    from agentbay_local.testing.instruments import Instruments

    Handler = Callable[[Effect | None], Awaitable["Reply"]]

__all__ = [
    "BrokenOffError",
    "Middleware",
    "Reply",
    "authorize_session",
    "check_api_key",
    "check_request",
    "check_session_token",
    "end_with_client",
    "error_reply",
    "hang_up",
    "outlive_client",
]

_log = logging.getLogger(__name__)

_FAULTS_OF_STREAMS = (Delay, Drop, Fail, Throttle, Truncate)
_ends_with_client: ContextVar[asyncio.Event] = ContextVar("ends_with_client")
# asyncio keeps only weak references to tasks.
_running: set[asyncio.Task[web.StreamResponse]] = set()

_FULL = (errno.ENOSPC, errno.EDQUOT)

_FAULTS = (*_FAULTS_OF_STREAMS, ExpireToken, Garbage, Repeat, Slow)


class BrokenOffError(Exception):
    """A handler has stopped where a fault tells it to; the connection is to be closed."""


@attrs.frozen
class Reply:
    """An answer.

    Attributes:
        response: The response to send, or one that is sent already.
        code: Its code, for the journal.
        request_id: Its request id.
    """

    response: web.StreamResponse
    code: str = error_codes.OK
    request_id: str = ""


def error_reply(
    error: ApiError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Return the answer for an error, under its own HTTP status unless another one is given."""
    request_id = answers.request_id()
    response = error_response(error, status, request_id=request_id, headers=headers)
    return Reply(response, error.code, request_id)


@web.middleware
async def outlive_client(request: web.Request, handler: WebHandler) -> web.StreamResponse:
    """Finish a request whose client hangs up, unless it says `end_with_client`.

    The server cancels handlers then. A change that has begun must not stop in the middle; a command
    whose output nobody can get any more must, and so must a request that has shown no credential.
    """
    transport, strangers = request.transport, request.app[CONNECTIONS].unauthenticated
    is_trusted = transport is not None and transport not in strangers
    ends_with_client, shown = asyncio.Event(), None if is_trusted else asyncio.Event()
    _ends_with_client.set(ends_with_client)
    credential_shown.set(shown)
    task = asyncio.ensure_future(handler(request))
    _running.add(task)
    task.add_done_callback(_running.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_log_failure)
        is_stopping = request.transport is not None
        is_stranger = shown is not None and not shown.is_set()
        if is_stopping or is_stranger or ends_with_client.is_set():
            task.cancel()
            await asyncio.wait([task])
        raise


def end_with_client(tool: object) -> None:
    """Let the current call of a tool that runs programs end when its client hangs up."""
    if isinstance(tool, str) and tool in COMMANDS:
        _ends_with_client.get().set()


def _log_failure(task: asyncio.Task[web.StreamResponse]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.debug("a request failed", exc_info=task.exception())


@web.middleware
async def check_request(request: web.Request, handler: WebHandler) -> web.StreamResponse:
    """Refuse requests of web pages, and bodies that are compressed or not whole.

    Close the connection after a request that has shown no credential, nor one before it.
    """
    headers = request.headers
    if "Origin" in headers or "Content-Encoding" in headers:
        refusal = _refusal_of_head(request)
        if refusal is not None:
            return refusal
    if LINK_SUFFIX in headers.get("Host", "").lower():
        handler = partial(request.app[SERVE_BY_HOST], handler=handler)
    try:
        response = await handler(request)
    except web.RequestPayloadError:
        response = error_response(invalid("The body", "is not as its headers say."))
    except ConnectionError:
        if request.transport is not None:
            raise
        # The client has hung up in the middle; nobody gets this response.
        response = web.Response(status=400)
    shown = credential_shown.get()
    if shown is not None and not shown.is_set():
        request.app[CONNECTIONS].release(request.transport)
        response.force_close()
    return response


def _refusal_of_head(request: web.Request) -> web.Response | None:
    """Return the answer to a request of a web page, or one whose body is compressed."""
    headers, path = request.headers, request.path
    # Links check the origin themselves: sessions serve pages.
    if path.startswith(PORT_PREFIX) or link_label(headers) is not None:
        return None
    # A browser adds the origin of the page, and no web page may use the API.
    if "Origin" in headers:
        return error_response(
            ApiError(error_codes.NOT_LOGIN, "Requests from web pages are not accepted.", 403)
        )
    packed = headers.get("Content-Encoding", "identity") != "identity"
    if packed and not path.startswith(FILE_PREFIX):
        return error_response(invalid("The body", "is compressed; send it uncompressed."))
    return None


class Middleware:
    """Calls handlers under the faults of a service, and keeps its journal."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        clock = instruments.clock
        # A manual clock must not jump while a request is handled; others need not know.
        self._at_work: Callable[[], AbstractContextManager[None]] = (
            clock.at_work if isinstance(clock, ManualClock) else nullcontext
        )

    async def respond(
        self,
        request: web.Request,
        call: Call,
        handle: Handler,
        *,
        on_error: Callable[[ApiError], Reply] = error_reply,
        streams: bool = False,
    ) -> web.StreamResponse:
        """Answer a request.

        Args:
            request: The request.
            call: The request as faults and the journal see it.
            handle: Does the work. It gets the fault that struck, or None; only a handler that
                streams has to carry a fault out itself.
            on_error: Returns the answer for an error that `handle` raises.
            streams: `handle` reads and writes by itself, so that only it can break off.
        """
        instruments = self._instruments
        started, moment = time.monotonic(), instruments.clock.time()
        answer = partial(_answer, handle, on_error, streams)
        reply: Reply | None = None
        with self._at_work():
            effect = instruments.faults.strike(call, *(_FAULTS_OF_STREAMS if streams else _FAULTS))
            try:
                if effect is None:
                    reply = await answer(None)
                else:
                    reply = await self._fail(request, effect, answer)
            except BrokenOffError:
                hang_up(request, reset=False)
            except ConnectionError:
                # The client has hung up: the work is done, and its answer reaches nobody.
                pass
            finally:
                self._write_entry(request, call, reply, effect, moment, time.monotonic() - started)
        # Without a reply the connection is gone, and this response is not sent.
        return reply.response if reply else web.Response(status=503)

    async def _fail(self, request: web.Request, effect: Effect, answer: Handler) -> Reply | None:
        """Answer as far as a fault allows; None if nothing is sent."""
        refusal = _refusal(effect)
        if refusal is not None:
            return refusal
        if isinstance(effect, Delay):
            await self._instruments.clock.sleep(effect.seconds)
        if isinstance(effect, Drop) and not effect.committed:
            hang_up(request, reset=effect.reset)
            return None
        if isinstance(effect, Repeat):
            await answer(effect)
        return await self._distort(request, effect, await answer(effect))

    async def _distort(self, request: web.Request, effect: Effect, reply: Reply) -> Reply | None:
        """Send an answer in the way of a fault; None if it does not arrive whole."""
        if isinstance(effect, Drop):
            hang_up(request, reset=effect.reset)
            return None
        if isinstance(effect, Garbage):
            response = web.Response(text=effect.body, content_type="text/html")
            return attrs.evolve(reply, response=response)
        if isinstance(effect, Truncate):
            await _send_part(request, reply.response, effect.at)
            hang_up(request, reset=False)
            return None
        if isinstance(effect, Slow):
            slow = await self._send_slowly(request, reply.response, effect)
            return attrs.evolve(reply, response=slow)
        return reply

    async def _send_slowly(
        self, request: web.Request, response: web.StreamResponse, effect: Slow
    ) -> web.StreamResponse:
        body, slow = await _send_head(request, response)
        size = max(1, -(-len(body) // effect.pieces))
        for start in range(0, len(body), size):
            await self._instruments.clock.sleep(effect.seconds / effect.pieces)
            await slow.write(body[start : start + size])
        await slow.write_eof()
        return slow

    def _write_entry(
        self,
        request: web.Request,
        call: Call,
        reply: Reply | None,
        effect: Effect | None,
        moment: float,
        duration: float,
    ) -> None:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        self._instruments.journal.add(
            Entry(
                time=moment,
                action=call.action,
                form=masked(call.form),
                status=reply.response.status if reply else 0,
                code=reply.code if reply else "",
                request_id=reply.request_id if reply else "",
                fault=effect.name if effect else "",
                duration=duration,
                connection=f"{peer[0]}:{peer[1]}" if peer else "",
            )
        )


async def _answer(
    handle: Handler,
    on_error: Callable[[ApiError], Reply],
    streams: bool,
    effect: Effect | None,
) -> Reply:
    """Call a handler, and turn what it raises into an answer."""
    try:
        return await handle(effect)
    except ApiError as error:
        return on_error(error)
    except StateFullError as error:
        _log.error("%s", error)  # the traceback says nothing more
        return on_error(disk_full(str(error)))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            _log.error("the disk is full: %s", error)
            return on_error(disk_full("The disk of the local service is full. Make room on it."))
        if streams:
            raise  # the head of the response may be sent already
        reply = on_error(
            ApiError(error_codes.INTERNAL, "The local service failed; its log says why.", 500)
        )
        _log.exception("request %s failed", reply.request_id)
        return reply


def _refusal(effect: Effect) -> Reply | None:
    """Return the answer of a fault that keeps the handler from being called, if it is one."""
    if isinstance(effect, Fail):
        return error_reply(ApiError(effect.code, effect.message, effect.status))
    if isinstance(effect, ExpireToken):
        return error_reply(
            ApiError(error_codes.INVALID_NEXT_TOKEN, "NextToken has expired; start again.")
        )
    if isinstance(effect, Throttle):
        milliseconds = max(1, round(effect.after * 1000))
        headers = (
            {"x-acs-retry-after": str(milliseconds)}
            if effect.own_header
            else {"Retry-After": str(-(-milliseconds // 1000))}
        )
        return error_reply(ApiError(effect.code, "Slow down.", effect.status), headers=headers)
    return None


async def _send_part(request: web.Request, response: web.StreamResponse, at: int | None) -> None:
    """Send the head of an answer, and the beginning of its body."""
    body, part = await _send_head(request, response)
    await part.write(body[: len(body) // 2 if at is None else at])


async def _send_head(
    request: web.Request, response: web.StreamResponse
) -> tuple[bytes, web.StreamResponse]:
    """Send the head of an answer; return its body, and the response to write that to."""
    whole = response.body if isinstance(response, web.Response) else None
    if isinstance(whole, Payload):
        # Each byte as one character: the body may be no text.
        body = whole.decode("latin-1").encode("latin-1")
    else:
        body = whole if isinstance(whole, bytes) else b""
    head = web.StreamResponse(
        status=response.status, headers={"Content-Type": response.headers["Content-Type"]}
    )
    head.content_length = len(body)
    await head.prepare(request)
    return body, head


def hang_up(request: web.Request, *, reset: bool) -> None:
    """Close the connection of a request; a reset drops what waits to be sent."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        peer: socket.socket | None = transport.get_extra_info("socket")
        if peer is not None:
            # Closing with a linger time of zero makes the kernel send a reset.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    elif isinstance(transport, asyncio.Transport):
        transport.close()


def check_api_key(authorization: str, api_key: bytes, http_status: int = 400) -> None:
    """Check the value of an ``Authorization`` header or field.

    Raises:
        ApiError: It is not ``Bearer`` and the key.
    """
    scheme, _, given = authorization.partition(" ")
    matches = hmac.compare_digest(given.strip().encode("utf-8", "replace"), api_key)
    if not matches or scheme.lower() != "bearer":
        raise ApiError(error_codes.NOT_LOGIN, "The API key is missing or wrong.", http_status)


def authorize_session(state: ServiceState, request: web.Request) -> Session:
    """Return the session in a request's path, if the token in its header opens that session.

    Raises:
        ApiError: The token does not belong to the session (401), or the session is released.
    """
    return state.session(check_session_token(state, request))


def check_session_token(state: ServiceState, request: web.Request) -> str:
    """Return the session id in a request's path, if the token in its header belongs to it.

    Raises:
        ApiError: The token does not belong to the session (401).
    """
    session_id = request.match_info["session"]
    grant = state.signer.open("access", request.headers.get(TOKEN_HEADER, ""))
    if grant is None or grant["session"] != session_id:
        raise ApiError(error_codes.NOT_LOGIN, "The token of the session is missing or wrong.", 401)
    if credential_shown.get() is not None:
        trust(request)
    return session_id
