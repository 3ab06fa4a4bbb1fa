"""The toolsets of the package `anthropic` drive a session: scripted calls of every member."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
from PIL import Image
from tests.browser.conftest import ORIGIN, serve
from tests.desktop.conftest import until
from tests.integrations.anthropic.script import answers_of, ref, runner, scripted, target
from tests.integrations.anthropic.site import SITE

from agentbay import AgentBay
from agentbay_integrations.anthropic import BlockingAgentBayComputerToolset, SessionFilePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.desktop.conftest import Terminal
    from tests.integrations.anthropic.conftest import Open
    from tests.integrations.anthropic.script import Answer, Caller

    from agentbay_async import AsyncSession
    from agentbay_local import LocalService

#: Members that the framework leaves off until they are enabled.
OFF_BY_DEFAULT = ("javascript_exec", "file_upload", "read_console", "read_network")


async def test_every_member_of_the_computer_toolset_reaches_the_desktop(
    terminal: Terminal, open_toolset: Open
) -> None:
    """What arrives is what was asked for."""
    at, got = list(terminal.at(10, 5)), ""

    def press(code: int) -> str:
        return f"\x1b[<{code};10;5M\x1b[<{code};10;5m"

    async with open_toolset("computer", terminal.session.session_id) as call:

        async def arrives(text: str, name: str, /, **values: Any) -> None:
            nonlocal got
            got += text
            assert not (await call(name, **values)).failed
            # One by one: a window manager takes part in clicks that follow each other at once.
            await terminal.records(got)

        assert (await call("screenshot")).size == (1280, 800)
        await arrives(press(0), "left_click", coordinate=at)
        await arrives("Grüße 世界", "type", text="Grüße 世界")
        await arrives("\r", "key", text="Return")
        await arrives("\x01\x01", "key", text="ctrl+a", repeat=2)
        await arrives("", "mouse_move", coordinate=at)
        assert (await call("cursor_position")).text == f"X={at[0]},Y={at[1]}"
        await arrives(press(2), "right_click")
        await arrives(press(0) * 2, "double_click", coordinate=at)
        wheel = {"scroll_direction": "down", "scroll_amount": 1}
        await arrives("\x1b[<65;10;5M", "scroll", coordinate=at, **wheel)
        await arrives(press(0) * 3, "triple_click", coordinate=at)
        await arrives(press(1), "middle_click")
        await arrives(press(0), "left_click_drag", start_coordinate=at, coordinate=at)
        await arrives("\x1b[A", "hold_key", text="Up", duration=0)
        await arrives("", "wait", duration=0)
        failed = await call("left_click", coordinate=[5000, 5], text="ctrl")
        assert failed.failed
        assert "not on the screen" in failed.text
        # After the click that failed, ctrl is released: an x arrives.
        await arrives("x", "type", text="x")


async def test_zoom_shows_a_region_of_the_desktop_larger(
    terminal: Terminal, open_toolset: Open
) -> None:
    """It fills the size of a screenshot; what is in the region stays where it is in it."""
    x, y = terminal.at(1, 1)
    left, top = x - 32, y - 20
    async with open_toolset("computer", terminal.session.session_id) as call:
        whole = await call("screenshot")
        part = await call("zoom", region=[left, top, left + 64, top + 40])
        wrong = await call("zoom", region=[0, 0, 5000, 10])
    assert part.size == whole.size == (1280, 800)
    with Image.open(io.BytesIO(whole.image)) as one, Image.open(io.BytesIO(part.image)) as other:
        # Within the terminal, and beside it.
        for across, down in ((60, 38), (4, 4)):
            seen = other.getpixel((across * 20, down * 20))
            assert seen == one.getpixel((left + across, top + down))
        assert other.getpixel((60 * 20, 38 * 20)) != other.getpixel((4 * 20, 4 * 20))
    assert wrong.failed
    assert "within the screen of 1280 by 800" in wrong.text


async def test_the_model_learns_why_a_button_cannot_be_held_down(
    session: AsyncSession, open_toolset: Open
) -> None:
    """The two members are not offered; a call of one says what to use."""
    async with open_toolset("computer", session.session_id) as call:
        off = [name for name, it in call.toolset.configs.items() if it == {"enabled": False}]
        assert off == ["left_mouse_down", "left_mouse_up"]
        for name in off:
            answer = await call(name)
            assert answer.failed
            assert "Use left_click_drag" in answer.text


def test_a_blocking_toolset_owns_its_session(service: LocalService) -> None:
    """The loop of the framework: one session for the first member, none after it is closed."""
    turns = [[("mouse_move", {"coordinate": [30, 40]}), ("cursor_position", {})]]
    turns += [[("wait", {"duration": 0}), ("left_click", {"coordinate": [5000, 5]})]]
    requests: list[Any] = []
    bay = AgentBay()
    client = scripted(turns, requests, kind=anthropic.Anthropic, http=httpx2.Client)
    made = BlockingAgentBayComputerToolset(bay=bay, run="r-1", confirm=lambda _: True)
    with bay, client, made as toolset:
        runner(client, toolset).until_done()
        assert len(list(bay.list({"framework": "anthropic", "run": "r-1"}))) == 1
    assert not service.living()
    answers = answers_of(turns, requests)
    assert "X=30,Y=40" in json.dumps(answers[1])
    assert [bool(one.get("is_error")) for one in answers] == [False, False, False, True]


async def test_every_input_of_the_browser_toolset_reaches_the_page(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """What the page gets is what was asked for."""
    await serve(web_session, SITE)
    at = {"type": "coordinate", "x": 200, "y": 150}
    side = {"type": "coordinate", "x": 20, "y": 20}
    async with open_toolset("browser", web_session.session_id) as call:
        opened = await call("navigate", url=f"{ORIGIN}/pad.html")
        assert opened.text == f"Navigated to {ORIGIN}/pad.html — Pad (HTTP 200)"
        pad = {"type": "ref", "ref": ref(await call("find", query="the pad"), "Pad of events")}

        await call("hover", target=pad)
        await logs(call, "enter")
        await call("left_click", target=at)
        await call("left_click", target=pad, modifiers="ctrl+shift")
        click = "mousedown(200,150), mouseup(200,150)"
        held = "ctrl+Control, ctrl+shift+Shift"
        up = "up Shift, up Control"
        await logs(call, click, "click1", held, click, "ctrl+shift+click1", up)
        await call("right_click", target=pad)
        await call("middle_click", target=at)
        right = "mousedown(200,150), contextmenu0, mouseup(200,150), auxclick1"
        await logs(call, right, click, "auxclick1")
        await call("double_click", target=pad)
        await logs(call, click, "click1", click, "click2", "dblclick2")
        await call("triple_click", target=at)
        twice = (click, "click1", click, "click2", "dblclick2")
        await logs(call, *twice, click, "click3")

        await call("mouse_move", target=side)
        await call("left_click_drag", **{"from": at, "target": side})
        await call("left_mouse_down", target=at)
        await call("left_mouse_up", target=side)
        drag = "enter, mousedown(200,150), mouseup(20,20)"
        await logs(call, drag, drag)

        await call("key", text="ctrl+b Return", repeat=2)
        keys = "ctrl+Control, ctrl+b, up b, up Control, Enter, click0, up Enter"
        await logs(call, keys, keys)
        await call("hold_key", text="Page_Down", duration=0)
        await call("type", text="é1")
        # A keyboard of the US has no é: it comes as text.
        await logs(call, "PageDown, up PageDown, 1, up 1")
        await call("scroll", target=side, scroll_direction="down", scroll_amount=2)
        await logs(call, "wheel(0,200)")
        await call("scroll", target=side, scroll_direction="left")
        await logs(call, "wheel(-300,0)")
        await call("wait", duration=0.01)

        far = ref(await call("read_page", filter="all"), "Far away")
        assert "Far away" not in (await call("read_page")).text
        await call("scroll_to", target={"type": "ref", "ref": far})
        assert "Far away" in (await call("read_page")).text


async def test_every_reading_of_the_browser_toolset_shows_the_page(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """Pictures, trees, text, what is found, the console, requests, and values of scripts."""
    await serve(web_session, SITE)
    enabled = {name: {"enabled": True} for name in OFF_BY_DEFAULT}
    async with open_toolset("browser", web_session.session_id, configs=enabled) as call:
        await call("navigate", url=f"{ORIGIN}/form.html")
        assert (await call("screenshot")).size == (1280, 720)
        assert (await call("zoom", region=[0, 0, 64, 72])).size == (640, 720)

        tree = (await call("read_page")).text
        assert re.search(r'^heading "A form" \[ref_\d+_\d+\] level=1$', tree, re.MULTILINE)
        assert re.search(r'^iframe "Inside" .*\n  button "Inner button"', tree, re.MULTILINE)
        assert "s3cret" not in tree
        assert "Below" not in tree
        lines = (await call("read_page", filter="interactive")).text.splitlines()
        assert lines[0].startswith('link "To the pad"')
        assert not [line for line in lines if line.startswith(("heading", "text "))]
        navigation = re.search(r"navigation \[(ref_\d+_\d+)\]", tree)
        assert navigation is not None
        part = await call("read_page", ref=navigation[1], depth=0)
        assert part.text == f"navigation [{navigation[1]}]"

        found = (await call("find", query="the name field")).text.splitlines()
        assert found[0].startswith('textbox "Name"')
        assert "has these words" in (await call("find", query="qwertz")).text
        assert "A form" in (await call("get_page_text")).text

        await call("navigate", url=f"{ORIGIN}/noise.html")
        assert await reads(call, "read_console", "log: hello console")
        assert await reads(call, "read_network", rf"404 \S+ \d+ ms GET {ORIGIN}/missing.json")
        assert (await call("read_network")).text == "(empty)"
        script = "const it = await Promise.resolve(document.title); ({it})"
        assert (await call("javascript_exec", text=script)).text == '{"it":"Noise"}'
        assert (await call("javascript_exec", text="document.body")).text == "body"
        assert (await call("javascript_exec", text="undefined")).text == "undefined"
        failed = await call("javascript_exec", text="throw new Error('no')")
        assert failed.failed
        assert "Error: no" in failed.text


async def test_forms_are_filled_and_files_uploaded(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """Each element gets what it takes; files are those of the session."""
    await serve(web_session, SITE)
    (await web_session.file_system.write_file("/tmp/up/a.txt", "text of a")).unwrap()
    options: dict[str, Any] = {
        "configs": {name: {"enabled": True} for name in OFF_BY_DEFAULT},
        "file_policy": SessionFilePolicy(upload_roots=["/tmp/up"]),
    }
    async with open_toolset("browser", web_session.session_id, **options) as call:
        await call("navigate", url=f"{ORIGIN}/form.html")
        tree = await call("read_page")

        async def fill(name: str, value: object) -> Answer:
            return await call("form_input", target=target(tree, name), value=value)

        values = {"Name": "Ada", "I agree": True, "Color": "blue", "Story": 7}
        for name, value in values.items():
            assert (await fill(name, value)).text.startswith("Set the value of ref_")
        got = "[person.value, agree.checked, color.value, story.value]"
        answer = await call("javascript_exec", text=got)
        assert json.loads(answer.text) == ["Ada", True, "b", "7"]
        assert "true or false" in (await fill("I agree", "maybe")).text
        assert "one of the options 'red', 'blue'" in (await fill("Color", "green")).text
        assert "use file_upload" in (await fill("A picture", "x")).text

        file = target(tree, "A picture")
        assert (await call("file_upload", target=file, paths=["/tmp/up/a.txt"])).text == "Uploaded."

        async def has_arrived() -> bool:
            return "a.txt=text of a" in (await call("get_page_text")).text

        await until(has_arrived)
        assert (await call("file_upload", target=file, paths=["/tmp/b"])).failed
        missing = await call("file_upload", target=file, paths=["/tmp/up/b.txt"])
        assert "/tmp/up/b.txt" in missing.text
        assert "no document_ids" in (await call("file_upload", target=file, paths=[])).text


async def test_a_tree_has_each_text_once(web_session: AsyncSession, open_toolset: Open) -> None:
    """In the name, if that is the whole text, or below; a frame is read whatever its role."""
    await serve(web_session, SITE)
    async with open_toolset("browser", web_session.session_id) as call:
        await call("navigate", url=f"{ORIGIN}/texts.html")
        tree = (await call("read_page", filter="all")).text
        for text in ("end of the link", "42 pieces", "for 5 coins", "short cell"):
            assert tree.count(text) == 1, tree
        for filter in ("all", "interactive"):
            tree = (await call("read_page", filter=filter)).text
            assert re.search(r'iframe \[\w+\]\n *button "In the frame"', tree), tree


async def test_every_option_can_be_chosen(web_session: AsyncSession, open_toolset: Open) -> None:
    """By its value or its text, however long; an error lists the first ones."""
    await serve(web_session, SITE)
    configs = {name: {"enabled": True} for name in OFF_BY_DEFAULT}
    async with open_toolset("browser", web_session.session_id, configs=configs) as call:
        await call("navigate", url=f"{ORIGIN}/choice.html")
        choice = target(await call("read_page"), "Choice")
        long = "long " * 40 + "end"
        for wanted, value in (("v55", "v55"), ("option 57", "v57"), (long, "last")):
            answer = await call("form_input", target=choice, value=wanted)
            assert not answer.failed, answer.text
            chosen = await call("javascript_exec", text="document.querySelector('select').value")
            assert chosen.text == f'"{value}"'
        refused = (await call("form_input", target=choice, value="none")).text
        assert "'option 49' and 11 more" in refused
        assert "option 50" not in refused


async def test_tabs_dialogs_and_downloads_are_reported(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """What a page opens, asks and saves is told with the next answer."""
    await serve(web_session, SITE)
    policy = SessionFilePolicy(expose_download_paths=True)
    async with open_toolset("browser", web_session.session_id, file_policy=policy) as call:
        await call("navigate", url=f"{ORIGIN}/form.html")
        await call("navigate", url=f"{ORIGIN}/noise.html")
        assert (await call("navigate", url="back")).active["title"] == "Form"
        assert (await call("navigate", url="forward")).active["title"] == "Noise"
        assert "HTTP 200" in (await call("navigate", url="reload")).text
        assert "no page to go forward to" in (await call("navigate", url="forward")).text

        tree = await call("read_page")
        changes: list[dict[str, Any]] = []

        async def click(name: str) -> Answer:
            answer = await call("left_click", target=target(tree, name))
            changes[:] = answer.changes
            return answer

        async def is_reported(kind: str) -> bool:
            changes.extend((await call("list_tabs")).changes)
            return kind in [change["type"] for change in changes]

        asked = (await click("Ask")).text
        page = (await call("get_page_text")).text
        assert 'A confirm dialog "Delete all?" was dismissed.' in asked + page
        assert "false" in page

        await click("Open")
        await until(lambda: is_reported("tab_opened"))
        first, second = (await call("list_tabs")).state["tabs"]
        assert first["active"]
        assert changes == [{"type": "tab_opened", "tab_id": second["tab_id"]}]
        assert (await call("switch_tab", tab_id=second["tab_id"])).active["title"] == "Form"
        assert "A form" in (await call("get_page_text")).text
        assert len((await call("close_tab", tab_id=second["tab_id"])).state["tabs"]) == 1
        assert (await call("new_tab")).active["url"] == "about:blank"
        assert "there is no tab" in (await call("screenshot", tab_id="tab_99")).text
        await call("switch_tab", tab_id=first["tab_id"])

        await click("Save")
        await until(lambda: is_reported("download_completed"))
        done = changes[-1]
        assert done["path"] == "/home/wuying/Downloads/got.txt"
        saved = await web_session.file_system.read_file(done["path"])
        assert saved.unwrap() == SITE["form.html"]


async def logs(call: Caller, *events: str) -> None:
    """Wait until the pad has got events since the last call, and compare."""
    expected = [*call.memory, *", ".join(events).split(", ")]

    async def has_all() -> bool:
        page = (await call("get_page_text")).text
        log = page.replace("pad", "", 1).replace("Far away", "", 1).strip()
        call.memory[:] = log.split(", ") if log else []
        return len(call.memory) >= len(expected)

    await until(has_all)
    assert call.memory == expected


async def reads(call: Caller, name: str, pattern: str) -> bool:
    """Wait until a log has a line; return whether."""

    async def has_line() -> bool:
        return re.search(pattern, (await call(name)).text, re.MULTILINE) is not None

    await until(has_line)
    return True


def test_the_programs_of_the_page_run(run_program: Callable[..., str]) -> None:
    """They need neither a key nor a model."""
    assert run_program("anthropic") == "The mouse is there\nsessions left: 0\n"
    assert run_program("anthropic", 2) == "The page says 42\nsessions left: 0\n"
