"""The display starts when it is used, survives what a session does to it, and is not there else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.desktop.conftest import until

from agentbay_async import AsyncAgentBay
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.desktop.conftest import Terminal

    from agentbay_async import AsyncSession


async def test_an_image_without_a_desktop_names_the_command_that_makes_one() -> None:
    """The plain images have none."""
    async with (
        LocalService() as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session() as session,
    ):
        result = await session.computer.click_mouse(1, 1)
        tools = {tool.name for tool in (await session.list_mcp_tools()).unwrap()}
    assert "which has no desktop: run `agentbay image build linux_latest`" in result.error_message
    assert "click_mouse" not in tools


def test_a_service_without_desktops_imports_nothing_of_them(
    run_child: Callable[..., str],
) -> None:
    """Sessions start as quickly as before."""
    code = """
        import sys
        from agentbay import AgentBay
        with AgentBay(endpoint="local") as bay, bay.session() as session:
            assert session.command.run("true").success
        print([name for name in sys.modules if name.startswith("agentbay_local.tools.desktop")])
    """
    assert run_child(code) == "[]"


async def test_calls_at_once_start_one_display(session: AsyncSession) -> None:
    """The others wait for it."""
    results = await asyncio.gather(*(session.computer.get_screen_size() for _ in range(5)))
    assert all(result.success for result in results)
    counted = (await session.command.run("pgrep -c Xvfb; pgrep -c openbox")).stdout
    assert counted.split() == ["1", "1"]


async def test_a_killed_display_starts_again(terminal: Terminal) -> None:
    """Its windows are gone; the next call works."""
    session = terminal.session
    for program in ("Xvfb", "openbox"):
        (await session.command.run(f"pkill -KILL {program}")).unwrap()

        async def is_gone(name: str = program) -> bool:
            return not (await session.command.run(f"pgrep {name}")).success

        await until(is_gone)
        assert (await session.computer.get_screen_size()).success
    (await session.computer.start_app("xterm -T again")).unwrap()

    async def is_listed() -> bool:
        listed = (await session.computer.list_root_windows()).unwrap()
        return [window.title for window in listed] == ["again"]

    await until(is_listed)


async def test_a_killed_helper_starts_again(session: AsyncSession) -> None:
    """The program that carries out requests is a process of the session like any other."""
    (await session.computer.move_mouse(7, 8)).unwrap()
    (await session.command.run("pkill -KILL -f 'Carry out[ ]requests'")).unwrap()

    async def works() -> bool:
        return (await session.computer.get_cursor_position()).success

    await until(works)


async def test_a_helper_that_does_not_answer_is_replaced(session: AsyncSession) -> None:
    """A stopped one too; its answer is not taken for the next one."""
    (await session.computer.move_mouse(7, 8)).unwrap()
    (await session.command.run("pkill -STOP -f 'Carry out[ ]requests'")).unwrap()
    late = await session.computer.get_screen_size()
    assert "The desktop did not answer within 15 seconds" in late.error_message
    found = (await session.computer.get_cursor_position()).unwrap()
    assert (found.x, found.y) == (7, 8)


async def test_a_display_that_cannot_start_says_why(session: AsyncSession) -> None:
    """With what the server has written."""
    (await session.command.run("touch /tmp/.X11-unix")).unwrap()
    result = await session.computer.get_screen_size()
    assert "The display of this session does not start: " in result.error_message
    assert "for unix" in result.error_message
    (await session.command.run("rm /tmp/.X11-unix")).unwrap()
    assert (await session.computer.get_screen_size()).success


async def test_programs_of_the_session_do_not_replace_those_of_the_desktop(
    session: AsyncSession,
) -> None:
    """Its PATH and its variables are its own."""
    fakes = "for n in Xvfb openbox scrot python3 sh; do cp /bin/false ~/.local/bin/$n; done"
    (await session.command.run(f"mkdir -p ~/.local/bin; {fakes}")).unwrap()
    (await session.env.set({"PATH": "/home/wuying/.local/bin:/usr/bin", "DISPLAY": ":77"})).unwrap()
    assert (await session.computer.move_mouse(1, 1)).success
    assert (await session.computer.beta_take_screenshot()).success


async def test_a_huge_title_is_cut(session: AsyncSession) -> None:
    """However many characters a program gives its window, and whatever they are."""
    title = "<\u2028ж" * 20_000
    (await session.computer.start_app(f"xterm -T '{title}'")).unwrap()

    async def is_listed() -> bool:
        return bool((await session.computer.list_root_windows()).unwrap())

    await until(is_listed)
    (window,) = (await session.computer.list_root_windows()).unwrap()
    assert 100 < len(window.title) <= 2000


async def test_an_impostor_at_the_address_of_the_display_is_an_error(session: AsyncSession) -> None:
    """A program that answers nonsense; then the true one works again."""
    (await session.computer.get_screen_size()).unwrap()
    script = (
        "import os, socket\n"
        "os.rename('/tmp/.X11-unix/X0', '/tmp/true')\n"
        "s = socket.socket(socket.AF_UNIX); s.bind('/tmp/.X11-unix/X0'); s.listen()\n"
        "for _ in range(2):\n"
        "    c, _ = s.accept(); c.recv(100); c.sendall(b'\\x01' * 8192); c.close()\n"
        "os.rename('/tmp/true', '/tmp/.X11-unix/X0')\n"
    )
    await session.file_system.write_file("/tmp/impostor.py", script)
    (await session.command.run("python3 /tmp/impostor.py >/dev/null 2>&1 &")).unwrap()

    async def is_there() -> bool:
        return (await session.file_system.get_file_info("/tmp/true")).success

    await until(is_there)
    for _ in range(2):
        assert not (await session.computer.get_cursor_position()).success

    async def works() -> bool:
        return (await session.computer.get_cursor_position()).success

    await until(works)


async def test_a_paused_session_keeps_its_display(terminal: Terminal) -> None:
    """A call meanwhile says that it is paused."""
    session = terminal.session
    (await session.pause()).unwrap()
    assert not (await session.computer.move_mouse(1, 1)).success
    (await session.resume()).unwrap()
    (await session.computer.input_text("still here")).unwrap()
    await terminal.records("still here")


async def test_the_display_listens_on_no_port(session: AsyncSession) -> None:
    """Other sessions do not reach it, nor does the host."""
    (await session.computer.get_screen_size()).unwrap()
    table = (await session.command.run("cat /proc/net/tcp /proc/net/tcp6 | grep -c ' 0A '")).stdout
    assert table.strip() == "0"
    refused = await session.command.run("XAUTHORITY=/dev/null xdotool getmouselocation")
    assert not refused.success
