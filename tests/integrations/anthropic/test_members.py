"""Members with a page or a desktop of a test, which answer what a real one seldom does."""

from __future__ import annotations

import base64
import io
import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from agentbay_integrations.anthropic import (
    AgentBayComputerToolset,
    BlockingAgentBayComputerToolset,
    _pictures,
)
from agentbay_integrations.anthropic._page_members import PAGE_MEMBERS

if TYPE_CHECKING:
    from anthropic.tools.browser import BetaScreenshotResult


def large_png() -> bytes:
    """Return a picture that is larger than the API takes."""
    png = io.BytesIO()
    Image.frombytes("RGB", (1280, 1280), os.urandom(1280 * 1280 * 3)).save(png, "PNG")
    return png.getvalue()


class Tab:
    """A tab whose page has a picture.

    Args:
        png: The picture.
    """

    def __init__(self, png: bytes) -> None:
        self._png = png
        self.page = SimpleNamespace(screenshot=self.screenshot)

    async def screenshot(self, **_: object) -> bytes:
        """Return the picture, as a page does."""
        return self._png

    async def viewport(self) -> tuple[int, int]:
        """Return the size of the picture."""
        return 1280, 1280

    async def devtools(self) -> Tab:
        """Return what speaks the DevTools protocol."""
        return self

    async def send(self, method: str, _: object = None) -> dict[str, Any]:
        """Answer as the DevTools do."""
        if method == "Page.getLayoutMetrics":
            return {"cssVisualViewport": {"pageX": 0, "pageY": 0}}
        return {"data": base64.b64encode(self._png).decode()}


async def shoot(name: str, png: bytes) -> BetaScreenshotResult:
    """Run a member of the browser toolset that returns a picture."""
    connected: Any = SimpleNamespace(tab=lambda _: Tab(png))
    given = SimpleNamespace(tab_id=None, region=[0, 0, 1280, 1280])
    result: BetaScreenshotResult = await PAGE_MEMBERS[name](connected, given)
    return result


@pytest.mark.parametrize("name", ["screenshot", "zoom"])
async def test_each_picture_of_a_page_is_within_the_limit(name: str) -> None:
    """The API refuses more than 5 MB of base64."""
    result = await shoot(name, large_png())
    assert result.media_type == "image/jpeg"
    assert len(result.data) < 5_000_000


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that says for each picture whether it was made on the main thread."""
    found: list[bool] = []
    make = _pictures.as_result

    def as_result(png: bytes) -> BetaScreenshotResult:
        found.append(threading.current_thread() is threading.main_thread())
        return make(png)

    monkeypatch.setattr(_pictures, "as_result", as_result)
    return found


@pytest.mark.parametrize("name", ["screenshot", "zoom"])
async def test_pictures_do_not_stop_the_event_loop(name: str, threads: list[bool]) -> None:
    """Those of pages and of desktops are made on a thread; a toolset that blocks needs none."""
    png = io.BytesIO()
    Image.new("RGB", (1280, 1280)).save(png, "PNG")
    await shoot(name, png.getvalue())

    answer = SimpleNamespace(unwrap=lambda: SimpleNamespace(data=png.getvalue()))

    async def take() -> Any:
        return answer

    given = SimpleNamespace(region=[0, 0, 1280, 1280])
    session: Any = SimpleNamespace(computer=SimpleNamespace(beta_take_screenshot=take))
    async with AgentBayComputerToolset(session=session, confirm=lambda _: True) as toolset:
        await toolset.execute(None, name, given)
    assert threads == [False, False]

    session.computer.beta_take_screenshot = lambda: answer
    blocking = BlockingAgentBayComputerToolset(session=session, confirm=lambda _: True)
    blocking.execute(None, name, given)
    assert threads == [False, False, True]


class Field:
    """An element that takes text, and remembers it."""

    text = ""

    async def form(self, *_: object) -> dict[str, str]:
        """Say what it is."""
        return {"tag": "input", "type": "text"}

    async def element(self, _: object) -> Field:
        """Return it by any reference."""
        return self

    async def fill(self, text: str) -> None:
        """Take text."""
        self.text = text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2125551234.0, "2125551234"),
        (0.1234567, "0.1234567"),
        (7.0, "7"),
        (-3.0, "-3"),
        ("1e5", "1e5"),
    ],
)
async def test_numbers_are_written_in_full(value: float | str, text: str) -> None:
    """The framework gives each number as a float."""
    field = Field()
    connected: Any = SimpleNamespace(tab=lambda _: SimpleNamespace(documents=field))
    given = SimpleNamespace(tab_id=None, target=SimpleNamespace(ref="ref_1_1"), value=value)
    await PAGE_MEMBERS["form_input"](connected, given)
    assert field.text == text
