"""Read the fingerprint of a browser on this machine."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async.errors import BrowserError, ConfigurationError, UsageError
from agentbay_async.models.fingerprint import FingerprintFormat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Seconds for all of it: start the browser, load the page, ask it.
_TIMEOUT = 120.0
# Seconds for a request of the page. Closing the server waits for its connections.
_REQUEST_TIMEOUT = 10.0
# Those that tell the browser apart, as the document of the service has them.
_HEADERS = (
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "upgrade-insecure-requests",
    "user-agent",
    "accept",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-user",
    "sec-fetch-dest",
    "accept-encoding",
    "accept-language",
)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"<!doctype html><title>Fingerprint</title>"
)
# A script for the page: returns the part "fingerprint" of the document. What the browser does not
# tell is null or missing; nothing is made up.
_READ = """async () => {
  const pick = (source, names) => Object.fromEntries(names.map((name) => [name, source[name]]));
  const unlessRefused = async (ask) => { try { return await ask(); } catch { return null; } };
  const plays = (element, types) => Object.fromEntries(
    Object.entries(types).map(([name, type]) => [name, element.canPlayType(type)]));

  const root = document.documentElement;
  const display = {
    ...pick(screen, ["availTop", "availLeft", "availWidth", "availHeight", "width", "height",
      "colorDepth", "pixelDepth"]),
    ...pick(window, ["pageXOffset", "pageYOffset", "screenX", "innerWidth", "innerHeight",
      "outerWidth", "outerHeight", "devicePixelRatio"]),
    ...pick(root, ["clientWidth", "clientHeight"]),
    hasHDR: matchMedia("(dynamic-range: high)").matches,
  };

  const agent = navigator.userAgentData;
  const details = await unlessRefused(() => agent.getHighEntropyValues(["architecture", "bitness",
    "fullVersionList", "model", "platformVersion", "uaFullVersion"]));
  const browser = {
    ...pick(navigator, ["userAgent", "language", "languages", "platform", "deviceMemory",
      "hardwareConcurrency", "maxTouchPoints", "product", "productSub", "vendor", "vendorSub",
      "doNotTrack", "appCodeName", "appName", "appVersion", "oscpu"]),
    userAgentData: agent ? {...pick(agent, ["brands", "mobile", "platform"]), ...details} : null,
    extraProperties: {
      vendorFlavors: "chrome" in window ? ["chrome"] : [],
      isBluetoothSupported: "bluetooth" in navigator,
      globalPrivacyControl: navigator.globalPrivacyControl ?? null,
      pdfViewerEnabled: navigator.pdfViewerEnabled,
      installedApps: [],
    },
    // True only because a program drives this browser, not a person.
    webdriver: false,
  };

  const mimeTypes = [];
  const plugins = [...navigator.plugins].map((plugin) => ({
    ...pick(plugin, ["name", "description", "filename"]),
    mimeTypes: [...plugin].map((type) => {
      mimeTypes.push(`${type.description}~~${type.type}~~${type.suffixes}`);
      return {...pick(type, ["type", "suffixes", "description"]), enabledPlugin: plugin.name};
    }),
  }));

  const videoCard = () => {
    const gl = document.createElement("canvas").getContext("webgl");
    if (!gl) return null;
    const names = gl.getExtension("WEBGL_debug_renderer_info");
    return {
      renderer: gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER),
      vendor: gl.getParameter(names ? names.UNMASKED_VENDOR_WEBGL : gl.VENDOR),
    };
  };

  const devices = await unlessRefused(() => navigator.mediaDevices.enumerateDevices()) ?? [];
  const devicesOf = (kind) => devices.filter((device) => device.kind === kind)
    .map((device) => pick(device, ["deviceId", "kind", "label", "groupId"]));

  // A font is there if a text has another width with it than with each family that replaces it.
  const pen = document.createElement("canvas").getContext("2d");
  const width = (family) => {
    pen.font = `64px ${family}`;
    return pen.measureText("Sphinx of black quartz, judge my vow: 0123456789").width;
  };
  const hasFont = (font) => ["monospace", "serif", "sans-serif"].some(
    (family) => width(`"${font}", ${family}`) !== width(family));

  return {
    screen: display,
    navigator: browser,
    audioCodecs: plays(document.createElement("audio"), {
      ogg: 'audio/ogg; codecs="vorbis"', mp3: "audio/mpeg", wav: 'audio/wav; codecs="1"',
      m4a: "audio/x-m4a", aac: "audio/aac",
    }),
    videoCodecs: plays(document.createElement("video"), {
      ogg: 'video/ogg; codecs="theora"', h264: 'video/mp4; codecs="avc1.42E01E"',
      webm: 'video/webm; codecs="vp8, vorbis"',
    }),
    pluginsData: {plugins, mimeTypes},
    battery: await unlessRefused(async () => pick(await navigator.getBattery(),
      ["charging", "chargingTime", "dischargingTime", "level"])),
    videoCard: videoCard(),
    multimediaDevices: {
      speakers: devicesOf("audiooutput"),
      micros: devicesOf("audioinput"),
      webcams: devicesOf("videoinput"),
    },
    fonts: ["Arial", "Arial Black", "Bookman", "Calibri", "Cambria", "Comic Sans MS", "Courier New",
      "DejaVu Sans", "Garamond", "Georgia", "Helvetica", "Impact", "Liberation Sans",
      "Lucida Console", "Menlo", "Noto Sans", "Palatino", "Segoe UI", "Tahoma", "Times New Roman",
      "Trebuchet MS", "Ubuntu", "Verdana"].filter(hasFont),
    mockWebRTC: false,
    slim: false,
  };
}"""


class AsyncBrowserFingerprintGenerator:
    """Read the fingerprint of Chrome on this machine, so that a session's browser can have it.

    It drives Chrome by Playwright, which is no part of this library: install it with
    ``pip install playwright``, and Chrome, if this machine has none, with
    ``playwright install chrome``. Chrome loads only a page of this program; nothing is sent to
    another machine.

    Args:
        headless: Open no window. The fingerprint then says so.
        use_chrome_channel: Drive the Chrome of this machine; if false, the Chromium that
            ``playwright install chromium`` downloads.

    Attributes:
        headless: Whether no window is opened.
        use_chrome_channel: Whether the Chrome of this machine is driven.

    Example:
        ::

            fingerprint = await AsyncBrowserFingerprintGenerator().generate_fingerprint()
            await session.browser.initialize(BrowserOption(fingerprint_format=fingerprint))
    """

    def __init__(self, headless: bool = False, use_chrome_channel: bool = True) -> None:
        self.headless: bool = _check.boolean(headless, "headless")
        self.use_chrome_channel: bool = _check.boolean(use_chrome_channel, "use_chrome_channel")

    async def generate_fingerprint(self) -> FingerprintFormat:
        """Open Chrome for a moment, and return its fingerprint.

        Raises:
            ConfigurationError: Playwright is not installed.
            BrowserError: Chrome did not start, or did not tell its fingerprint.
        """
        playwright = _playwright()
        try:
            document = await asyncio.wait_for(self._read(playwright), _TIMEOUT)
            return FingerprintFormat.load(document)
        except (playwright.Error, asyncio.TimeoutError, OSError, UsageError) as error:
            channel = "chrome" if self.use_chrome_channel else "chromium"
            # Playwright adds the log of the browser.
            reason = (
                str(error).strip().partition("\n")[0] or f"no answer within {_TIMEOUT:.0f} seconds"
            )
            raise BrowserError(
                f"the browser of this machine told no fingerprint: {reason}",
                hint=f"If it is not installed, run: playwright install {channel}",
            ) from error

    async def generate_fingerprint_to_file(
        self, output_filename: str = "fingerprint_output.json"
    ) -> bool:
        """Write the fingerprint to a file, for :meth:`FingerprintFormat.load`, and return true.

        Args:
            output_filename: The file; one that exists is replaced.

        Raises:
            FileNotFoundError: The directory of the file does not exist.
            OSError: The file cannot be written.
            ConfigurationError: Playwright is not installed.
            BrowserError: Chrome did not start, or did not tell its fingerprint.
        """
        path = Path(_check.text(output_filename, "output_filename"))
        if not path.parent.is_dir():
            reason = f"output_filename: {os.strerror(errno.ENOENT)}"
            raise FileNotFoundError(errno.ENOENT, reason, str(path.parent))
        text = (await self.generate_fingerprint()).to_json()
        await asyncio.to_thread(path.write_text, text, "utf-8")
        return True

    # The module is Playwright's, which need not be installed.
    async def _read(self, playwright: Any) -> dict[str, Any]:
        options = {"channel": "chrome"} if self.use_chrome_channel else {}
        async with _page_server() as (url, headers), playwright.async_playwright() as driver:
            browser = await driver.chromium.launch(
                headless=self.headless, args=["--start-maximized"], **options
            )
            try:
                page = await (await browser.new_context(no_viewport=True)).new_page()
                await page.goto(url)
                return {"fingerprint": await page.evaluate(_READ), "headers": headers}
            finally:
                await browser.close()


def _playwright() -> Any:
    """Return the module of Playwright."""
    if find_spec("playwright") is None:
        raise ConfigurationError(
            "a fingerprint needs the package playwright, which is not installed",
            hint="pip install playwright; and if this machine has no Chrome: playwright install"
            " chrome",
        )
    return import_module("playwright.async_api")


@asynccontextmanager
async def _page_server() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Serve a page to this machine; yield its URL, and the headers of the browser once it asked.

    A page of a blank address does not do: browsers tell it less than one from this machine.
    """
    headers: dict[str, str] = {}
    server = await asyncio.start_server(partial(_answer, headers), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/", headers


async def _answer(
    headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        # At most 64 KiB, the limit of the reader.
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _REQUEST_TIMEOUT)
        request = head.decode("latin-1")
        # A browser also asks for the icon of a page.
        if request.startswith("GET / "):
            headers.update(_known_headers(request))
        writer.write(_ANSWER)
        await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, asyncio.TimeoutError):
        # Browsers open connections to spare, and close them without a request.
        pass
    finally:
        writer.close()


def _known_headers(request: str) -> dict[str, str]:
    lines = (line.partition(":") for line in request.split("\r\n")[1:])
    found = {name.strip().lower(): value.strip() for name, _, value in lines}
    return {name: found[name] for name in _HEADERS if name in found}
