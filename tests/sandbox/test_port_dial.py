"""Connections to ports of a session."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import Isolation, SandboxSpec
from agentbay_local.sandbox.errors import InvalidRequest, MalformedReply, SandboxOSError
from agentbay_local.sandbox.host import replies
from agentbay_local.sandbox.host.agent_client import Reply
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.inside import confinement
from agentbay_local.sandbox.landlock import LandlockBackend

from .process_table import open_count, until_open_at_most

if TYPE_CHECKING:
    from pathlib import Path

    from agentbay_local.sandbox.base import Sandbox

SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 0), family=int(sys.argv[2]))
print(server.getsockname()[1], flush=True)
while True:
    peer, _ = server.accept()
    peer.sendall(b"you said " + peer.recv(100))
    peer.close()
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_dial_reaches_a_server_of_the_session(
    sandbox: Sandbox, python: str, host: str
) -> None:
    """On either loopback address, any number of times."""
    if sandbox.isolation is Isolation.LANDLOCK:
        pytest.skip("sessions of this level have no sockets")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    command = [python, "-c", SERVER, host, str(int(family))]
    async with await sandbox.spawn(command) as program:
        output = await program.stdout.read()
        if not output and family == socket.AF_INET6:
            pytest.skip("this machine has no IPv6")
        for _ in range(3):
            reader, writer = await asyncio.open_connection(sock=await sandbox.dial(int(output)))
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.read(), 10) == b"you said hello"
            writer.close()


async def test_dial_reports_a_port_without_a_server(isolated: Sandbox) -> None:
    """The error names the port, and no descriptor is left."""
    before = open_count()
    with pytest.raises(SandboxOSError, match="port 30100") as caught:
        await isolated.dial(30100)

    assert caught.value.errno == errno.ECONNREFUSED
    await until_open_at_most(before)


async def test_dial_needs_a_network_namespace(tmp_path: Path) -> None:
    """Without one, the port would be one of the host."""
    if not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    backend = LandlockBackend()
    spec = SandboxSpec(tmp_path / "root", private_uid(str(tmp_path)))
    async with await backend.start(spec) as sandbox:
        with pytest.raises(SandboxOSError) as caught:
            await sandbox.dial(80)
    await backend.close()

    assert caught.value.errno == errno.EAFNOSUPPORT


async def test_dial_cannot_reach_the_host(isolated: Sandbox) -> None:
    """The loopback of the session is not the host's."""
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(SandboxOSError):
        await isolated.dial(server.getsockname()[1])


async def test_dial_times_out_when_the_server_does_not_accept(
    isolated: Sandbox, python: str
) -> None:
    """A full queue drops the request; the wait is limited."""
    full = (
        "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(0);"
        "print(s.getsockname()[1], flush=True);"
        "c = [socket.socket() for _ in range(8)];"
        "[(x.setblocking(False), x.connect_ex(s.getsockname())) for x in c];"
        "print('full', flush=True); time.sleep(300)"
    )
    async with await isolated.spawn([python, "-c", full]) as program:
        output = b""
        while b"full" not in output:
            output += await program.stdout.read()
        with pytest.raises(SandboxOSError) as caught:
            await isolated.dial(int(output.split()[0]), timeout=0.3)

    assert caught.value.errno == errno.ETIMEDOUT


@pytest.mark.parametrize("port", [0, 65536, -1, True, "80", 1.5])
async def test_dial_rejects_an_invalid_port(isolated: Sandbox, port: object) -> None:
    """Nothing is sent."""
    with pytest.raises(InvalidRequest, match="port"):
        await isolated.dial(port)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("kind", ["none", "two", "file", "unix", "udp"])
def test_descriptor_that_is_not_a_tcp_socket_is_rejected_and_closed(kind: str) -> None:
    """A hostile agent cannot make the service talk to another socket."""
    kinds = {"unix": socket.AF_UNIX, "udp": socket.AF_INET}
    if kind in kinds:
        given: tuple[int, ...] = (socket.socket(kinds[kind], socket.SOCK_DGRAM).detach(),)
    else:
        count = {"none": 0, "two": 2}.get(kind, 1)
        given = tuple(os.open("/dev/null", os.O_RDWR) for _ in range(count))
    with pytest.raises(MalformedReply):
        replies.take_connecting_socket(Reply({}, given))
    for fd in given:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
