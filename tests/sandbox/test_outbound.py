"""Outbound access of a session, as its programs see it: none, unless hosts are allowed."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import Isolation, Sandbox, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import InvalidRequest, MalformedReply
from agentbay_local.sandbox.host import replies
from agentbay_local.sandbox.host.agent_client import Reply
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.outbound import AllowedHosts
from agentbay_local.sandbox.probe import backend_for

from .process_table import open_count, until_open_at_most

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FETCH = """
import os, sys, urllib.request
os.environ["no_proxy"] = ""
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve "hello" on the loopback of the machine."""

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@asynccontextmanager
async def allowing(root: Path, *entries: str) -> AsyncIterator[Sandbox]:
    """Start a session that may reach some hosts."""
    backend = BubblewrapBackend()
    spec = SandboxSpec(root, private_uid(str(root)), outbound=AllowedHosts.parse(entries))
    try:
        async with await backend.start(spec) as sandbox:
            yield sandbox
    finally:
        await backend.close()


@pytest.fixture
async def allowed(isolating: None, tmp_path: Path, port: int) -> AsyncIterator[Sandbox]:
    """Return a session that may reach the server of `port`."""
    async with allowing(tmp_path / "root", f"127.0.0.1:{port}") as sandbox:
        yield sandbox


async def test_no_variable_names_a_proxy_when_nothing_is_allowed(sandbox: Sandbox) -> None:
    """Programs fail at once instead of connecting to a missing proxy."""
    done = await sandbox.run("env | grep -i '^[^=]*proxy'", timeout=10)

    assert (done.exit_code, done.stdout) == (1, b"")


async def test_program_reaches_an_allowed_host(allowed: Sandbox, python: str, port: int) -> None:
    """The variables of the session name the proxy."""
    url = f"http://127.0.0.1:{port}/"
    done = await allowed.run([python, "-c", FETCH, url], timeout=30)

    assert (done.stdout, done.stderr) == (b"hello\n", b"")


async def test_other_hosts_are_rejected_with_a_remedy(
    allowed: Sandbox, python: str, port: int
) -> None:
    """The answer says how to allow the host."""
    done = await allowed.run([python, "-c", FETCH, "http://example.com/"], timeout=30)
    other = await allowed.run([python, "-c", FETCH, f"http://127.0.0.1:{port + 1}/"], timeout=30)

    assert done.stdout.startswith(b"403 example.com:80 was refused")
    assert other.stdout.startswith(b"403 ")


async def test_proxy_is_the_only_way_out(allowed: Sandbox, python: str, port: int) -> None:
    """The network itself stays closed, also to the allowed host."""
    code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
    loopback = await allowed.run([python, "-c", code], timeout=30)
    outside = await allowed.run([python, "-c", code.replace("127.0.0.1", "192.0.2.1")], timeout=30)

    assert b"refused" in loopback.stderr
    assert b"unreachable" in outside.stderr


async def test_all_programs_of_the_session_find_the_proxy(allowed: Sandbox) -> None:
    """Commands, background programs and terminals; the session's own loopback is exempt."""
    names = "http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY"
    line = "".join(f'echo "${name}";' for name in names.split())
    run = (await allowed.run(line, timeout=10)).stdout
    async with await allowed.spawn(line) as program:
        spawned = b""
        while data := await program.stdout.read():
            spawned += data
    async with await allowed.terminal(line) as terminal:
        displayed = b""
        while data := await terminal.read():
            displayed += data

    output = run.decode().split("\n")
    assert output[0].startswith("http://127.0.0.1:")
    assert len(set(output[:4])) == 1
    assert output[4:6] == ["localhost,127.0.0.1,::1"] * 2
    assert spawned == run
    assert displayed.replace(b"\r", b"") == run


async def test_variables_of_a_command_override_the_proxy(allowed: Sandbox) -> None:
    """The caller's variables win."""
    done = await allowed.run("echo $http_proxy", env={"http_proxy": "x"}, timeout=10)

    assert done.stdout == b"x\n"


async def test_proxy_ends_with_its_session(isolating: None, tmp_path: Path, port: int) -> None:
    """Also while something is carried: the service keeps no descriptor of it."""
    before = open_count()
    listed = f"127.0.0.1:{port}"
    async with allowing(tmp_path / "root", listed) as sandbox:
        proxy = (await sandbox.run("echo ${http_proxy##*:}", timeout=10)).stdout
        with await sandbox.dial(int(proxy)) as tunnel:
            reader, writer = await asyncio.open_connection(sock=tunnel)
            writer.write(f"CONNECT {listed} HTTP/1.1\r\nHost: {listed}\r\n\r\n".encode())
            assert b"200" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            await sandbox.close()
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
    for _ in range(5):
        await asyncio.sleep(0)

    await until_open_at_most(before)


@pytest.mark.parametrize("level", [Isolation.LANDLOCK, Isolation.NONE])
async def test_level_that_cannot_enforce_the_list_rejects_it(
    tmp_path: Path, level: Isolation
) -> None:
    """It is not half obeyed."""
    backend = backend_for(level)
    spec = SandboxSpec(tmp_path / "root", outbound=AllowedHosts.parse(["pypi.org"]))
    with pytest.raises(InvalidRequest, match=r"spec\.outbound.*namespaces"):
        await backend.start(spec)
    await backend.close()


@pytest.mark.parametrize("kind", ["none", "two", "file", "unix", "connecting"])
def test_descriptor_that_is_not_a_listener_is_rejected_and_closed(kind: str) -> None:
    """A lying agent cannot make the service accept from something else."""
    if kind in ("unix", "connecting"):
        family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
        given: tuple[int, ...] = (socket.socket(family).detach(),)
    else:
        count = {"none": 0, "two": 2}.get(kind, 1)
        given = tuple(os.open("/dev/null", os.O_RDWR) for _ in range(count))
    with pytest.raises(MalformedReply):
        replies.take_listening_socket(Reply({}, given))
    for fd in given:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
