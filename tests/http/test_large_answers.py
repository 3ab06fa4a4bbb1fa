"""Answers are bounded: a service, or a session behind it, cannot fill the client's memory."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from agentbay_async import (
    AnswerTooLargeError,
    AsyncAgentBay,
    BadAnswerError,
    FileError,
    InvalidArgumentError,
    RetryPolicy,
)
from agentbay_async._protocol import schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

_ANSWER = json.dumps({"Success": True, "Data": {"SessionId": "s-9"}}).encode()
_LIMIT = schema.GetSession.MAX_ANSWER
_BLOCK = b" " * 65536


def _raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


@asynccontextmanager
async def _service(
    head: str, body: bytes, *, endless: bytes = b"", attempts: int = 1
) -> AsyncIterator[AsyncAgentBay]:
    """Answer every request with `head` and `body`, then with `endless` until the client leaves."""
    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n\r\n".encode() + body)
        with suppress(ConnectionError):
            while endless:
                writer.write(endless)
                await writer.drain()
            await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncAgentBay(
            "k", endpoint=endpoint, retry=RetryPolicy(attempts=attempts)
        ) as bay:
            yield bay
        await asyncio.wait([task for task in handlers if task is not None], timeout=30)


def _length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


async def test_an_endless_answer_is_an_error() -> None:
    """It ends at the limit, and is not asked for again."""
    chunk = f"{len(_BLOCK):x}\r\n".encode() + _BLOCK + b"\r\n"
    async with _service("Transfer-Encoding: chunked", b"", endless=chunk, attempts=3) as bay:
        error = (await bay.get("s-1")).error
    assert isinstance(error, AnswerTooLargeError)
    assert "8 MiB" in str(error)
    assert (error.limit, len(error.attempts)) == (_LIMIT, 1)


async def test_an_answer_that_announces_too_much_is_not_read() -> None:
    """Its length alone is enough."""
    async with _service(f"Content-Length: {_LIMIT + 1}", b"") as bay:
        assert isinstance((await bay.get("s-1")).error, AnswerTooLargeError)


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_small_answer_that_unpacks_to_a_large_one_is_an_error(
    name: str, pack: Callable[[bytes], bytes]
) -> None:
    """It is unpacked up to the limit only."""
    body = pack(b" " * (_LIMIT + 1))
    assert len(body) < _LIMIT / 100
    async with _service(f"Content-Encoding: {name}\r\n{_length(body)}", body) as bay:
        assert isinstance((await bay.get("s-1")).error, AnswerTooLargeError)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", _raw_deflate),
        ("identity", bytes),
    ],
)
async def test_a_compressed_answer_is_read(name: str, pack: Callable[[bytes], bytes]) -> None:
    """In both forms that servers call deflate."""
    body = pack(_ANSWER)
    async with _service(f"Content-Encoding: {name}\r\n{_length(body)}", body) as bay:
        assert (await bay.get("s-1")).session.session_id == "s-9"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", gzip.compress(_ANSWER)[:-4]),
        ("gzip", gzip.compress(_ANSWER) + b"more"),
        ("gzip", _ANSWER),
        ("deflate", b""),
        ("br", _ANSWER),
    ],
    ids=["cut short", "followed by more", "not packed", "empty", "unknown"],
)
async def test_an_answer_that_cannot_be_unpacked_is_a_bad_answer(name: str, body: bytes) -> None:
    """Nothing is guessed about the rest."""
    async with _service(f"Content-Encoding: {name}\r\n{_length(body)}", body) as bay:
        assert type((await bay.get("s-1")).error) is BadAnswerError


def _read(size: int) -> dict[str, object]:
    text = base64.b64encode(bytes(size)).decode()
    return {"content": [{"type": "text", "text": text}], "isError": False}


async def test_an_endless_file_is_an_error_that_names_the_download(
    session: AsyncSession, scripted: Script
) -> None:
    """A device, for example."""
    scripted.ok("CallMcpTool", _read(51_200))
    result = await session.file_system.read_file("/dev/zero", format="bytes", max_size=200_000)
    assert isinstance(result.error, FileError)
    assert "larger than 200000 bytes: /dev/zero" in str(result.error)
    assert "download_file" in str(result.error)
    calls = [form["Name"] for form in scripted.forms("CallMcpTool")]
    assert sorted(calls) == ["get_file_info", *["read_file"] * 4]


@pytest.mark.parametrize(("limit", "success"), [(100_000, True), (99_999, False)])
async def test_a_file_of_the_largest_size_is_read(
    session: AsyncSession, scripted: Script, limit: int, success: bool
) -> None:
    """The limit itself is allowed."""
    scripted.ok("CallMcpTool", _read(51_200))
    scripted.ok("CallMcpTool", _read(48_800))
    result = await session.file_system.read_file("f", format="bytes", max_size=limit)
    assert result.success == success


async def test_a_limit_must_be_positive(session: AsyncSession) -> None:
    """It is checked before anything is sent."""
    with pytest.raises(InvalidArgumentError, match="max_size"):
        await session.file_system.read_file("f", max_size=0)
