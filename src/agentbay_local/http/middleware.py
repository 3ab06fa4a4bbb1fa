"""The gate that every request goes through: faults strike here, and the journal is kept.

What is behind it says how it answers by a `Reply`; here that becomes bytes on the connection, or
whatever a fault makes of them.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING

import attrs
from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_local.clock import at_work
from agentbay_local.http import error_responses
from agentbay_local.protocol import answers
from agentbay_local.protocol.errors import ApiError
from agentbay_local.testing.fault_actions import (
    Delay,
    Drop,
    Effect,
    ExpireToken,
    Fail,
    Garbage,
    Slow,
    Throttle,
    Truncate,
)
from agentbay_local.testing.journal import Entry, masked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentbay_local.testing.faults import Call
    from agentbay_local.testing.instruments import Instruments

__all__ = ["BrokenOffError", "Middleware", "Reply", "refused", "reply"]

_OF_FILES = (Delay, Drop, Fail, Throttle, Truncate)
_OF_ACTIONS = (*_OF_FILES, ExpireToken, Garbage, Slow)


class BrokenOffError(Exception):
    """The handler has stopped where a fault told it to; the connection is to be closed."""


@attrs.frozen
class Reply:
    """An answer.

    Attributes:
        response: What is sent, or has been.
        code: Its code, for the journal.
        request_id: The id it carries.
    """

    response: web.StreamResponse
    code: str = error_codes.OK
    request_id: str = ""


def reply(text: str, request_id: str) -> Reply:
    """Answer with a JSON text."""
    response = web.Response(text=text, content_type="application/json")
    return Reply(response, request_id=request_id)


def refused(
    problem: ApiError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Answer with a refusal, under its own HTTP status unless another one is given."""
    identity = answers.request_id()
    response = error_responses.refused(problem, status, request_id=identity, headers=headers)
    return Reply(response, problem.code, identity)


@attrs.frozen
class Middleware:
    """Lets requests through to their handlers.

    Attributes:
        kit: The instruments of the service.
    """

    instruments: Instruments

    async def pass_through(
        self,
        request: web.Request,
        call: Call,
        handle: Callable[[int | None], Awaitable[Reply]],
        *,
        streams: bool = False,
    ) -> web.StreamResponse:
        """Answer a request.

        Args:
            request: The request.
            call: What it asks for, as faults see it.
            handle: Does it. It gets the number of bytes after which to break off, or None; only one
                that streams need look at that.
            streams: `handle` reads and writes by itself, so that only it can break off.
        """
        began, moment = time.monotonic(), self.instruments.clock.time()
        with at_work(self.instruments.clock):
            effect = self.instruments.strike(call, *(_OF_FILES if streams else _OF_ACTIONS))
            said: Reply | None = None
            try:
                said = await self._said(request, effect, handle, streams)
            finally:
                self._note(request, call, said, effect, moment, time.monotonic() - began)
        # The connection is gone where nothing is said, and this goes nowhere.
        return said.response if said else web.Response(status=503)

    async def _said(
        self,
        request: web.Request,
        effect: Effect | None,
        handle: Callable[[int | None], Awaitable[Reply]],
        streams: bool,
    ) -> Reply | None:
        """Do what was asked for as far as the fault allows; None if nothing is sent."""
        refusal = _refusal(effect)
        if refusal is not None:
            return refusal
        if isinstance(effect, Delay):
            await self.instruments.clock.sleep(effect.seconds)
        if isinstance(effect, Drop) and not effect.committed:
            _hang_up(request, reset=effect.reset)
            return None
        cut = (effect.at or 0) if isinstance(effect, Truncate) else None
        try:
            return await self._sent(request, effect, await handle(cut))
        except BrokenOffError:
            _hang_up(request, reset=False)
        except ConnectionError:
            # The client has hung up: what was to be done is done, and nobody hears of it.
            pass
        return None

    async def _sent(self, request: web.Request, effect: Effect | None, done: Reply) -> Reply | None:
        """Send what was answered in the way of the fault."""
        if isinstance(effect, Drop):
            _hang_up(request, reset=effect.reset)
            return None
        if isinstance(effect, Garbage):
            response = web.Response(text=effect.body, content_type="text/html")
            return attrs.evolve(done, response=response)
        if isinstance(effect, Truncate):
            await _write(request, done.response, effect.at)
            _hang_up(request, reset=False)
            return None
        if isinstance(effect, Slow):
            return attrs.evolve(done, response=await self._dripped(request, done.response, effect))
        return done

    async def _dripped(
        self, request: web.Request, response: web.StreamResponse, effect: Slow
    ) -> web.StreamResponse:
        body = _body(response)
        drip = web.StreamResponse(
            status=response.status, headers={"Content-Type": "application/json"}
        )
        drip.content_length = len(body)
        await drip.prepare(request)
        size = max(1, -(-len(body) // effect.pieces))
        for start in range(0, len(body), size):
            await self.instruments.clock.sleep(effect.seconds / effect.pieces)
            await drip.write(body[start : start + size])
        await drip.write_eof()
        return drip

    def _note(
        self,
        request: web.Request,
        call: Call,
        said: Reply | None,
        effect: Effect | None,
        moment: float,
        duration: float,
    ) -> None:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        self.instruments.journal.add(
            Entry(
                time=moment,
                action=call.action,
                form=masked(call.form),
                status=said.response.status if said else 0,
                code=said.code if said else "",
                request_id=said.request_id if said else "",
                fault=effect.name if effect else "",
                duration=duration,
                connection=":".join(str(part) for part in peer[:2]) if peer else "",
            )
        )


def _refusal(effect: Effect | None) -> Reply | None:
    if isinstance(effect, Fail):
        return refused(ApiError(effect.code, effect.message, effect.status))
    if isinstance(effect, ExpireToken):
        return refused(
            ApiError(error_codes.INVALID_NEXT_TOKEN, "NextToken has expired; start again.")
        )
    if isinstance(effect, Throttle):
        milliseconds = max(1, round(effect.after * 1000))
        headers = (
            {"x-acs-retry-after": str(milliseconds)}
            if effect.own_header
            else {"Retry-After": str(-(-milliseconds // 1000))}
        )
        return refused(ApiError(effect.code, "Slow down.", effect.status), headers=headers)
    return None


def _body(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else None
    return body if isinstance(body, bytes) else b""


async def _write(request: web.Request, response: web.StreamResponse, at: int | None) -> None:
    """Send the head of an answer, and the beginning of its body."""
    body = _body(response)
    part = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
    part.content_length = len(body)
    await part.prepare(request)
    await part.write(body[: len(body) // 2 if at is None else at])


def _hang_up(request: web.Request, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:
        return
    if reset:
        end: socket.socket | None = transport.get_extra_info("socket")
        if end is not None:
            # Closing with no time to linger is what sends a reset.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    elif isinstance(transport, asyncio.Transport):
        transport.close()
