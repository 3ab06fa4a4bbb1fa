"""Whatever a client says on a session's WebSocket, its next question is answered."""

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
from tests.local.lines import CODE, DEADLINE, FILES, PTY, Line
from tests.local.wild import DEEP, JSON, TEXT, ask, quiet_log, said, wild

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_local import LocalService

# What is nested deeply is long, too.
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
# The terminal is one that is there.
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
def place(service: LocalService) -> dict[str, Any]:
    """One session, and how it is reached."""
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)
    path = f"/?Authorization=Bearer+{service.api_key}&Action="
    created = said(ask(service, "POST", f"{path}CreateMcpSession&ImageId=code_latest")[1])
    name = created["Data"]["SessionId"]
    data: dict[str, Any] = said(ask(service, "POST", f"{path}GetSession&SessionId={name}")[1])[
        "Data"
    ]
    return data


async def still_answers(place: dict[str, Any], frames: Sequence[str | bytes]) -> None:
    """Say all of it on one line, to a terminal of its own, and then ask a question."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(place["WsUrl"], headers={"X-Access-Token": place["Token"]}) as connection,
    ):
        line = Line(connection)
        terminal = await line.open(shell="/bin/cat")
        for frame in frames:
            if isinstance(frame, str):
                await connection.send_str(frame.replace("TERMINAL", terminal))
            else:
                await connection.send_bytes(frame)
        listed = await line.ask(PTY, "pty.list")
        for one in listed["result"]["ptySessionIds"]:
            await line.ask(PTY, "pty.kill", ptySessionId=one)


@wild(60)
@given(frames=st.lists(SAID, min_size=1, max_size=8))
def test_no_frame_ends_a_line(place: dict[str, Any], frames: list[str | bytes]) -> None:
    """Text, bytes, JSON of all shapes, and questions with any parameters."""
    with quiet_log():
        asyncio.run(asyncio.wait_for(still_answers(place, frames), DEADLINE))


@wild(40)
@given(sent=st.binary(max_size=60), masked=st.booleans())
def test_no_bytes_on_a_websocket_are_heard_of_in_the_log(
    service: LocalService, place: dict[str, Any], sent: bytes, masked: bool
) -> None:
    """What is no frame ends that line, and nothing else."""
    url = urlsplit(place["WsUrl"])
    head = (
        f"GET {url.path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"X-Access-Token: {place['Token']}\r\n\r\n"
    )
    if masked:
        # A text frame that is right but for what is in it.
        sent = bytes([0x81, 0x80 | len(sent), 0, 0, 0, 0]) + sent
    with quiet_log():
        with socket.create_connection((url.hostname, url.port), DEADLINE) as connection:
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        assert ask(service, "GET", "/healthz")[0] == 200
