"""Direct calls that carry bytes as they are: to write files, and to read them."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import Slow, Truncate

from .websocket_client import SessionAddress, session_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.local.conftest import Api

    from agentbay_async import AsyncSession, HttpRequest, HttpResponse, Transport

pytestmark = pytest.mark.usefixtures("sandboxed")

BYTES = "application/octet-stream"
ALL_BYTES = bytes(range(256))
# More than what is written in place.
LARGE = ALL_BYTES * 4096


async def call(
    api: Api, address: SessionAddress, tool: str, content: bytes = b"", **args: Any
) -> tuple[str, bytes]:
    """Call a tool with a line of JSON and some bytes; return the answer's type and its body."""
    document = json.dumps({"tool": tool, "args": args}).encode()
    headers = {**address.headers, "Content-Type": BYTES, "Accept": BYTES}
    body = io.BytesIO(document + b"\n" + content)
    async with api.http.post(f"{address.link}/callTool", data=body, headers=headers) as answer:
        return answer.headers["Content-Type"], await answer.read()


async def write(api: Api, address: SessionAddress, path: str, content: bytes, mode: str) -> str:
    """Write a file; return the text of the answer."""
    answer = await call(api, address, "write_file", content, path=path, mode=mode, format="binary")
    result = json.loads(answer[1])["data"]["result"]
    return str(result["content"][0]["text"])


async def read(api: Api, address: SessionAddress, path: str) -> bytes:
    """Read a whole file."""
    kind, content = await call(api, address, "read_file", path=path, format="binary")
    assert kind == BYTES, content
    return content


@pytest.mark.parametrize("content", [b"", b"\n", ALL_BYTES, LARGE], ids=len)
async def test_bytes_are_written_and_read_as_they_are(api: Api, content: bytes) -> None:
    """Line breaks and all, whatever their number."""
    address = await session_address(api)
    assert await write(api, address, "/tmp/d/f", content, "overwrite") == "True"
    assert await read(api, address, "/tmp/d/f") == content
    assert await write(api, address, "/tmp/d/f", content, "append") == "True"
    assert await read(api, address, "/tmp/d/f") == content * 2
    assert await api.sh(address.session, "ls -A /tmp/d") == "f\n"


async def test_bytes_are_base64_in_json(api: Api) -> None:
    """So it is through the API, and for a direct call that does not ask for bytes."""
    session = await api.session()
    text = base64.b64encode(ALL_BYTES).decode()
    args = {"path": "/tmp/f", "format": "binary"}
    assert await api.tool(session, "write_file", content=text, **args) == (False, "True")
    assert await api.tool(session, "read_file", **args) == (False, text)
    is_error, reason = await api.tool(session, "write_file", content="not base64!", **args)
    assert is_error
    assert "content must be base64" in reason


async def test_a_large_file_keeps_its_permissions_when_it_is_replaced(api: Api) -> None:
    """A reader that has opened it goes on with the old content."""
    address = await session_address(api)
    await api.sh(address.session, "cd /tmp; echo old > f; chmod 751 f; ln -s f link; ln f name")
    await write(api, address, "/tmp/f", LARGE, "overwrite")
    assert await api.sh(address.session, "cd /tmp; stat -c '%a %s' f; cat name") == (
        f"751 {len(LARGE)}\nold\n"
    )


async def test_links_and_files_in_closed_directories_are_written_in_place(api: Api) -> None:
    """What may be written to stays where it is."""
    address = await session_address(api)
    await api.sh(address.session, "mkdir /tmp/d; cd /tmp/d; touch f; ln -s f link; chmod 555 .")
    await write(api, address, "/tmp/d/link", LARGE, "overwrite")
    assert await read(api, address, "/tmp/d/f") == LARGE
    await write(api, address, "/tmp/d/f", LARGE[1:], "overwrite")
    assert await read(api, address, "/tmp/d/link") == LARGE[1:]
    assert await api.sh(address.session, "ls -A /tmp/d") == "f\nlink\n"


@pytest.mark.parametrize("path", ["/tmp", "/proc/new", "/tmp/file/f"])
async def test_a_failure_says_why_and_leaves_nothing(api: Api, path: str) -> None:
    """As JSON, like every failure of a tool."""
    address = await session_address(api)
    await api.sh(address.session, "cd /tmp; touch file")
    assert "Failed to write file" in await write(api, address, path, LARGE, "overwrite")
    assert await api.sh(address.session, "cd /tmp; ls -A | grep agentbay || true") == ""


