"""Hosts that a service lets its sessions reach, as its users ask for them."""

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
    """Says hello to everybody."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""


@contextmanager
def hello() -> Iterator[int]:
    """Serve on the machine's loopback."""
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


async def test_session_reaches_the_hosts_of_the_list_and_no_others(sandboxed: None) -> None:
    """What is allowed answers; what is not says how to allow it."""
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
def test_list_is_refused_for_a_level_that_cannot_keep_to_it(level: str) -> None:
    """A session there would have the network of the machine, or none."""
    with pytest.raises(ValueError, match="allow_hosts needs isolation 'namespaces'"):
        LocalService(allow_hosts=["pypi.org"], isolation=level)


def test_entry_that_is_no_host_is_refused_before_anything_starts() -> None:
    """By name, with what to write instead."""
    with pytest.raises(ValueError, match=r"allow_hosts: 'https://pypi\.org' is no HOST"):
        LocalService(allow_hosts=["https://pypi.org"])


def test_flag_that_is_no_host_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    """With a sentence, and the exit code of a start that failed."""
    assert main(["local", "--allow-host", "pypi.org", "--allow-host", "a/b"]) == 2
    assert "'a/b' is no HOST or HOST:PORT" in capsys.readouterr().err


async def test_output_that_is_cut_is_said_to_be(api: Api, sandboxed: None) -> None:
    """On standard error, where every client shows it."""
    session = await api.session()
    _, whole = await api.tool(session, "shell", command="head -c 16777216 /dev/zero | tr '\\0' x")
    _, cut = await api.tool(session, "shell", command="head -c 16777217 /dev/zero | tr '\\0' x")

    assert "thrown away" not in whole
    assert "was longer than 16777216 bytes; the rest was thrown away" in cut
