"""A proxy that the browser of a session cannot use itself, and the program that relays to it."""

from __future__ import annotations

import asyncio
import functools
import json
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_local.loopback import is_loopback
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host.programs import find_interpreter

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.sandbox.host.spawned_process import SpawnedProcess

__all__ = ["CustomProxy", "ProxyError", "ProxyRelay"]

_READY_WITHIN = 30.0
_LONGEST_ANSWER = 4096


class ProxyError(SandboxError):
    """The proxy of a browser is not reached; the text says why."""


@attrs.frozen
class CustomProxy:
    """A proxy of the user.

    Attributes:
        url: Its address, as Chromium takes it, without a user name or a password.
        host: Its host.
        port: Its port.
        username: The user name, without a colon; empty for none.
        password: The password; empty without a user name.
    """

    url: str
    host: str
    port: int
    username: str = ""
    password: str = attrs.field(default="", repr=False)

    @property
    def in_session(self) -> bool:
        """Whether it is a program of the session."""
        return is_loopback(self.host)

    @property
    def needs_relay(self) -> bool:
        """Whether Chromium cannot use it: it is outside the session, or wants a user name."""
        return bool(self.username) or not self.in_session

    @property
    def authorization(self) -> str:
        """The value of the header `Proxy-Authorization`; empty for none."""
        if not self.username:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {b64encode(pair).decode('ascii')}"


class ProxyRelay:
    """A program of a session between its browser and a proxy. Make it with `start`.

    Args:
        process: The program.
        port: Where it listens inside the session.

    Attributes:
        url: The address of the proxy that the browser uses.
    """

    def __init__(self, process: SpawnedProcess, port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"

    @classmethod
    async def start(cls, sandbox: Sandbox, proxy: CustomProxy) -> ProxyRelay:
        """Start it, and wait until the proxy was reached.

        Raises:
            ProxyError: It is not reached.
            SandboxError: The session has ended or is paused.
        """
        interpreter = str(find_interpreter().program)
        process = await sandbox.spawn([interpreter, "-I", "-S", "-c", _read_program()])
        try:
            wanted = {
                "host": proxy.host,
                "port": proxy.port,
                "authorization": proxy.authorization,
                "in_session": proxy.in_session,
            }
            # Not read: the program would block once the pipe is full.
            process.stderr.close()
            await process.stdin.write(json.dumps(wanted).encode("ascii") + b"\n")
            line = await asyncio.wait_for(_read_line(process), _READY_WITHIN)
            process.stdout.close()
            return cls(process, _read_port(line, proxy))
        except asyncio.TimeoutError:
            await process.close()
            raise ProxyError(f"the proxy {proxy.url} does not answer") from None
        except BaseException:
            await process.close()
            raise

    async def close(self) -> None:
        """End it. Repeatable."""
        await self._process.close()


async def _read_line(process: SpawnedProcess) -> bytes:
    line = b""
    while b"\n" not in line and len(line) < _LONGEST_ANSWER:
        data = await process.stdout.read()
        if not data:
            break
        line += data
    return line[:_LONGEST_ANSWER]


def _read_port(line: bytes, proxy: CustomProxy) -> int:
    """Return the port in an answer of the program, which is untrusted."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    port = answer.get("port") if isinstance(answer, dict) else None
    if isinstance(port, int) and 0 < port < 1 << 16:
        return port
    reason = answer.get("error") if isinstance(answer, dict) else None
    text = f": {reason:.500}" if isinstance(reason, str) else ""
    raise ProxyError(f"the proxy {proxy.url} is not reached{text}")


@functools.cache
def _read_program() -> str:
    return (Path(__file__).with_name("inside") / "proxy_program.py").read_text("utf-8")
