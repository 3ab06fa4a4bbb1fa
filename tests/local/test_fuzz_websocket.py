"""Fuzz the WebSocket of a session: the next valid request is always answered."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.local.fuzzing import DEEP, JSON, TEXT, ask, fuzz, own_service, parse_object, quiet_log
from tests.local.websocket_client import CODE, DEADLINE, FILES, PTY, WebSocketClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentbay_local import LocalService

# Deeply nested values have long reprs.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

METHODS = [
    "pty.create",
    "pty.connect",
    "pty.input",
    "pty.resize",
    "pty.kill",
    "pty.list",
    "run_code",
    "subscribe_file_change",
    "unsubscribe_file_change",
]
# TERMINAL stands for an open terminal.
NAMES = st.sampled_from(["TERMINAL", "TERMINAL", "/tmp", "base64", "utf8", "/bin/sh", "sh -c ls"])
SIZES = st.sampled_from([0, 1, 80, 65535, 65536, 2**31, 2**62, 2**63, -1])
PARAMS = st.dictionaries(
    st.sampled_from(
        [
            "ptySessionId",
            "cols",
            "rows",
            "cwd",
            "envs",
            "shell",
            "data",
            "encoding",
            "offset",
            "path",
            "code",
            "language",
            "timeoutS",
        ]
    ),
    NAMES | SIZES | JSON | st.dictionaries(TEXT, TEXT, max_size=2),
    max_size=6,
)
ASKED = st.fixed_dictionaries({"method": st.sampled_from(METHODS) | JSON, "params": PARAMS | JSON})
FRAMES = st.fixed_dictionaries(
    {},
    optional={
        "invocationId": st.just("i") | JSON,
        "requestId": JSON,
        "source": st.just("SDK") | JSON,
        "target": st.sampled_from([PTY, FILES, CODE, "WEBSOCKET_SERVER"]) | JSON,
        "data": ASKED | ASKED.map(json.dumps) | JSON,
    },
)
WHOLE = ASKED.map(lambda data: {"invocationId": "i", "target": PTY, "data": data})
SAID = (
    st.binary(max_size=20)
    | TEXT.map(lambda text: text.encode("utf-8", "replace").decode())
    | DEEP
    | DEEP.map(lambda deep: f'{{"invocationId":"i","target":"{PTY}","data":{{"method":{deep}}}}}')
    | (JSON | FRAMES | WHOLE).map(json.dumps)
)


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Return a service for this module alone."""
    with own_service() as running:
        yield running


@pytest.fixture(scope="module")
def address(service: LocalService) -> dict[str, Any]:
    """Return the address of a session."""
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)
    path = f"/?Authorization=Bearer+{service.api_key}&Action="
    created = parse_object(ask(service, "POST", f"{path}CreateMcpSession&ImageId=code_latest")[1])
    name = created["Data"]["SessionId"]
    data: dict[str, Any] = parse_object(
        ask(service, "POST", f"{path}GetSession&SessionId={name}")[1]
    )["Data"]
    return data


async def answers_after(address: dict[str, Any], frames: Sequence[str | bytes]) -> None:
    """Send all frames on one connection with a terminal, and then a valid request."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            address["WsUrl"], headers={"X-Access-Token": address["Token"]}
        ) as connection,
    ):
        client = WebSocketClient(connection)
        terminal = await client.open(shell="/bin/cat")
        for frame in frames:
            if isinstance(frame, str):
                await connection.send_str(frame.replace("TERMINAL", terminal))
            else:
                await connection.send_bytes(frame)
        listed = await client.ask(PTY, "pty.list")
        for one in listed["result"]["ptySessionIds"]:
            await client.ask(PTY, "pty.kill", ptySessionId=one)


@fuzz(60)
@given(frames=st.lists(SAID, min_size=1, max_size=8))
def test_no_frame_closes_a_connection(
    service: LocalService, address: dict[str, Any], frames: list[str | bytes]
) -> None:
    """Text, bytes, JSON of all shapes, and requests with any parameters."""
    with quiet_log(service):
        asyncio.run(asyncio.wait_for(answers_after(address, frames), DEADLINE))


@fuzz(40)
@given(sent=st.binary(max_size=60), masked=st.booleans())
def test_no_bytes_on_a_websocket_log_an_error(
    service: LocalService, address: dict[str, Any], sent: bytes, masked: bool
) -> None:
    """An invalid frame closes that connection, and nothing else."""
    url = urlsplit(address["WsUrl"])
    head = (
        f"GET {url.path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"X-Access-Token: {address['Token']}\r\n\r\n"
    )
    if masked:
        # A valid text frame with any content.
        sent = bytes([0x81, 0x80 | len(sent), 0, 0, 0, 0]) + sent
    with quiet_log(service):
        with socket.create_connection((url.hostname, url.port), DEADLINE) as connection:
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        assert ask(service, "GET", "/healthz")[0] == 200
