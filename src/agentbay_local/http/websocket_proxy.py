"""Relay messages between two WebSockets, in both directions, until either closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientWebSocketResponse, web

    # Their type parameter says whether texts are decoded; here it does not matter.
    End = ClientWebSocketResponse[Any] | web.WebSocketResponse[Any]
    OnMessage = Callable[[End, "str | bytes"], None]

__all__ = ["MAX_MESSAGE", "relay"]

MAX_MESSAGE = 64 * 1024 * 1024
"""Maximum bytes of one message."""

# Codes that report the absence of a close frame; RFC 6455 forbids to send them.
_NOT_SENT = frozenset({1005, 1006, 1015})


async def relay(one: End, other: End, on_message: OnMessage | None = None) -> None:
    """Relay messages both ways; when one end closes, close the other.

    Args:
        one: One end.
        other: The other end.
        on_message: Called with the end that a message comes from, and the message, before it is
            sent on.
    """
    directions = ((one, other), (other, one))
    ways = [asyncio.ensure_future(_forward(*ends, on_message)) for ends in directions]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    await _close(one, other.close_code)
    await _close(other, one.close_code)


async def _forward(source: End, target: End, on_message: OnMessage | None) -> None:
    async for message in source:
        if on_message is not None and message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            on_message(source, message.data)
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)


async def _close(end: End, code: int | None) -> None:
    """Close an end with the code of the other one, unless it is closed already."""
    reason = WSCloseCode.GOING_AWAY if code in _NOT_SENT else code
    await end.close(code=WSCloseCode.OK if reason is None else reason)
