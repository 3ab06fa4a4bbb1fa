"""Hosts that a service lets its sessions reach."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.local.conftest import Api

from agentbay_local import LocalService
from agentbay_local.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator


class Hello(BaseHTTPRequestHandler):
    """A server that says hello to every client."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def hello() -> Iterator[int]:
    """Serve on the loopback of the machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


FETCH = (
    "no_proxy= python3 -c 'import sys, urllib.request as r; "
    "print(r.build_opener().open(sys.argv[1], timeout=20).read().decode())' "
)


async def test_session_reaches_only_listed_hosts(sandboxed: None) -> None:
    """The error for another host says how to allow it."""
    with hello() as port, LocalService(allow_hosts=[f"127.0.0.1:{port}"]) as service:
        async with aiohttp.ClientSession() as http:
            api = Api(http, service)
            session = await api.session()
            reached = await api.sh(session, f"{FETCH} http://127.0.0.1:{port}/")
            _, refused = await api.tool(
                session, "shell", command=f"{FETCH} http://example.com/ 2>&1 | tail -1"
            )

    assert reached == "hello\n"
    assert "403" in refused


@pytest.mark.parametrize("level", ["landlock", "none"])
def test_list_needs_a_level_that_can_enforce_it(level: str) -> None:
    """Sessions of other levels have the network of the machine, or none."""
    with pytest.raises(ValueError, match="allow_hosts needs isolation 'namespaces'"):
        LocalService(allow_hosts=["pypi.org"], isolation=level)


def test_invalid_entry_is_rejected_before_the_start() -> None:
    """The error has a valid form."""
    with pytest.raises(ValueError, match=r"allow_hosts: 'https://pypi\.org' is not HOST"):
        LocalService(allow_hosts=["https://pypi.org"])


def test_invalid_flag_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    """With one line, and the exit code of a failed start."""
    assert main(["local", "--allow-host", "pypi.org", "--allow-host", "a/b"]) == 2
    assert "'a/b' is not HOST or HOST:PORT" in capsys.readouterr().err


async def test_truncated_output_is_marked(api: Api, sandboxed: None) -> None:
    """On standard error, which every client shows."""
    session = await api.session()
    _, whole = await api.tool(session, "shell", command="head -c 16777216 /dev/zero | tr '\\0' x")
    _, cut = await api.tool(session, "shell", command="head -c 16777217 /dev/zero | tr '\\0' x")

    assert "thrown away" not in whole
    assert "was longer than 16777216 bytes in JSON; the rest was thrown away" in cut
