"""Dump JSON without blocking the event loop: large values on a thread, in chunks.

The encoder holds the interpreter lock while it encodes one string, on any thread. A string of many
megabytes in one piece would stop the service for that time.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["dump_json", "encode_json"]

_LARGE = 256 * 1024
_CHUNK = 32 * 1024


async def dump_json(value: Mapping[str, Any] | list[Any], size: int) -> str:
    """Return the text that `compact_json` returns for an object or a list.

    Args:
        value: Plain JSON values.
        size: Approximate number of characters in it; a large object is dumped on a thread.
    """
    encoded = await encode_json(value, size)
    return (encoded if isinstance(encoded, bytes) else encoded.getvalue()).decode("ascii")


async def encode_json(value: Mapping[str, Any] | list[Any], size: int) -> bytes | BytesIO:
    """Return what `dump_json` returns, encoded; as a file if it is large.

    A server sends a file in pieces, and would copy bytes twice.
    """
    if size <= _LARGE:
        return compact_json(value).encode("ascii")
    return await asyncio.to_thread(_encode, value)


def _encode(value: Mapping[str, Any] | list[Any]) -> BytesIO:
    file = BytesIO()
    for chunk in _chunks(value):
        file.write(chunk.encode("ascii"))
    file.seek(0)
    return file


def _chunks(value: Any) -> Iterator[str]:
    if isinstance(value, str) and len(value) > _CHUNK:
        yield '"'
        for start in range(0, len(value), _CHUNK):
            yield compact_json(value[start : start + _CHUNK])[1:-1]
        yield '"'
    elif isinstance(value, dict):
        yield from _object(value)
    elif isinstance(value, list):
        yield from _array(value)
    else:
        yield compact_json(value)


def _object(members: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    for index, (name, value) in enumerate(members.items()):
        yield "," * (index > 0) + compact_json(name) + ":"
        yield from _chunks(value)
    yield "}"


def _array(values: list[Any]) -> Iterator[str]:
    yield "["
    for index, value in enumerate(values):
        yield "," * (index > 0)
        yield from _chunks(value)
    yield "]"
