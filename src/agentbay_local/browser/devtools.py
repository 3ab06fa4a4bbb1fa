"""A small client of the DevTools protocol, over the pipe of a browser in a session.

Chromium serves the protocol on two descriptors beside its port: no other program of the session can
take that pipe over. What comes from it is untrusted all the same: messages have a limit and are
checked before they are used, and reading them takes half of the event loop's time at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json
from agentbay_local.sandbox.errors import MalformedReply, SandboxError
from agentbay_local.sandbox.host.turns import Turns

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["DevTools", "DevToolsError"]

MAX_MESSAGE = 1024 * 1024
"""Bytes of one message that is parsed as JSON, which must not hold up the event loop."""

MAX_PICTURE = 64 * 1024 * 1024
"""Bytes of an answer with a screenshot, which is matched and not parsed."""

ANSWER_WITHIN = 30.0
"""Seconds for one command, by default."""

_CHUNK = 256 * 1024
_LONGEST_ERROR = 500
_PICTURE = re.compile(
    rb'\{"id":(\d{1,18}),"result":\{"data":"([A-Za-z0-9+/=]*)"\}(?:,"sessionId":"\w{1,64}")?\}'
)


class DevToolsError(SandboxError):
    """The browser refuses a command, does not answer it in time, or has ended."""


class DevTools:
    """A conversation with one browser.

    Args:
        sock: The service's end of the pipe; `close` closes it.
        on_end: Called once when the browser closes its end or breaks the protocol.

    Attributes:
        end: Why the conversation is over; empty while it is not.
    """

    def __init__(self, sock: socket.socket, on_end: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._sending = asyncio.Lock()
        self._reading = asyncio.create_task(self._read())
        self.end = ""

    async def call(
        self,
        method: str,
        parameters: dict[str, Any] | None = None,
        *,
        session: str = "",
        within: float = ANSWER_WITHIN,
    ) -> dict[str, Any]:
        """Send a command and return its result.

        Args:
            method: Such as ``"Page.navigate"``.
            parameters: Its parameters.
            session: Id of the DevTools session of a page; empty for the browser.
            within: Seconds until the answer.

        Raises:
            DevToolsError: The browser refuses, does not answer in time, or has ended.
        """
        if self.end:
            raise DevToolsError(self.end)
        number, future = next(self._numbers), self._loop.create_future()
        self._waiting[number] = future
        message = {"id": number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        try:
            return await asyncio.wait_for(self._exchange(message, future), within)
        except asyncio.TimeoutError:
            raise DevToolsError(f"{method} was not answered in {within:g} seconds") from None
        finally:
            self._waiting.pop(number, None)

    def close(self, reason: str = "the browser was closed") -> None:
        """End the conversation; calls under way fail. Idempotent."""
        if self.end:
            return
        self.end = reason
        self._reading.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(DevToolsError(reason))
                future.exception()  # retrieved, so that asyncio logs nothing if nobody waits
        self._on_end()

    async def _exchange(
        self, message: dict[str, Any], future: asyncio.Future[dict[str, Any]]
    ) -> dict[str, Any]:
        data = compact_json(message).encode("ascii") + b"\0"
        with contextlib.suppress(OSError):  # the end of the pipe answers every call
            async with self._sending:
                await self._loop.sock_sendall(self._sock, data)
        return await future

    async def _read(self) -> None:
        turns, pending = Turns(), bytearray()
        try:
            while data := await turns.wait_for(self._loop.sock_recv(self._sock, _CHUNK)):
                start = len(pending)
                pending += data
                while (mark := pending.find(b"\0", start)) >= 0:
                    self._receive(bytes(pending[:mark]))
                    del pending[: mark + 1]
                    start = 0
                    await turns.rest_if_due()
                if len(pending) > MAX_PICTURE:
                    raise MalformedReply(f"a message is longer than {MAX_PICTURE} bytes")
            reason = "the browser has ended"
        except MalformedReply as error:
            reason = f"the browser broke the DevTools protocol: {error}"
        except OSError:
            reason = "the browser has ended"
        self.close(reason)

    def _receive(self, text: bytes) -> None:
        message = _parse(text)
        number = message.get("id")
        future = self._waiting.get(number) if isinstance(number, int) else None
        if future is None or future.done():
            return  # an event, or an answer that nobody waits for
        error, result = message.get("error"), message.get("result")
        if isinstance(error, dict):
            future.set_exception(DevToolsError(f"{error.get('message', '')!s:.{_LONGEST_ERROR}}"))
        elif isinstance(result, dict):
            future.set_result(result)
        else:
            future.set_exception(DevToolsError("the browser gave an answer without a result"))


def _parse(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_MESSAGE:
        found = _PICTURE.fullmatch(text)
        # Events, which nobody waits for, may be long as well.
        return {} if found is None else {"id": int(found[1]), "result": {"data": found[2].decode()}}
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedReply("a message is no JSON") from None
    if not isinstance(message, dict):
        raise MalformedReply("a message is no object")
    return message
