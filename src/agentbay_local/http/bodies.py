"""Read the bodies of requests: forms up to their API key first, everything within limits."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from agentbay_async._protocol import error_codes
from agentbay_local.http.connections import CONNECTIONS, credential_shown, trust
from agentbay_local.protocol.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import StreamReader, web

__all__ = ["BODY_LIMIT", "decode_form", "read_body", "read_form"]

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of a body."""

_AT_ONCE = 16 * 1024
"""Bytes of a form that are read before its connection has to wait its turn."""

UNAUTHENTICATED_LIMIT = 4 * 1024 * 1024
"""Bytes of a form that may come before its API key.

Clients that sort their fields send the arguments of a tool first: a part of a file, some hundred
kilobytes.
"""

BODY_IDLE = 60.0
"""Seconds that the next part of a body may take to arrive."""

_MAX_FIELDS = 1000
_KEY_FIELD = b"Authorization="
# Longer forms are decoded on a thread, so that the loop can serve other connections meanwhile.
_INLINE = 256 * 1024
# The standard library needs 80 bytes for each escape of a text that it decodes at once.
_SLICE = 64 * 1024
_CUT_ESCAPE = re.compile(rb"%[0-9A-Fa-f]?\Z")
_KEY_LENGTH = 8192


async def read_body(request: web.Request, most: int = BODY_LIMIT) -> bytearray:
    """Return the body of an authenticated request.

    Raises:
        ApiError: It is larger than `most` bytes, or it does not come.
    """
    body = bytearray()
    await _read_rest(request, body, most)
    return body


async def read_form(request: web.Request, check_key: Callable[[str], None]) -> dict[str, str]:
    """Return the fields of a form that has the API key in it.

    Args:
        request: The request.
        check_key: Checks the field ``Authorization`` as soon as it has come, and raises an
            `ApiError` if the key is wrong; the rest of the form is not read then.

    Raises:
        ApiError: As `check_key`, or the body is too large, or it does not come.
    """
    body = bytearray()
    check_key(await _read_up_to_key(request, body))
    if credential_shown.get() is not None:
        trust(request)
    if not request.content.at_eof():
        await _read_rest(request, body)
    return await decode_form(body)


async def decode_form(body: bytearray) -> dict[str, str]:
    """Return the fields of a form; of a repeated field, the last one counts.

    Raises:
        ApiError: There are too many fields.
    """
    if body.count(b"&") >= _MAX_FIELDS:
        raise ApiError(
            error_codes.INVALID_PARAMETER, f"The form has more than {_MAX_FIELDS} fields."
        )
    if len(body) <= _INLINE:
        return _decode(body)
    return await asyncio.to_thread(_decode, body)


async def _read_up_to_key(request: web.Request, body: bytearray) -> str:
    """Read until the API key has come, and return it; "" if the form ends without one."""
    start, content = 0, request.content
    while not content.at_eof():
        if len(body) > _AT_ONCE:
            await request.app[CONNECTIONS].wait_turn()
        # The connection has a deadline of its own until the key has come.
        body += await content.readany()
        key, start = _find_key(body, start)
        if key is not None:
            return key
        if len(body) > UNAUTHENTICATED_LIMIT:
            raise ApiError(
                error_codes.INVALID_PARAMETER,
                f"The API key did not come within the first {UNAUTHENTICATED_LIMIT} bytes of the "
                "form; send it first, or in the header Authorization.",
                413,
            )
    return _find_key(body + b"&", start)[0] or ""


def _find_key(body: bytearray, start: int) -> tuple[str | None, int]:
    """Return the API key in the beginning of a form, or None and where to search the next time."""
    at = body.find(_KEY_FIELD, start)
    while at >= 0:
        if at == 0 or body[at - 1] == ord("&"):
            value = at + len(_KEY_FIELD)
            end = body.find(b"&", value, value + _KEY_LENGTH)
            if end >= 0 or len(body) > value + _KEY_LENGTH:
                return _decode_text(body[value:end]), 0
            return None, at
        at = body.find(_KEY_FIELD, at + 1)
    return None, max(0, len(body) - len(_KEY_FIELD))


async def _read_rest(request: web.Request, body: bytearray, most: int = BODY_LIMIT) -> None:
    content = request.content
    while not content.at_eof():
        body += content.read_nowait() or await _next_part(content)
        if len(body) > most:
            raise ApiError(
                error_codes.INVALID_PARAMETER, f"The request has more than {most} bytes.", 413
            )


async def _next_part(content: StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(content.readany(), BODY_IDLE)
    except asyncio.TimeoutError:
        raise ApiError(
            error_codes.INVALID_PARAMETER,
            f"The body stopped: nothing came for {BODY_IDLE:.0f} seconds.",
            408,
        ) from None


def _decode(body: bytearray) -> dict[str, str]:
    fields = {}
    for pair in body.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            fields[_decode_text(name)] = _decode_text(value)
    return fields


def _decode_text(encoded: bytearray) -> str:
    """Decode one name or value, a slice at a time."""
    encoded = encoded.replace(b"+", b" ")
    if b"%" not in encoded:
        return encoded.decode("utf-8", "replace")
    decoded, start = bytearray(), 0
    while start < len(encoded):
        piece = bytes(encoded[start : start + _SLICE])
        start += len(piece)
        cut = _CUT_ESCAPE.search(piece) if start < len(encoded) else None
        if cut is not None:
            # The escape is completed by the next slice.
            start -= len(piece) - cut.start()
            piece = piece[: cut.start()]
        decoded += unquote_to_bytes(piece)
    return decoded.decode("utf-8", "replace")
