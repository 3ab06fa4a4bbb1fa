"""One running Chromium: start it in a session's sandbox, notice its end, let it end in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import time
from typing import TYPE_CHECKING

from agentbay_local.browser.devtools import DevTools, DevToolsError
from agentbay_local.browser.pages import list_pages
from agentbay_local.browser.proxy_relay import ProxyError, ProxyRelay
from agentbay_local.sandbox.errors import SandboxError, SandboxGone, SandboxOSError
from agentbay_local.sandbox.host.turns import Turns
from agentbay_local.sandbox.values import HOME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentbay_local.browser.options import BrowserOptions
    from agentbay_local.browser.proxy_relay import CustomProxy
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.sandbox.host.spawned_process import SpawnedProcess

__all__ = ["BrowserStartError", "Chromium"]

_log = logging.getLogger(__name__)

START_WITHIN = 30.0
"""Seconds from the start of the program until its DevTools listen."""

END_WITHIN = 10.0
"""Seconds for writing the profile and ending, before the program is killed."""

# Seconds for writing cookies, before they are read as they are; and how often that is checked.
_FLUSH_WITHIN, _FLUSH_CHECKS = 5.0, 250
_PROGRAMS = (
    "/usr/lib/chromium/chromium",
    "/usr/lib/chromium-browser/chromium-browser",
    "/usr/bin/chromium-browser",
    "/opt/google/chrome/chrome",
    "/usr/bin/google-chrome",
)
# The pipe of the DevTools is the pair of descriptors 3 and 4. A lock that a killed browser, or that
# of another session, has left would keep this one from starting.
_SCRIPT = f"""
for program in {" ".join(_PROGRAMS)}; do [ -x "$program" ] && break; done
rm -f "$1/SingletonLock" "$1/SingletonCookie" "$1/SingletonSocket"
shift
[ -n "$STEALTH" ] && set -- "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
(KHTML, like Gecko) Chrome/$("$program" --product-version | cut -d. -f1).0.0.0 Safari/537.36" "$@"
exec "$program" ${{http_proxy:+"--proxy-server=$http_proxy"}} "$@" >/dev/null
"""
_LISTENING = re.compile(
    r"DevTools listening on ws://[^/\s]{1,100}:(\d{1,5})(/devtools/browser/[\w-]{1,100})\s"
)
_OUTPUT_KEPT = 4096
_KILLED_ABOVE = 128
_REPORT_WITHIN = 5.0
_REASON_KEPT = 500
_MOST_EXTENSIONS = 50
_UNPACK_WITHIN = 60.0
_UNPACK = """\
import os, sys, zipfile
source, target = sys.argv[1:]
zipfile.ZipFile(source).extractall(target + ".part")
os.rename(target + ".part", target)
"""

# Chromium writes cookies every 30 seconds, and at once after this number of changes.
_CHANGES_WRITTEN = 512
_FLUSH_COOKIE = {"name": "flush", "value": "1", "url": "http://flush.invalid/"}


class BrowserStartError(SandboxError):
    """The browser of a session does not start; the text says why."""


class Chromium:
    """A running browser. Make it with `start`.

    Args:
        sandbox: The session's sandbox.
        process: The browser's process.
        sock: The service's end of its DevTools pipe.
        profile: The directory of its profile.
        relay: What relays to its proxy, if something does; it is closed with the browser.

    Attributes:
        devtools: The conversation with it.
        port: The port of its DevTools inside the session.
        path: The path of its WebSocket there.
        end: Why it has ended; empty while it runs.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        process: SpawnedProcess,
        sock: socket.socket,
        profile: str,
        relay: ProxyRelay | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._relay = relay
        self._process = process
        self._cookies = f"{profile}/Default/Cookies"
        self._output = ""
        self._excess = sandbox.excess
        self._listening: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.port, self.path, self.end = 0, "", ""
        self.devtools = DevTools(sock, process.kill)
        self._tasks = (
            asyncio.create_task(self._read_output()),
            asyncio.create_task(self._watch_exit()),
        )

    @classmethod
    async def start(
        cls, sandbox: Sandbox, options: BrowserOptions, variables: Mapping[str, str]
    ) -> Chromium:
        """Start a browser, and wait until its DevTools listen.

        Raises:
            BrowserStartError: It does not start; the text has what it wrote.
            SandboxError: The session has ended or is paused.
        """
        relay = await _start_relay(sandbox, options.proxy)
        try:
            browser = await cls._spawn(sandbox, options, variables, relay)
        except BaseException:
            if relay is not None:
                await relay.close()
            raise
        try:
            await browser._wait_ready()
            await browser._fit_viewport(options.viewport)
            # Without it, a headless browser refuses downloads that no client has asked for.
            await browser.devtools.call(
                "Browser.setDownloadBehavior",
                {"behavior": "allow", "downloadPath": f"{HOME}/Downloads"},
            )
        except BaseException as error:
            await browser.close()
            if isinstance(error, DevToolsError):
                raise browser._start_error(browser.end or str(error)) from error
            raise
        return browser

    @classmethod
    async def _spawn(
        cls,
        sandbox: Sandbox,
        options: BrowserOptions,
        variables: Mapping[str, str],
        relay: ProxyRelay | None,
    ) -> Chromium:
        extensions = await _find_extensions(sandbox, options.extensions)
        command = options.command(extensions, relay.url if relay is not None else None)
        stealth = "1" if options.stealth and not options.user_agent else ""
        ours, theirs = socket.socketpair()
        try:
            process = await sandbox.spawn(
                ["/bin/sh", "-c", _SCRIPT, "sh", options.profile, *command],
                env={**variables, "STEALTH": stealth},
                fds=[theirs.fileno(), theirs.fileno()],
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        process.stdin.close()
        return cls(sandbox, process, ours, options.profile, relay)

    @property
    def is_alive(self) -> bool:
        """Whether it runs, as far as is known."""
        return not self.end and not self._process.exited

    async def flush(self) -> None:
        """Let it write its cookies to its profile now.

        There is no command for that; what counts is the number of changes, even of one cookie that
        comes and goes. It expires at once, should it be left.
        """
        before = await self._stored_cookies()
        soon = {**_FLUSH_COOKIE, "expires": time.time() + 5}
        changes = [soon, {**_FLUSH_COOKIE, "expires": 1}] * (_CHANGES_WRITTEN // 2)
        await self.devtools.call("Storage.setCookies", {"cookies": changes})
        # It answers before it has written them.
        for _ in range(_FLUSH_CHECKS):
            if await self._stored_cookies() not in (before, None):
                return
            await asyncio.sleep(_FLUSH_WITHIN / _FLUSH_CHECKS)

    async def _stored_cookies(self) -> tuple[float, int] | None:
        """Return the state of the file of cookies; None while a change of it is under way."""
        journal, stored = None, (0.0, 0)
        with contextlib.suppress(SandboxOSError):
            journal = await self._sandbox.stat(f"{self._cookies}-journal")
        with contextlib.suppress(SandboxOSError):
            entry = await self._sandbox.stat(self._cookies)
            stored = entry.modified, entry.size
        return None if journal is not None and journal.size else stored

    async def close(self, *, graceful: bool = False) -> None:
        """End it, and wait for its end. Idempotent.

        Args:
            graceful: Let it write its profile first.
        """
        if graceful and self.is_alive:
            with contextlib.suppress(SandboxError):
                await self.devtools.call("Browser.close", within=END_WITHIN)
                await asyncio.wait_for(self._process.wait(), END_WITHIN)
        self.devtools.close()
        await self._close_processes()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close_processes(self) -> None:
        await self._process.close()
        if self._relay is not None:
            await self._relay.close()

    async def _wait_ready(self) -> None:
        await asyncio.wait([self._listening], timeout=START_WITHIN)
        if self._listening.done() and self._listening.result():
            await self.devtools.call("Browser.getVersion", within=START_WITHIN)
            return
        if not self._listening.done():
            reason = f"its DevTools did not listen within {START_WITHIN:g} seconds"
            # One of its other processes may have been killed.
            raise self._start_error(reason + self._new_excess())
        raise self._start_error(self.end)

    def _new_excess(self) -> str:
        """Return what limit the session has exceeded since the start, as the rest of a sentence."""
        excess = self._sandbox.excess
        return "" if excess == self._excess else f"; {excess.rstrip('.')}"

    def _start_error(self, reason: str) -> BrowserStartError:
        lines = [line for line in self._output.splitlines() if line and "dbus" not in line]
        written = "\n".join(lines)[-_REASON_KEPT:].strip()
        text = f"the browser does not start: {reason.rstrip('.')}"
        return BrowserStartError(f"{text}; it wrote: {written}" if written else text)

    async def _fit_viewport(self, viewport: tuple[int, int]) -> None:
        """Give the page the size that was asked for, which was that of its window so far."""
        pages = await list_pages(self.devtools)
        if pages:
            window = await self.devtools.call(
                "Browser.getWindowForTarget", {"targetId": pages[0].id}
            )
            await self.devtools.call(
                "Browser.setContentsSize",
                {"windowId": window.get("windowId"), "width": viewport[0], "height": viewport[1]},
            )

    async def _read_output(self) -> None:
        """Find the address of the DevTools in what it writes, and keep the end of that."""
        turns = Turns()
        with contextlib.suppress(SandboxError):
            while data := await turns.wait_for(self._process.stderr.read()):
                text = self._output + data.decode("utf-8", "replace")
                self._output = text[-_OUTPUT_KEPT:]
                found = None if self._listening.done() else _LISTENING.search(text)
                if found is not None:
                    self.port, self.path = int(found[1]), found[2]
                    self._listening.set_result(True)
                await turns.rest_if_due()

    async def _watch_exit(self) -> None:
        try:
            code = await self._process.wait()
            self.end = f"it ended with exit code {code}"
            if code > _KILLED_ABOVE:
                # What killed it is known when the next command ends, even if that does nothing.
                with contextlib.suppress(SandboxError):
                    await self._sandbox.run(["/bin/true"], timeout=_REPORT_WITHIN)
            self.end += self._new_excess()
        except SandboxGone as gone:
            self.end = str(gone)
        if not self._listening.done():
            self._listening.set_result(False)
        self.devtools.close(self.end)
        await self._close_processes()


async def _start_relay(sandbox: Sandbox, proxy: CustomProxy | None) -> ProxyRelay | None:
    if proxy is None or not proxy.needs_relay:
        return None
    try:
        return await ProxyRelay.start(sandbox, proxy)
    except ProxyError as error:
        raise BrowserStartError(f"the browser does not start: {error}") from None


async def _find_extensions(sandbox: Sandbox, directory: str) -> Sequence[str]:
    """Return the directories of extensions; an extension has a manifest.

    Uploaded extensions are archives. Each is unpacked beside itself, by the session and in its
    limits, unless its directory is there.

    Raises:
        BrowserStartError: An archive cannot be unpacked.
    """
    try:
        entries = (await sandbox.list(directory))[:_MOST_EXTENSIONS]
    except SandboxOSError:
        return []  # there is no such directory
    found = {entry.path for entry in entries if entry.is_dir}
    for entry in entries:
        target = entry.path.removesuffix(".zip")
        if entry.is_file and target not in {entry.path, *found}:
            await _unpack(sandbox, entry.path, target)
            found.add(target)
    return [path for path in sorted(found) if await _is_extension(sandbox, path)]


async def _unpack(sandbox: Sandbox, archive: str, target: str) -> None:
    command = ["python3", "-c", _UNPACK, archive, target]
    done = await sandbox.run(command, timeout=_UNPACK_WITHIN, output_limit=_OUTPUT_KEPT)
    if done.timed_out or done.exit_code:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1][:_REASON_KEPT] if lines else "it took too long"
        raise BrowserStartError(f"the extension {archive} cannot be unpacked: {reason}")


async def _is_extension(sandbox: Sandbox, path: str) -> bool:
    # Chromium takes a list of directories, separated by commas.
    if "," in path:
        return False
    try:
        await sandbox.stat(f"{path}/manifest.json")
    except SandboxOSError:
        return False
    return True
