"""Two WebSockets as one: what comes in at one end goes out at the other, until either closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse, web

    # Whether texts are decoded or bytes is part of its type, and nothing to us.
    End = ClientWebSocketResponse[Any] | web.WebSocketResponse[Any]

__all__ = ["LARGEST", "relay"]

LARGEST = 64 * 1024 * 1024
"""Bytes of one message."""

# These stand for a close that was not sent, and may not be sent either.
_NOT_SENT = frozenset({1005, 1006, 1015})


async def relay(one: End, other: End) -> None:
    """Carry messages both ways; return when one end has closed and the other was told."""
    ways = [asyncio.ensure_future(_carry(one, other)), asyncio.ensure_future(_carry(other, one))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    await _close(one, other.close_code)
    await _close(other, one.close_code)


async def _carry(source: End, target: End) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)


async def _close(end: End, code: int | None) -> None:
    """Close an end with the code of the other one; what is closed already stays as it is."""
    reason = WSCloseCode.GOING_AWAY if code in _NOT_SENT else code
    await end.close(code=WSCloseCode.OK if reason is None else reason)
