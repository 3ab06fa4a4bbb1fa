"""A desktop, by the official client: it ends with "conforms" if all is as it expects."""

import json
import time

from agentbay import AgentBay, CreateSessionParams, MouseButton, ScrollDirection

bay = AgentBay()
created = bay.create(CreateSessionParams(image_id="linux_latest"))
assert created.success, created.error_message
session = created.session
computer = session.computer


def until(condition):
    """Wait until a condition holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
    return condition()


# The screen and the mouse.
size = computer.get_screen_size()
assert size.success, size.error_message
screen = json.loads(size.data) if isinstance(size.data, str) else size.data
assert screen == {"width": 1280, "height": 800, "dpiScalingFactor": 1.0}, screen
moved = computer.move_mouse(400, 300)
assert moved.success and moved.data is True, moved.error_message
position = computer.get_cursor_position()
assert json.loads(position.data) == {"x": 400, "y": 300}, position.data
for button in MouseButton:
    clicked = computer.click_mouse(640, 790, button)
    assert clicked.success, clicked.error_message
assert computer.drag_mouse(100, 100, 300, 300).success
assert computer.scroll(500, 500, ScrollDirection.DOWN, 3).success

# An app, its window, and text that it gets.
script = "stty raw -echo; : > /tmp/typed; exec cat > /tmp/typed"
started = computer.start_app(f'xterm -T recorder -e sh -c "{script}"', work_directory="/tmp")
assert started.success, started.error_message
(process,) = started.data
assert process.pname == "xterm" and process.pid > 1, process


def recorder():
    """Return the window of the app."""
    listed = computer.list_root_windows()
    assert listed.success, listed.error_message
    return [window for window in listed.windows if window.title == "recorder"]


(window,) = until(recorder)
assert (window.pid, window.pname) == (process.pid, "xterm")
assert window.width > 100 and window.absolute_upper_left_x > 0
assert computer.activate_window(window.window_id).success
active = computer.get_active_window()
assert active.success and active.window.window_id == window.window_id, active.error_message
until(lambda: session.command.run("test -f /tmp/typed").success)
text = "Hello, Wörld 世界 😀"
typed = computer.input_text(text)
assert typed.success and typed.data is True, typed.error_message
assert computer.press_keys(["Ctrl", "A"]).success
assert computer.press_keys(["Shift"], True).success
assert computer.press_keys(["b"]).success
assert computer.release_keys(["Shift"]).success
expected = text + "\x01B"
until(lambda: session.file_system.read_file("/tmp/typed").content == expected)

for change in ("maximize", "restore", "minimize", "restore", "fullscreen", "restore"):
    changed = getattr(computer, f"{change}_window")(window.window_id)
    assert changed.success and changed.data is True, (change, changed.error_message)
assert computer.resize_window(window.window_id, 600, 400).success
assert computer.focus_mode(True).success
assert computer.focus_mode(False).success

# Pictures, apps, and the end.
for format_, magic in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff"), ("jpg", b"\xff\xd8\xff")):
    picture = computer.beta_take_screenshot(format_)
    assert picture.success and picture.data.startswith(magic)
    assert (picture.width, picture.height) == (1280, 800)
apps = computer.get_installed_apps()
assert apps.success, apps.error_message
assert all(app.name and app.start_cmd for app in apps.data)
visible = computer.list_visible_apps()
assert [app.pid for app in visible.data] == [process.pid], visible.error_message
stopped = computer.stop_app_by_pid(process.pid)
assert stopped.success, stopped.error_message
assert computer.list_visible_apps().data == []
assert not computer.stop_app_by_pname("xterm").success
assert not computer.close_window(window.window_id).success
assert not computer.click_mouse(5000, 5).success
assert session.delete().success
print("conforms")
