"""Large files through a session's direct address, which accepts more in one call than the API."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from .machine import TOOLS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncSession

    from .machine import Machine

    Join = Callable[[], Awaitable[AsyncSession]]

_CONTENT = bytes(range(256)) * 12_000


class Disk:
    """The file tools of the machine: one file that is read, and one that is written."""

    def __init__(self, machine: Machine) -> None:
        self.written: dict[str, str] = {}
        self.finished: dict[str, str] = {}
        self.lengths: list[int] = []
        machine.tools.update(read_file=self._read, write_file=self._write, shell=self._shell)
        machine.tools["get_file_info"] = lambda _: f"size: {len(_CONTENT)}\nisFile: true"
        names = [*TOOLS, {"name": "write_file", "server": "wuying_filesystem"}]
        machine.offer(ToolList=json.dumps(names))

    def _read(self, args: dict[str, Any]) -> str:
        self.lengths.append(args["length"])
        piece = _CONTENT[args["offset"] :][: args["length"]]
        return base64.b64encode(piece).decode()

    def _write(self, args: dict[str, Any]) -> str:
        before = self.written.get(args["path"], "") if args["mode"] == "append" else ""
        self.written[args["path"]] = before + args["content"]
        return "True"

    def _shell(self, args: dict[str, Any]) -> str:
        self.finished = args["envs"]
        return json.dumps({"stdout": "verified", "stderr": "", "exit_code": 0})


@pytest.fixture
async def disk(machine: Machine) -> Disk:
    """Give the machine file tools."""
    return Disk(machine)


async def test_a_large_file_is_read_in_few_calls(disk: Disk, join: Join, machine: Machine) -> None:
    """Each call reads twenty times as much as one through the API."""
    session = await join()
    assert (await session.fs.read_file("/f", format="bytes")).content == _CONTENT
    assert [call.channel for call in machine.calls if call.tool == "read_file"] == ["link"] * 3
    assert max(disk.lengths) == 20 * 50 * 1024
    assert sum(disk.lengths) == len(_CONTENT)


async def test_read_continues_through_the_api_after_the_address_is_lost(
    disk: Disk, join: Join, machine: Machine
) -> None:
    """In smaller chunks, from the same offset."""
    session = await join()
    calls = 0

    async def ends(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls > 1:
            return web.Response(status=404)
        piece = base64.b64encode(_CONTENT[: 20 * 50 * 1024]).decode()
        content = [{"type": "text", "text": piece}]
        return web.json_response({"data": {"result": {"isError": False, "content": content}}})

    read = disk._read

    def refuses(args: dict[str, Any]) -> object:
        if args["length"] > 50 * 1024:
            raise web.HTTPRequestEntityTooLarge(50 * 1024, args["length"])
        return read(args)

    machine.link = ends
    machine.tools["read_file"] = refuses
    assert (await session.fs.read_file("/f", format="bytes")).content == _CONTENT
    assert max(disk.lengths) == 50 * 1024


@pytest.mark.parametrize("direct", [True, False])
async def test_large_file_is_written_in_chunks_that_fit(
    disk: Disk, join: Join, machine: Machine, direct: bool
) -> None:
    """Large ones directly, small ones through the API; the file is verified."""
    if not direct:
        machine.offer(LinkUrl="")
    session = await join()
    (await session.fs.write_file("/f", _CONTENT)).unwrap()
    (coded,) = disk.written.values()
    assert base64.b64decode(coded) == _CONTENT
    assert disk.finished["H"] == hashlib.md5(_CONTENT).hexdigest()
    sizes = [len(call.body) for call in machine.calls if call.tool == "write_file"]
    assert (len(sizes) < 8) is direct
    if not direct:
        assert max(sizes) < 63 * 1024


async def test_failed_direct_write_is_not_repeated(
    disk: Disk, join: Join, machine: Machine
) -> None:
    """A chunk that is appended twice would corrupt the file."""
    session = await join()

    async def breaks(request: web.Request) -> web.StreamResponse:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    machine.link = breaks
    assert not (await session.fs.write_file("/f", _CONTENT)).success
    assert disk.written == {}
