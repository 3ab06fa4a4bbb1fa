"""Results of screens, phones and agents under the names of the official client; fingerprints."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    BrowserOption,
    FingerprintFormat,
    InvalidArgumentError,
    MouseButton,
    ScreenFingerprint,
    ScrollDirection,
    VideoCard,
)

from .scripted import tool_answer

if TYPE_CHECKING:
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

_SCREEN = dict.fromkeys(ScreenFingerprint.__annotations__, 1)


async def test_windows_are_told_by_their_own_names(session: AsyncSession, scripted: Script) -> None:
    """A list, and one of them."""
    window = {"window_id": 7, "window_title": "t"}
    scripted.ok("CallMcpTool", tool_answer(json.dumps([window])))
    scripted.ok("CallMcpTool", tool_answer(json.dumps(window)))
    listed = await session.computer.list_root_windows()
    active = await session.computer.get_active_window()
    assert [each.title for each in listed.windows] == ["t"]
    assert listed.data == listed.windows == [active.window]
    assert active.data is active.window


async def test_elements_of_a_screen_have_rectangles(
    session: AsyncSession, scripted: Script
) -> None:
    """However the image writes bounds; what it does not write is None."""
    box = {"left": 1, "top": 2, "right": 3, "bottom": 4}
    found = [{"bounds": box, "children": [{"bounds": "1,2,3,4"}, {"bounds": "[1,2]"}]}]
    scripted.ok("CallMcpTool", tool_answer(json.dumps(found)))
    scripted.ok("CallMcpTool", tool_answer("<hierarchy/>"))
    result = await session.mobile.get_all_ui_elements()
    (element,) = result.elements
    assert element["bounds_rect"] == box
    assert [child["bounds_rect"] for child in element["children"]] == [box, None]
    assert (result.format, json.loads(result.raw)) == ("json", found)
    text = await session.mobile.get_all_ui_elements(format="xml")
    assert (text.format, text.raw, text.elements) == ("xml", "<hierarchy/>", [])


async def test_a_trial_screenshot_has_its_bytes(session: AsyncSession, scripted: Script) -> None:
    """And what they are."""
    data = b"\x89PNG\r\n\x1a\n" + bytes(4)
    coded = base64.b64encode(data).decode()
    document = {"data": coded, "mime_type": "image/png", "width": 20, "height": 10}
    scripted.ok("CallMcpTool", tool_answer(json.dumps(document)))
    results = [
        await session.computer.beta_take_screenshot(),
        await session.mobile.beta_take_screenshot(),
        await session.mobile.beta_take_long_screenshot(format="png"),
    ]
    for result in results:
        assert (result.data, result.type, result.format) == (data, "image", "png")
        assert (result.width, result.height) == (20, 10)


async def test_a_task_is_told_by_its_result(session: AsyncSession, scripted: Script) -> None:
    """Its id, state, action and product."""
    document = {"task_id": "t-1", "status": "running", "action": "click", "product": "p"}
    scripted.ok("CallMcpTool", tool_answer(json.dumps(document)))
    started = await session.agent.computer.execute_task("do it")
    assert (started.task_id, started.task_status, started.task_result) == ("t-1", "running", "")
    state = await session.agent.computer.get_task_status("t-1")
    assert (state.task_id, state.task_status) == ("t-1", "running")
    assert (state.task_action, state.task_product) == ("click", "p")


async def test_words_of_enumerations_are_sent_as_texts(
    session: AsyncSession, scripted: Script
) -> None:
    """Buttons and directions."""
    scripted.ok("CallMcpTool", tool_answer("True"))
    await session.computer.click_mouse(1, 2, MouseButton.RIGHT)
    await session.computer.scroll(1, 2, ScrollDirection.DOWN)
    sent: list[dict[str, Any]] = [
        json.loads(each["Args"]) for each in scripted.forms("CallMcpTool")
    ]
    assert (sent[0]["button"], sent[1]["direction"]) == ("right", "down")


def test_a_fingerprint_is_sent_as_the_document_it_was_read_from() -> None:
    """What the document does not say is filled in."""
    brand = {"brand": "b", "version": "1"}
    navigator = {"userAgent": "ua", "userAgentData": {"brands": [brand], "mobile": True}}
    document = {"fingerprint": {"screen": _SCREEN, "navigator": navigator}, "headers": {"a": "b"}}
    loaded = FingerprintFormat.load(json.dumps(document))
    assert loaded == FingerprintFormat.load(document)
    sent = BrowserOption(fingerprint_format=loaded).to_wire()["fingerprintRawData"]
    raw = json.loads(base64.b64decode(sent))
    assert raw["headers"] == {"a": "b"}
    assert raw["fingerprint"]["screen"] == _SCREEN
    assert raw["fingerprint"]["navigator"]["userAgentData"]["brands"] == [brand]
    assert raw["fingerprint"]["videoCard"] == {"renderer": "Unknown", "vendor": "Unknown"}
    parts = loaded.fingerprint
    made = FingerprintFormat.create(parts.screen, parts.navigator, VideoCard("r", "v"), {"a": "b"})
    assert made.fingerprint.videoCard.renderer == "r"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (1, ArgumentTypeError),
        ("{", InvalidArgumentError),
        ("[]", InvalidArgumentError),
        ({"fingerprint": []}, InvalidArgumentError),
        ({"fingerprint": "text"}, InvalidArgumentError),
        ({"fingerprint": {"screen": {"width": 1}}}, InvalidArgumentError),
    ],
)
def test_a_document_of_another_kind_is_refused(data: Any, kind: type[Exception]) -> None:
    """With the part that is wrong."""
    with pytest.raises(kind):
        FingerprintFormat.load(data)


def test_another_value_than_a_fingerprint_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(ArgumentTypeError, match="fingerprint_format"):
        BrowserOption(fingerprint_format="{}")  # type: ignore[arg-type]  # wrong on purpose