async def test_a_missing_file_is_an_error_in_json(api: Api) -> None:
    """Also for a call that asks for bytes."""
    address = await session_address(api)
    kind, body = await call(api, address, "read_file", path="/no/such", format="binary")
    assert kind.startswith("application/json")
    assert json.loads(body)["data"]["result"]["isError"] is True


async def test_bytes_for_a_tool_that_wants_text_are_refused(api: Api) -> None:
    """The error names the argument."""
    address = await session_address(api)
    _, body = await call(api, address, "write_file", b"bytes", path="/tmp/f")
    assert "content must be a string" in body.decode()


@pytest.mark.parametrize("fault", [Truncate(100), Slow(0.0, pieces=2)], ids=["truncate", "slow"])
async def test_faults_strike_answers_of_bytes(controlled_api: Api, fault: Truncate | Slow) -> None:
    """Cut short, or in pieces, but never changed."""
    address = await session_address(controlled_api)
    await write(controlled_api, address, "/tmp/f", LARGE, "overwrite")
    controlled_api.service.faults.add(fault, "callTool", where={"Name": "read_file"})
    if isinstance(fault, Slow):
        assert await read(controlled_api, address, "/tmp/f") == LARGE
        return
    with pytest.raises(aiohttp.ClientPayloadError):
        await read(controlled_api, address, "/tmp/f")


class Observed:
    """A transport that keeps the requests to sessions."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.direct: list[HttpRequest] = []

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request."""
        if "(direct)" in request.action:
            self.direct.append(request)
        return await self.inner.send(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.inner.aclose()


@pytest.fixture
async def session(api: Api) -> AsyncIterator[tuple[AsyncSession, Observed]]:
    """Return a session of our own client, and what it sends to it."""
    service = api.service
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
        observed = Observed(bay._api.transport)
        bay._api.transport = observed
        made = (await bay.create(CreateSessionParams())).unwrap()
        yield made, observed
        await made.delete()


async def test_our_client_sends_a_file_of_megabytes_in_one_call(
    session: tuple[AsyncSession, Observed],
) -> None:
    """And gets it in one."""
    made, observed = session
    (await made.fs.write_file("/tmp/f", LARGE)).unwrap()
    assert (await made.fs.read_file("/tmp/f", format="bytes")).content == LARGE
    sent, asked = observed.direct
    assert sent.headers["Content-Type"] == BYTES
    assert sent.body.endswith(b"\n" + LARGE)
    assert asked.headers["Accept"].startswith(BYTES)


async def test_our_client_writes_and_reads_text_as_bytes(
    session: tuple[AsyncSession, Observed],
) -> None:
    """Decoded once, and strictly."""
    made, observed = session
    text = "Grüße, 世界\n" * 10
    (await made.fs.write_file("/tmp/f", text)).unwrap()
    (await made.fs.write_file("/tmp/f", "end", mode="append")).unwrap()
    assert (await made.fs.read_file("/tmp/f")).content == text + "end"
    assert len(observed.direct) == 3
    (await made.fs.write_file("/tmp/f", b"\xff")).unwrap()
    assert "not UTF-8 text at byte 0" in (await made.fs.read_file("/tmp/f")).error_message


async def test_our_client_writes_more_than_one_call_takes_in_pieces(
    session: tuple[AsyncSession, Observed],
) -> None:
    """The complete file replaces the old one, and its checksum is compared."""
    made, observed = session
    content = LARGE * 9
    (await made.fs.write_file("/tmp/f", content)).unwrap()
    tools = [request.action.split()[0] for request in observed.direct]
    assert tools == ["write_file", "write_file", "shell"]
    assert (await made.fs.read_file("/tmp/f", format="bytes")).content == content
    tools = [request.action.split()[0] for request in observed.direct[3:]]
    assert tools == ["read_file", "get_file_info", "read_file"]


async def test_our_client_goes_on_through_the_api_with_base64(
    session: tuple[AsyncSession, Observed],
) -> None:
    """When the direct address does not answer any more."""
    made, observed = session
    made._api.access[made.session_id].link_url = "http://127.0.0.1:9"
    (await made.fs.write_file("/tmp/f", ALL_BYTES)).unwrap()
    assert len(observed.direct) == 1
    assert (await made.fs.read_file("/tmp/f", format="bytes")).content == ALL_BYTES


@pytest.mark.parametrize("body", [b"", b"\n", b"{\nx", b"[]\nx", b'{"tool":7}\n', b"\xff\n"])
async def test_a_call_with_bytes_needs_a_line_of_json(api: Api, body: bytes) -> None:
    """An object that names a tool."""
    address = await session_address(api)
    headers = {**address.headers, "Content-Type": BYTES}
    async with api.http.post(f"{address.link}/callTool", data=body, headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["code"] == "InvalidParameter"
