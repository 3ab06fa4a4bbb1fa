"""The client of the DevTools protocol, against a browser that the test plays."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentbay_local.browser import devtools as module
from agentbay_local.browser.devtools import DevTools, DevToolsError
from agentbay_local.browser.pages import list_pages, open_page
from agentbay_local.protocol.arguments import ToolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@attrs.define
class Played:
    """A browser that answers as the test says."""

    sock: socket.socket
    devtools: DevTools
    ended: asyncio.Event

    async def read(self) -> dict[str, Any]:
        """Return the next command."""
        data = b""
        while not data.endswith(b"\0"):
            data += await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        command: dict[str, Any] = json.loads(data[:-1])
        return command

    async def write(self, data: bytes) -> None:
        """Write bytes."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def answer(self, **fields: Any) -> dict[str, Any]:
        """Answer the next command, and return it."""
        command = await self.read()
        await self.write(json.dumps({"id": command["id"], **fields}).encode() + b"\0")
        return command


@pytest.fixture
async def browser() -> AsyncIterator[Played]:
    """Connect a client to a browser of the test."""
    ours, theirs = socket.socketpair()
    ended = asyncio.Event()
    ours.setblocking(False)
    with ours:
        played = Played(ours, DevTools(theirs, ended.set), ended)
        yield played
        played.devtools.close()


async def test_answers_find_their_commands(browser: Played) -> None:
    """In any order; events and answers that nobody waits for are passed over."""
    calls, commands = [], []
    for name in ("A.b", "C.d"):
        calls.append(asyncio.create_task(browser.devtools.call(name)))
        commands.append(await browser.read())
    first, second = commands
    for text in (
        {"method": "Some.event"},
        {"id": 99, "result": {}},
        {"id": second["id"], "result": {"n": 2}},
        {"id": first["id"], "result": {"n": 1}},
    ):
        await browser.write(json.dumps(text).encode() + b"\0")
    assert [one["n"] for one in await asyncio.gather(*calls)] == [1, 2]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"error": {"message": "no such page"}}, "no such page"),
        ({"error": {"message": "x" * 10_000}}, "^x{500}$"),
        ({"error": "odd"}, "without a result"),
        ({"result": 7}, "without a result"),
    ],
)
async def test_a_refusal_is_an_error(browser: Played, fields: dict[str, Any], what: str) -> None:
    """Its text is cut; the conversation goes on."""
    call = asyncio.create_task(browser.devtools.call("A.b"))
    await browser.answer(**fields)
    with pytest.raises(DevToolsError, match=what):
        await call
    assert not browser.devtools.end


@pytest.mark.parametrize("text", [b"no json\0", b"[]\0", b"[" * 100_000 + b"\0"])
async def test_a_browser_that_breaks_the_protocol_is_left(browser: Played, text: bytes) -> None:
    """All calls fail, and the owner is told."""
    call = asyncio.create_task(browser.devtools.call("A.b"))
    await browser.read()
    await browser.write(text)
    with pytest.raises(DevToolsError, match="broke the DevTools protocol"):
        await call
    await asyncio.wait_for(browser.ended.wait(), 30)
    with pytest.raises(DevToolsError, match="broke the DevTools protocol"):
        await browser.devtools.call("A.b")


async def test_the_end_of_the_pipe_ends_all_calls(browser: Played) -> None:
    """The browser has ended."""
    call = asyncio.create_task(browser.devtools.call("A.b"))
    await browser.read()
    browser.sock.shutdown(socket.SHUT_WR)
    with pytest.raises(DevToolsError, match="has ended"):
        await call


async def test_a_command_has_a_time_limit(browser: Played) -> None:
    """The next one is not affected."""
    with pytest.raises(DevToolsError, match=r"A\.b was not answered"):
        await browser.devtools.call("A.b", within=0.01)
    await browser.read()
    call = asyncio.create_task(browser.devtools.call("C.d"))
    await browser.answer(result={"n": 1})
    assert await call == {"n": 1}


async def test_only_pictures_may_be_long(browser: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long JSON is not parsed; an event of that length is passed over."""
    monkeypatch.setattr(module, "MAX_MESSAGE", 1000)
    monkeypatch.setattr(module, "MAX_PICTURE", 10_000)
    call = asyncio.create_task(browser.devtools.call("A.b"))
    command = await browser.read()
    await browser.write(b'{"method":"' + b"x" * 2000 + b'"}\0')
    picture = b'{"id":%d,"result":{"data":"%s"},"sessionId":"AB"}\0'
    await browser.write(picture % (command["id"], b"A" * 2000))
    assert (await call)["data"] == "A" * 2000
    await browser.write(b"x" * 20_000)
    await asyncio.wait_for(browser.ended.wait(), 30)
    assert "longer than 10000 bytes" in browser.devtools.end


async def test_odd_descriptions_of_pages_are_errors_or_text(browser: Played) -> None:
    """A page may have any title; what is no page is left out."""
    listing = asyncio.create_task(list_pages(browser.devtools))
    odd = [7, {"type": "worker"}, {"type": "page", "targetId": 5, "title": "t" * 9999}]
    await browser.answer(result={"targetInfos": odd})
    (page,) = await listing
    assert (page.id, page.url, len(page.title)) == ("5", "", 2000)
    listing = asyncio.create_task(list_pages(browser.devtools))
    await browser.answer(result={"targetInfos": 7})
    with pytest.raises(DevToolsError, match="did not list"):
        await listing


async def test_what_a_page_throws_is_the_error_of_a_step(browser: Played) -> None:
    """Only its first line, and not more than 300 characters."""

    async def click() -> None:
        async with open_page(browser.devtools) as page:
            await page.click("#a")

    step = asyncio.create_task(click())
    await browser.answer(result={"targetInfos": [{"type": "page", "targetId": "1"}]})
    await browser.answer(result={"sessionId": "S"})
    thrown = {"exception": {"description": "Error: none\n at x"}}
    command = await browser.answer(result={"exceptionDetails": thrown})
    assert command["sessionId"] == "S"
    await browser.answer(result={})
    with pytest.raises(ToolError, match=r"^none$"):
        await step
