"""UI tools of desktop and phone: requests and answers."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AppProcess,
    ArgumentTypeError,
    BadAnswerError,
    CursorPosition,
    InstalledApp,
    InvalidArgumentError,
    ScreenSize,
    ToolError,
    Window,
)

from .scripted import tool_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

_PNG = b"\x89PNG\r\n\x1a\n..."
_JPEG = b"\xff\xd8\xff..."


@pytest.mark.parametrize(
    ("call", "tool", "args"),
    [
        (
            lambda s: s.computer.click_mouse(1, 2, "double_left"),
            "click_mouse",
            {"x": 1, "y": 2, "button": "double_left"},
        ),
        (lambda s: s.computer.move_mouse(1, 2), "move_mouse", {"x": 1, "y": 2}),
        (
            lambda s: s.computer.drag_mouse(1, 2, 3, 4),
            "drag_mouse",
            {"from_x": 1, "from_y": 2, "to_x": 3, "to_y": 4, "button": "left"},
        ),
        (
            lambda s: s.computer.scroll(1, 2, "down", 3),
            "scroll",
            {"x": 1, "y": 2, "direction": "down", "amount": 3},
        ),
        (lambda s: s.computer.input_text("汉 "), "input_text", {"text": "汉 "}),
        (
            lambda s: s.computer.press_keys(["ctrl", "A", "pageup", "minus", "F5"], hold=True),
            "press_keys",
            {"keys": ["Ctrl", "a", "PageUp", "-", "F5"], "hold": True},
        ),
        (lambda s: s.computer.release_keys(["CTRL"]), "release_keys", {"keys": ["Ctrl"]}),
        (lambda s: s.computer.activate_window(7), "activate_window", {"window_id": 7}),
        (lambda s: s.computer.close_window(7), "close_window", {"window_id": 7}),
        (lambda s: s.computer.maximize_window(7), "maximize_window", {"window_id": 7}),
        (lambda s: s.computer.minimize_window(7), "minimize_window", {"window_id": 7}),
        (lambda s: s.computer.restore_window(7), "restore_window", {"window_id": 7}),
        (lambda s: s.computer.fullscreen_window(7), "fullscreen_window", {"window_id": 7}),
        (
            lambda s: s.computer.resize_window(7, 8, 9),
            "resize_window",
            {"window_id": 7, "width": 8, "height": 9},
        ),
        (lambda s: s.computer.focus_mode(True), "focus_mode", {"on": True}),
        (lambda s: s.computer.stop_app_by_pname("p"), "stop_app_by_pname", {"pname": "p"}),
        (lambda s: s.computer.stop_app_by_pid(5), "stop_app_by_pid", {"pid": 5}),
        (lambda s: s.computer.stop_app_by_cmd("c"), "stop_app_by_cmd", {"stop_cmd": "c"}),
        (lambda s: s.mobile.tap(1, 2), "tap", {"x": 1, "y": 2}),
        (
            lambda s: s.mobile.swipe(1, 2, 3, 4),
            "swipe",
            {"start_x": 1, "start_y": 2, "end_x": 3, "end_y": 4, "duration_ms": 300},
        ),
        (lambda s: s.mobile.input_text(""), "input_text", {"text": ""}),
        (lambda s: s.mobile.send_key(4), "send_key", {"key": 4}),
        (lambda s: s.mobile.stop_app_by_cmd("c"), "stop_app_by_cmd", {"stop_cmd": "c"}),
    ],
)
async def test_ui_methods_call_their_tools(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[Any], Any],
    tool: str,
    args: object,
) -> None:
    """With the given arguments; the result is a success."""
    scripted.ok("CallMcpTool", tool_answer("ok"))
    assert (await call(session)).data is True
    (form,) = scripted.forms("CallMcpTool")
    assert (form["Name"], json.loads(form["Args"])) == (tool, args)


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.computer.start_app("s"),
        lambda s: s.mobile.start_app("s"),
        lambda s: s.computer.list_root_windows(),
        lambda s: s.computer.list_visible_apps(),
    ],
)
async def test_an_empty_answer_is_an_empty_list(
    session: AsyncSession, scripted: Script, call: Callable[[Any], Any]
) -> None:
    """Some images have nothing to say about an app that was started."""
    scripted.ok("CallMcpTool", tool_answer(""))
    assert (await call(session)).data == []


_WINDOW = {
    "window_id": 7,
    "window_title": "t",
    "absolute_upper_left_x": 1,
    "width": "20",
    "pname": "p",
    "child_windows": [{"window_id": 8}],
}


@pytest.mark.parametrize(
    ("call", "answer", "wanted"),
    [
        (lambda s: s.computer.get_cursor_position(), {"x": 1, "y": 2}, CursorPosition(1, 2)),
        (
            lambda s: s.computer.get_screen_size(),
            {"width": 1920, "height": 1080, "dpiScalingFactor": 1.5},
            ScreenSize(1920, 1080, 1.5),
        ),
        (
            lambda s: s.computer.get_active_window(),
            _WINDOW,
            Window(7, "t", 1, 0, 20, 0, 0, "p", (Window(8),)),
        ),
        (lambda s: s.computer.list_root_windows(), [{"window_id": 7}], [Window(7)]),
        (
            lambda s: s.computer.get_installed_apps(),
            [{"name": "n", "start_cmd": "s", "stop_cmd": None}],
            [InstalledApp("n", "s")],
        ),
        (
            lambda s: s.mobile.start_app("s", activity="a"),
            [{"pname": "p", "pid": 5, "cmdline": "c"}],
            [AppProcess("p", 5, "c")],
        ),
        (lambda s: s.computer.list_visible_apps(), [], []),
    ],
)
async def test_answers_of_ui_tools_are_parsed(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[Any], Any],
    answer: object,
    wanted: object,
) -> None:
    """As values with their types; an answer of another form is a failure."""
    scripted.ok("CallMcpTool", tool_answer(json.dumps(answer)))
    scripted.ok("CallMcpTool", tool_answer("oops"))
    assert (await call(session)).data == wanted
    assert isinstance((await call(session)).error, BadAnswerError)


async def test_apps_are_listed_with_the_tools_own_arguments(
    session: AsyncSession, scripted: Script
) -> None:
    """One name differs from ours; empty arguments are not sent."""
    scripted.ok("CallMcpTool", tool_answer("[]"))
    await session.mobile.get_installed_apps(desktop=True)
    await session.computer.start_app("s", "/d")
    apps, start = [json.loads(form["Args"]) for form in scripted.forms("CallMcpTool")]
    assert apps == {"start_menu": True, "desktop": True, "ignore_system_app": True}
    assert start == {"start_cmd": "s", "work_directory": "/d"}


@pytest.mark.parametrize(("format", "sent", "data"), [("png", "png", _PNG), ("jpg", "jpeg", _JPEG)])
@pytest.mark.parametrize("as_item", [True, False])
async def test_screenshot_is_parsed(
    session: AsyncSession,
    scripted: Script,
    format: Any,
    sent: str,
    data: bytes,
    as_item: bool,
) -> None:
    """The tool may return a picture, or JSON with one."""
    coded = base64.b64encode(data).decode()
    mime_type = f"image/{sent}"
    document = {"type": "image", "mime_type": mime_type, "data": coded, "width": 20, "height": 10}
    item = {"type": "image", "data": coded, "mimeType": mime_type}
    answer = {"content": [item], "isError": False} if as_item else tool_answer(json.dumps(document))
    scripted.ok("CallMcpTool", answer)
    picture = (await session.computer.take_screenshot(format)).data
    assert (picture.data, picture.mime_type) == (data, mime_type)
    assert (picture.width, picture.height) == ((None, None) if as_item else (20, 10))
    (form,) = scripted.forms("CallMcpTool")
    assert (form["Name"], json.loads(form["Args"])) == ("screenshot", {"format": sent})


@pytest.mark.parametrize(
    "answer",
    [
        "not JSON",
        "[]",
        '{"data": 5}',
        '{"data": "!"}',
        json.dumps({"data": base64.b64encode(_JPEG).decode()}),
    ],
)
async def test_screenshot_of_another_format_is_a_failure(
    session: AsyncSession, scripted: Script, answer: str
) -> None:
    """A JPEG is not a PNG."""
    scripted.ok("CallMcpTool", tool_answer(answer))
    assert isinstance((await session.mobile.take_screenshot()).error, BadAnswerError)


async def test_long_screenshot_sends_its_arguments(session: AsyncSession, scripted: Script) -> None:
    """The number of screens and the quality."""
    coded = base64.b64encode(_JPEG).decode()
    scripted.ok("CallMcpTool", tool_answer(json.dumps({"data": coded, "mime_type": "image/jpeg"})))
    result = await session.mobile.take_long_screenshot(3, "jpeg", quality=80)
    assert result.data.data == _JPEG
    (form,) = scripted.forms("CallMcpTool")
    args = {"max_screens": 3, "format": "jpeg", "quality": 80}
    assert (form["Name"], json.loads(form["Args"])) == ("long_screenshot", args)


async def test_ui_elements_are_parsed(session: AsyncSession, scripted: Script) -> None:
    """As the app describes them; XML stays text."""
    scripted.ok("CallMcpTool", tool_answer('[{"text": "ok", "bounds": "[0,0][1,1]"}]'))
    scripted.ok("CallMcpTool", tool_answer("<hierarchy/>"))
    found = (await session.mobile.get_clickable_ui_elements()).data
    rectangle = {"left": 0, "top": 0, "right": 1, "bottom": 1}
    assert found.elements == [{"text": "ok", "bounds": "[0,0][1,1]", "bounds_rect": rectangle}]
    assert (await session.mobile.get_all_ui_elements(format="xml")).data.raw == "<hierarchy/>"
    result = await session.mobile.get_all_ui_elements()
    assert isinstance(result.error, BadAnswerError)


async def test_adb_url_is_returned_for_a_key(session: AsyncSession, scripted: Script) -> None:
    """The key is sent as JSON."""
    scripted.ok("GetAdbLink", {"Url": "adb connect 10.0.0.1:5555"})
    assert (await session.mobile.get_adb_url("AAAA")).data == "adb connect 10.0.0.1:5555"
    (form,) = scripted.forms("GetAdbLink")
    assert json.loads(form["Option"]) == {"adbkey_pub": "AAAA"}


async def test_an_image_without_a_screen_is_an_error(
    session: AsyncSession, scripted: Script
) -> None:
    """The error has the text of the tool."""
    scripted.ok("CallMcpTool", tool_answer("not offered by image x", error=True))
    result = await session.computer.move_mouse(1, 2)
    assert isinstance(result.error, ToolError)
    assert result.error_message == "not offered by image x"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda s: s.computer.click_mouse(1.5, 2), ArgumentTypeError),
        (lambda s: s.computer.click_mouse(1, True), ArgumentTypeError),
        (lambda s: s.computer.click_mouse(1, 2, "fourth"), InvalidArgumentError),
        (lambda s: s.computer.drag_mouse(1, 2, 3, 4, "double_left"), InvalidArgumentError),
        (lambda s: s.computer.scroll(1, 2, "in"), InvalidArgumentError),
        (lambda s: s.computer.scroll(1, 2, amount=0), InvalidArgumentError),
        (lambda s: s.computer.press_keys("Ctrl"), ArgumentTypeError),
        (lambda s: s.computer.press_keys(["a"], hold=1), ArgumentTypeError),
        (lambda s: s.computer.take_screenshot("gif"), InvalidArgumentError),
        (lambda s: s.computer.start_app(""), InvalidArgumentError),
        (lambda s: s.computer.get_installed_apps(desktop=1), ArgumentTypeError),
        (lambda s: s.mobile.take_long_screenshot(11), InvalidArgumentError),
        (lambda s: s.mobile.take_long_screenshot(quality=0), InvalidArgumentError),
        (lambda s: s.mobile.get_all_ui_elements(format="yaml"), InvalidArgumentError),
        (lambda s: s.mobile.get_adb_url(""), InvalidArgumentError),
    ],
)
async def test_invalid_arguments_of_ui_methods_are_rejected(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[Any], Any],
    kind: type[Exception],
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind):
        await call(session)
    assert scripted.requests == []
