"""Writing JSON without keeping others waiting: what is large is written on a thread, in pieces.

The encoder takes a text in one step, however long it is, and during a step nothing else of Python
runs, on whatever thread it is. Answers of many megabytes would stop the service for that long.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["dump_json"]

_LARGE = 256 * 1024
_PIECE = 32 * 1024


async def dump_json(value: Mapping[str, Any], size: int) -> str:
    """Return an object as `compact_json` writes it.

    Args:
        value: Plain JSON values under names.
        size: About how many characters of text are in it; much of it is written on a thread.
    """
    if size <= _LARGE:
        return compact_json(value)
    return await asyncio.to_thread(lambda: "".join(_pieces(value)))


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, str) and len(value) > _PIECE:
        yield '"'
        for start in range(0, len(value), _PIECE):
            yield compact_json(value[start : start + _PIECE])[1:-1]
        yield '"'
    elif isinstance(value, dict):
        yield from _object(value)
    elif isinstance(value, list):
        yield from _array(value)
    else:
        yield compact_json(value)


def _object(members: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    for place, (name, value) in enumerate(members.items()):
        yield "," * (place > 0) + compact_json(name) + ":"
        yield from _pieces(value)
    yield "}"


def _array(values: list[Any]) -> Iterator[str]:
    yield "["
    for place, value in enumerate(values):
        yield "," * (place > 0)
        yield from _pieces(value)
    yield "]"
