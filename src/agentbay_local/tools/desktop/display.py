"""The display of a session: an X server and a window manager, which run inside its sandbox."""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.base import HOME
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host.pipes import Pipe
from agentbay_local.sandbox.host.programs import find_interpreter
from agentbay_local.tools.content import read_bytes, write_bytes
from agentbay_local.tools.desktop.resident_program import (
    OUTPUT_LIMIT,
    ResidentProgram,
    read_answer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.sandbox.host.spawned_process import SpawnedProcess
    from agentbay_local.tools.tool_context import ToolContext
    from agentbay_local.tools.tool_state import ToolState

__all__ = ["DONE", "Display", "display_of", "run_program"]

DONE = "True"
"""The answer of a tool that only acts, as the other tools give it."""

SCREEN = (1280, 800)
"""Pixels of the screen: the size that models for computer use are trained with at most."""

DPI = 96
START_WITHIN = 20.0
ANSWER_WITHIN = 15.0

_PART = "display"
_LOG = f"{HOME}/.xsession-errors"
_COOKIES = f"{HOME}/.Xauthority"
_CONFIGURATION = f"{HOME}/.config/openbox/agentbay.xml"
_ANY_ADDRESS = 0xFFFF
_COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
# The programs write to a file of the session, as under a display manager: so that the service need
# not read what they write.
_LOGGED = f'exec "$0" "$@" >>{_LOG} 2>&1 </dev/null'
_ERRORS_LOGGED = f'exec "$0" "$@" 2>>{_LOG}'
_LONGEST_NUMBER = 16
_LONGEST_REASON = 600


class Display:
    """The display of a session, which is started when it is used, and again after a crash.

    Args:
        sandbox: The sandbox of the session.
        env: The variables of the session's commands, where DISPLAY is set.

    Attributes:
        sandbox: The sandbox.
        screenshots: The paths of the stored screenshots, the oldest first.
    """

    def __init__(self, sandbox: Sandbox, env: dict[str, str]) -> None:
        self.sandbox = sandbox
        self.screenshots: list[str] = []
        self._env = env
        self._lock = asyncio.Lock()
        self._server: SpawnedProcess | None = None
        self._manager: SpawnedProcess | None = None
        self._program = ResidentProgram(sandbox, _logged(_python("display_program")), ANSWER_WITHIN)
        self._number = 0
        self._cookie = ""
        self._focus_new = True

    @property
    def is_alive(self) -> bool:
        """Whether it runs now."""
        return self._server is not None and not self._server.exited

    async def perform(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Carry out an action of the program in `inside`, and return its answer.

        Raises:
            ToolError: The display does not start, or the action fails.
        """
        await self._ready()
        return await self._request(action, arguments)

    async def variables(self) -> Mapping[str, str]:
        """Start the display if necessary, and return the variables that programs find it by."""
        await self._ready()
        return {"DISPLAY": f":{self._number}"}

    async def set_focus_mode(self, on: bool) -> None:
        """Say whether windows that appear keep from taking the focus."""
        await self._ready()
        self._focus_new = not on
        await self._write_configuration()
        await self._request("reconfigure", {})

    async def _ready(self) -> None:
        async with self._lock:
            if self._server is None or self._server.exited:
                await self._start_server()
            if self._manager is None or self._manager.exited:
                await self._start_manager()

    async def _start_server(self) -> None:
        self._cookie = secrets.token_hex(16)
        await write_bytes(self.sandbox, _COOKIES, "w", _cookie_file(self._cookie))
        # What the old one wrote is of no use any more, and the file must not grow for ever.
        await write_bytes(self.sandbox, _LOG, "w", b"")
        read, write = os.pipe2(os.O_CLOEXEC)
        numbers = Pipe(read, "the number of the display")
        try:
            self._server = await self._spawn(_server_command(), fds=[write])
        finally:
            os.close(write)
            if self._server is None:
                numbers.close()
        try:
            self._number = await asyncio.wait_for(_read_number(numbers), START_WITHIN)
        except (asyncio.TimeoutError, ValueError):
            await self._server.close()
            raise await self._failure("The display of this session does not start") from None
        except BaseException:
            self._server.kill()
            self._server = None
            raise
        finally:
            numbers.close()
        self._env["DISPLAY"] = f":{self._number}"
        # The old one ends with its server, but perhaps not at once.
        self._manager = None

    async def _start_manager(self) -> None:
        await self._write_configuration()
        command = ["/usr/bin/openbox", "--sm-disable", "--config-file", _CONFIGURATION]
        self._manager = await self._spawn(command, env={"DISPLAY": f":{self._number}"})
        try:
            await self._request("wait_for_manager", {"seconds": ANSWER_WITHIN - 5})
        except ToolError:
            await self._manager.close()
            raise await self._failure("The window manager does not start") from None

    async def _spawn(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, fds: Sequence[int] = ()
    ) -> SpawnedProcess:
        shell = ["/bin/sh", "-c", _LOGGED, *command]
        process = await self.sandbox.spawn(shell, env=env, fds=fds)
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        return process

    async def _write_configuration(self) -> None:
        text = _CONFIGURATION_TEXT.format(focus="yes" if self._focus_new else "no")
        await write_bytes(self.sandbox, _CONFIGURATION, "w", text.encode())

    async def _request(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        request = {**arguments, "do": action, "display": self._number, "cookie": self._cookie}
        return await self._program.ask(request)

    async def _failure(self, text: str) -> ToolError:
        try:
            start = max((await self.sandbox.stat(_LOG)).size - _LONGEST_REASON, 0)
            written = await read_bytes(self.sandbox, _LOG, start, 0, OUTPUT_LIMIT)
        except (ToolError, SandboxError):
            written = b""
        reason = written.decode("utf-8", "replace").strip()[-_LONGEST_REASON:]
        return ToolError(f"{text}: {reason or 'it gave no reason'}")


def running_display(state: ToolState, sandbox: Sandbox) -> Display | None:
    """Return the display of a session if it runs."""
    display = state.parts.get(_PART)
    if not isinstance(display, Display) or display.sandbox is not sandbox:
        return None
    return display if display.is_alive else None


def display_of(context: ToolContext) -> Display:
    """Return the display of a session, which may not be started yet."""
    display = context.state.parts.get(_PART)
    if not isinstance(display, Display) or display.sandbox is not context.sandbox:
        context.state.parts[_PART] = display = Display(context.sandbox, context.state.env)
    return display


async def run_program(
    sandbox: Sandbox, name: str, request: Mapping[str, Any], env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a program of `inside` in a session, and return its answer.

    Args:
        sandbox: The sandbox of the session.
        name: The name of the program.
        request: Passed to it as JSON.
        env: Its variables.

    Raises:
        ToolError: It fails.
    """
    done = await sandbox.run(
        _python(name),
        timeout=ANSWER_WITHIN,
        env=env,
        stdin=compact_json(request).encode("utf-8", "surrogateescape"),
        output_limit=OUTPUT_LIMIT,
    )
    if done.timed_out:
        raise ToolError(f"The desktop did not answer within {ANSWER_WITHIN:.0f} seconds")
    if done.exit_code:
        reason = done.stderr.decode("utf-8", "replace").strip()[-_LONGEST_REASON:]
        raise ToolError(f"The desktop failed: {reason or 'it was ended'}")
    return read_answer(done.stdout)


def _python(name: str) -> list[str]:
    """Return the command that runs a program of `inside`."""
    return [str(find_interpreter().program), "-I", "-S", "-X", "utf8", "-c", _read_program(name)]


def _logged(command: Sequence[str]) -> list[str]:
    return ["/bin/sh", "-c", _ERRORS_LOGGED, *command]


@functools.cache
def _read_program(name: str) -> str:
    return (Path(__file__).with_name("inside") / f"{name}.py").read_text("utf-8")


def _server_command() -> list[str]:
    width, height = SCREEN
    return [
        "/usr/bin/Xvfb",
        *("-displayfd", "3"),
        *("-screen", "0", f"{width}x{height}x24"),
        *("-dpi", str(DPI)),
        *("-auth", _COOKIES),
        *("-nolisten", "tcp"),
        "-noreset",
    ]


def _cookie_file(cookie: str) -> bytes:
    """Return an Xauthority file with one entry, which is for every display."""
    fields = (b"", b"", _COOKIE_NAME, bytes.fromhex(cookie))
    return struct.pack(">H", _ANY_ADDRESS) + b"".join(
        struct.pack(">H", len(field)) + field for field in fields
    )


async def _read_number(numbers: Pipe) -> int:
    """Read the number that the server writes when it is ready.

    Raises:
        ValueError: It has ended, or writes something else.
    """
    text = b""
    while not text.endswith(b"\n") and len(text) < _LONGEST_NUMBER:
        part = await numbers.read(_LONGEST_NUMBER)
        if not part:
            break
        text += part
    return int(text)


_CONFIGURATION_TEXT = """<?xml version="1.0" encoding="UTF-8"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <focus><focusNew>{focus}</focusNew></focus>
  <placement><policy>Smart</policy></placement>
  <theme><name>Clearlooks</name><animateIconify>no</animateIconify></theme>
  <desktops><number>1</number></desktops>
</openbox_config>
"""
