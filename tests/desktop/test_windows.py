"""Windows and apps are listed, and do what they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desktop.conftest import open_terminal, until

if TYPE_CHECKING:
    from tests.desktop.conftest import Terminal

    from agentbay_async import AsyncSession
    from agentbay_async.models.ui import Window


async def box(terminal: Terminal) -> tuple[int, int, int, int]:
    """Return place and size of a terminal now."""
    windows = (await terminal.session.computer.list_root_windows()).unwrap()
    (window,) = (one for one in windows if one.window_id == terminal.window.window_id)
    return _box(window)


def _box(window: Window) -> tuple[int, int, int, int]:
    return (
        window.absolute_upper_left_x,
        window.absolute_upper_left_y,
        window.width,
        window.height,
    )


async def test_a_window_changes_as_told(terminal: Terminal) -> None:
    """Each change is done when the call returns."""
    computer, window = terminal.session.computer, terminal.window.window_id
    normal = _box(terminal.window)

    (await computer.maximize_window(window)).unwrap()
    assert (await box(terminal))[2] == 1280
    (await computer.restore_window(window)).unwrap()
    (await computer.minimize_window(window)).unwrap()
    assert not (await computer.get_active_window()).success
    (await computer.restore_window(window)).unwrap()
    await until(lambda: _is(terminal, normal))
    (await computer.fullscreen_window(window)).unwrap()
    await until(lambda: _is(terminal, (0, 0, 1280, 800)))
    (await computer.resize_window(window, 600, 300)).unwrap()
    across, down = (await box(terminal))[2:]
    # in whole characters
    assert abs(across - 600) < 20
    assert abs(down - 300) < 20
    (await computer.close_window(window)).unwrap()
    assert (await computer.list_root_windows()).unwrap() == []


async def _is(terminal: Terminal, expected: tuple[int, int, int, int]) -> bool:
    return await box(terminal) == expected


async def test_windows_are_listed_the_uppermost_first(terminal: Terminal) -> None:
    """With title, process and place; the one that is activated has the focus."""
    computer = terminal.session.computer
    first = terminal.window
    assert (first.title, first.pname) == ("recorder", "xterm")
    assert first.absolute_upper_left_x + first.width <= 1280
    (await computer.start_app("xterm -T second")).unwrap()

    async def second_is_active() -> bool:
        active = await computer.get_active_window()
        return active.success and active.unwrap().title == "second"

    await until(second_is_active)
    listed = (await computer.list_root_windows()).unwrap()
    assert [window.title for window in listed] == ["second", "recorder"]
    (await computer.activate_window(first.window_id)).unwrap()
    listed = (await computer.list_root_windows()).unwrap()
    assert [window.title for window in listed] == ["recorder", "second"]
    visible = (await computer.list_visible_apps()).unwrap()
    assert {app.pid for app in visible} == {window.pid for window in listed}


async def test_a_window_that_is_not_there_is_an_error(terminal: Terminal) -> None:
    """Also the root window, which belongs to nobody."""
    result = await terminal.session.computer.close_window(99)
    assert "window_id 99 is not the id of a window" in result.error_message


async def test_in_focus_mode_a_new_window_does_not_take_the_focus(terminal: Terminal) -> None:
    """Afterwards it does again."""
    computer = terminal.session.computer
    (await computer.focus_mode(True)).unwrap()
    (await computer.start_app("xterm -T second")).unwrap()

    async def two_windows() -> bool:
        return len((await computer.list_root_windows()).unwrap()) == 2

    await until(two_windows)
    assert (await computer.get_active_window()).unwrap().title == "recorder"
    (await computer.input_text("here")).unwrap()
    await terminal.records("here")

    (await computer.focus_mode(False)).unwrap()
    (await computer.start_app("xterm -T third")).unwrap()

    async def third_is_active() -> bool:
        # None is, for a moment, while the focus goes from one window to the other.
        active = await computer.get_active_window()
        return active.success and active.unwrap().title == "third"

    await until(third_is_active)


async def test_apps_are_started_and_stopped(session: AsyncSession) -> None:
    """By id, by name and by command."""
    computer = session.computer
    for stop in ("pid", "pname", "cmd"):
        (app,) = (await computer.start_app("xterm -T 'one two'", work_directory="/tmp")).unwrap()
        assert (app.pname, app.cmdline) == ("xterm", "xterm -T one two")
        if stop == "pid":
            (await computer.stop_app_by_pid(app.pid)).unwrap()
        elif stop == "pname":
            (await computer.stop_app_by_pname("xterm")).unwrap()
        else:
            (await computer.stop_app_by_cmd(f"kill {app.pid}")).unwrap()
        await until(lambda pid=app.pid: _has_ended(session, pid))
    assert (
        "no process has the name xterm" in (await computer.stop_app_by_pname("xterm")).error_message
    )
    assert "no process has the pid 4000" in (await computer.stop_app_by_pid(4000)).error_message


async def _has_ended(session: AsyncSession, pid: int) -> bool:
    return not (await session.command.run(f"test -d /proc/{pid}")).success


async def test_an_app_that_cannot_start_says_why(session: AsyncSession) -> None:
    """The program is missing, or the line is not one."""
    computer = session.computer
    missing = await computer.start_app("no-such-program --now")
    assert "no-such-program cannot be started" in missing.error_message
    assert "quoted as for a shell" in (await computer.start_app("xterm 'a")).error_message
    assert "'false' exited with 1" in (await computer.stop_app_by_cmd("false")).error_message


async def test_installed_apps_come_from_their_descriptions(session: AsyncSession) -> None:
    """Of the start menu and the desktop; settings and hidden ones only if they are wanted."""
    menu = "/home/wuying/.local/share/applications"
    files = {
        f"{menu}/draw.desktop": 'Name=Draw\nExec=xterm -T "my draw" %F\nPath=/tmp',
        f"{menu}/set.desktop": "Name=Settings of mine\nExec=xterm\nCategories=Settings;",
        f"{menu}/hidden.desktop": "Name=Hidden\nExec=xterm\nNoDisplay=true",
        f"{menu}/text.desktop": "Name=Text\nExec=less\nTerminal=true",
        f"{menu}/broken.desktop": "Name=Broken",
        "/home/wuying/Desktop/note.desktop": "Name=Note\nExec=xterm",
    }
    for path, lines in files.items():
        content = f"[Desktop Entry]\nType=Application\n{lines}\n"
        (await session.file_system.write_file(path, content)).unwrap()

    async def names(*options: bool) -> set[str]:
        found = (await session.computer.get_installed_apps(*options)).unwrap()
        return {app.name for app in found}

    mine = {"Draw", "Text", "Settings of mine", "Hidden", "Broken", "Note"}
    assert await names() & mine == {"Draw", "Text"}
    assert await names(True, True, False) & mine == {"Draw", "Text", "Settings of mine", "Note"}
    assert await names(False, True) == {"Note"}
    apps = {app.name: app for app in (await session.computer.get_installed_apps()).unwrap()}
    draw = apps["Draw"]
    assert (draw.start_cmd, draw.work_directory) == ("xterm -T 'my draw'", "/tmp")
    assert apps["Text"].start_cmd == "xterm -e less"
    (await session.computer.start_app(draw.start_cmd)).unwrap()
    (await session.computer.stop_app_by_cmd(draw.stop_cmd)).unwrap()


async def test_a_shell_finds_the_display(session: AsyncSession) -> None:
    """Once a tool has used it."""
    (await session.computer.get_screen_size()).unwrap()
    (await session.command.run("xterm -T 'from a shell' >/dev/null 2>&1 &")).unwrap()

    async def is_there() -> bool:
        listed = (await session.computer.list_root_windows()).unwrap()
        return [window.title for window in listed] == ["from a shell"]

    await until(is_there)


async def test_a_terminal_can_be_opened_again(session: AsyncSession) -> None:
    """Nothing of the first one is in the way."""
    first = await open_terminal(session)
    (await session.computer.close_window(first.window.window_id)).unwrap()
    second = await open_terminal(session)
    (await session.computer.input_text("x")).unwrap()
    await second.records("x")
