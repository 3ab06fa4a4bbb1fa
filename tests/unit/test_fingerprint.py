"""The fingerprint of a browser of this machine, with a scripted module in the place of Playwright.

Not tested here: Playwright itself, and what its browser answers to the script for the page.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from agentbay import BrowserFingerprintGenerator
from agentbay_async import (
    ArgumentTypeError,
    AsyncBrowserFingerprintGenerator,
    BrowserError,
    ConfigurationError,
    FingerprintFormat,
    ScreenFingerprint,
)
from agentbay_async.services import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DOCUMENT = {
    "screen": dict.fromkeys(ScreenFingerprint.__annotations__, 1),
    "navigator": {"userAgent": "Chrome"},
}
_HEADERS = "GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: Chrome\r\nACCEPT: text/html\r\n\r\n"
#: Stands for Playwright: its browser asks the page for real, and says what it was told.
_PLAYWRIGHT = """
import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

class Error(Exception): ...

calls, requests, document, fail = [], [], {}, []

class Page:
    async def goto(self, url):
        host = urlsplit(url)
        # A connection to spare, which stays without a request.
        spare = (await asyncio.open_connection(host.hostname, host.port))[1]
        spare.close()
        for request in requests:
            reader, writer = await asyncio.open_connection(host.hostname, host.port)
            writer.write(request.encode())
            calls.append(("page", (await reader.read()).decode()))
            writer.close()
    async def evaluate(self, script):
        if fail:
            await fail[0]()
        return document
    async def new_context(self, **options):
        calls.append(("context", options))
        return self
    async def new_page(self):
        return self
    async def close(self):
        calls.append(("close",))

class Chromium:
    async def launch(self, **options):
        calls.append(("launch", options))
        return Page()

class Driver:
    chromium = Chromium()

@asynccontextmanager
async def async_playwright():
    yield Driver()
    calls.append(("end",))
"""


@pytest.fixture
def playwright(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Install the scripted module, and give it."""
    (tmp_path / "playwright").mkdir()
    (tmp_path / "playwright" / "__init__.py").touch()
    (tmp_path / "playwright" / "async_api.py").write_text(textwrap.dedent(_PLAYWRIGHT))
    monkeypatch.syspath_prepend(str(tmp_path))
    # Another test may have loaded the real one.
    for name in _loaded():
        monkeypatch.delitem(sys.modules, name)
    async_api: Any = importlib.import_module("playwright.async_api")

    async_api.document.update(_DOCUMENT)
    async_api.requests += [_HEADERS.format(path=path) for path in ("/", "/favicon.ico")]
    yield async_api
    for name in _loaded():
        del sys.modules[name]


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "playwright"]


@pytest.mark.parametrize(
    ("arguments", "launched"),
    [
        ((), {"headless": False, "channel": "chrome"}),
        ((True,), {"headless": True, "channel": "chrome"}),
        ((True, False), {"headless": True}),
    ],
)
async def test_a_fingerprint_is_what_the_browser_says(
    playwright: Any, arguments: tuple[bool, ...], launched: dict[str, object]
) -> None:
    """Its headers are those with which it asks for the page, under the names of the document."""
    found = await AsyncBrowserFingerprintGenerator(*arguments).generate_fingerprint()
    assert found.fingerprint.navigator.userAgent == "Chrome"
    assert found.headers == {"user-agent": "Chrome", "accept": "text/html"}
    assert ("launch", {"args": ["--start-maximized"], **launched}) in playwright.calls
    assert ("context", {"no_viewport": True}) in playwright.calls
    assert playwright.calls[-2:] == [("close",), ("end",)]
    (page, icon) = (call[1] for call in playwright.calls if call[0] == "page")
    assert page == icon
    assert page.startswith("HTTP/1.1 200 OK\r\n")


async def test_headers_of_other_requests_do_not_count(playwright: Any) -> None:
    """A browser asks for the icon with other headers."""
    playwright.requests[1] = playwright.requests[1].replace("text/html", "image/png")
    found = await AsyncBrowserFingerprintGenerator().generate_fingerprint()
    assert found.headers["accept"] == "text/html"


def test_a_blocking_program_writes_it_to_a_file(playwright: Any, tmp_path: Path) -> None:
    """The document that ``FingerprintFormat.load`` reads."""
    assert playwright
    file = tmp_path / "fingerprint.json"
    generator = BrowserFingerprintGenerator(headless=True)
    assert generator.generate_fingerprint_to_file(str(file)) is True
    assert FingerprintFormat.load(file.read_text("utf-8")) == generator.generate_fingerprint()


async def test_without_playwright_an_error_tells_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library does not need it for anything else."""
    monkeypatch.setitem(sys.modules, "playwright", None)
    monkeypatch.setattr(fingerprint, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"pip install playwright.*playwright install"):
        await AsyncBrowserFingerprintGenerator().generate_fingerprint()


async def _refuse() -> None:
    raise sys.modules["playwright.async_api"].Error("Target closed\nCall log: long")


@pytest.mark.parametrize(
    ("prepare", "seconds", "reason"),
    [
        (
            lambda module: module.fail.append(_refuse),
            60,
            r"Target closed\. .*playwright install chrome",
        ),
        (lambda module: module.document.clear(), 60, "screen must have"),
        (lambda module: module.fail.append(asyncio.Event().wait), 1, "no answer within"),
    ],
)
async def test_a_browser_that_tells_nothing_is_an_error(
    playwright: Any,
    prepare: Callable[[Any], object],
    seconds: float,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And it is closed."""
    monkeypatch.setattr(fingerprint, "_TIMEOUT", seconds)
    prepare(playwright)
    with pytest.raises(BrowserError, match=reason):
        await AsyncBrowserFingerprintGenerator().generate_fingerprint()
    # On a busy machine, the second may be over before the browser is there.
    kinds = [call[0] for call in playwright.calls]
    assert kinds.count("close") == kinds.count("launch")


async def test_a_directory_that_is_missing_is_noticed_before_the_browser_starts(
    playwright: Any, tmp_path: Path
) -> None:
    """The error names the argument."""
    generator = AsyncBrowserFingerprintGenerator()
    with pytest.raises(FileNotFoundError, match="output_filename"):
        await generator.generate_fingerprint_to_file(str(tmp_path / "none" / "file.json"))
    assert not playwright.calls


def test_a_wrong_argument_is_named() -> None:
    """When the generator is made."""
    with pytest.raises(ArgumentTypeError, match="headless"):
        AsyncBrowserFingerprintGenerator("no")  # type: ignore[arg-type]  # the wrong type is tested


async def test_a_connection_that_asks_nothing_is_closed(
    playwright: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any program of this machine can open one: it must not delay the answer for ever."""
    monkeypatch.setattr(fingerprint, "_REQUEST_TIMEOUT", 0.05)
    playwright.requests.append("GET / HT")
    found = await AsyncBrowserFingerprintGenerator().generate_fingerprint()
    assert found.headers["user-agent"] == "Chrome"
    assert playwright.calls[-3] == ("page", "")
