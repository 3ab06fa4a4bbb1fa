"""Limits of the browser toolset, and mistakes of a model and of a program, which are told."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.tools import ToolError, ToolsetConfigError
from anthropic.tools.browser import BetaLocalFilePolicy
from anthropic.types.beta import BetaBrowserScreenshotInput
from tests.browser.conftest import ORIGIN, serve
from tests.desktop.conftest import until
from tests.integrations.anthropic.conftest import TOOLSETS
from tests.integrations.anthropic.script import Caller, target
from tests.integrations.anthropic.site import SITE

from agentbay_async import CreateSessionParams
from agentbay_integrations.anthropic import (
    AgentBayBrowserToolset,
    _connected,
    _driver,
    _requirements,
)
from agentbay_integrations.anthropic._browser_sessions import AsyncBrowserSession

if TYPE_CHECKING:
    from tests.integrations.anthropic.conftest import Open

    from agentbay_async import AsyncSession
    from agentbay_local import LocalService


async def test_a_page_that_does_not_answer_is_an_error(
    web_session: AsyncSession, open_toolset: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toolset can be used on."""
    monkeypatch.setattr(_driver, "_LIMIT", 1.0)
    configs = {"javascript_exec": {"enabled": True}}
    async with open_toolset("browser", web_session.session_id, configs=configs) as call:
        answer = await call("javascript_exec", text="new Promise(() => {})")
        assert answer.failed
        assert answer.text == "the page did not answer within 1 seconds"
        assert (await call("javascript_exec", text="6 * 7")).text == "42"


async def test_texts_are_bounded(web_session: AsyncSession, open_toolset: Open) -> None:
    """The model is told that there is more, and how to see it."""
    await serve(web_session, SITE)
    async with open_toolset("browser", web_session.session_id) as call:
        await call("navigate", url=f"{ORIGIN}/long.html")
        text = (await call("get_page_text")).text
        assert len(text) == 50_000
        assert text.startswith("News")
        assert text.endswith("the rest is left out]")
        tree = (await call("read_page", filter="all")).text
        assert len(tree) <= 50_000
        assert "with a smaller depth]" in tree
        assert len((await call("find", query="entry")).text.splitlines()) == 20


async def test_mistakes_of_the_model_are_told(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """Each says what to do instead."""
    await serve(web_session, SITE)
    async with open_toolset("browser", web_session.session_id) as call:
        await call("navigate", url=f"{ORIGIN}/form.html")
        await call("read_page")
        far = {"type": "coordinate", "x": 5000, "y": 5}
        corner = {"type": "coordinate", "x": 5, "y": 5}
        for problem, name, values in (
            ("not in the viewport", "left_click", {"target": far}),
            ("region must be", "zoom", {"region": [0, 0, 5000, 10]}),
            ("not a reference", "scroll_to", {"target": {"type": "ref", "ref": "e7"}}),
            ("read_page or find again", "read_page", {"ref": "ref_99_1"}),
            ("read_page or find again", "read_page", {"ref": "ref_2_999"}),
            (
                "from 1 to 10",
                "scroll",
                {"target": corner, "scroll_direction": "up", "scroll_amount": 0},
            ),
            ("from 0 to 30", "wait", {"duration": 31}),
            ("from 1 to 100", "key", {"text": "a", "repeat": 0}),
            ("must name a key", "key", {"text": ""}),
            ("Unknown key", "key", {"text": "qwertz"}),
            ("ERR_CONNECTION_REFUSED", "navigate", {"url": "http://127.0.0.1:8001/"}),
        ):
            answer = await call(name, **values)
            assert answer.failed, name
            assert problem in answer.text
        [tab] = (await call("list_tabs")).state["tabs"]
        await call("close_tab", tab_id=tab["tab_id"])
        assert "use new_tab" in (await call("screenshot")).text
        assert not (await call("new_tab")).failed


async def test_a_reference_does_not_outlive_its_page(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """The same page has others when it is shown again; what went away is named."""
    await serve(web_session, SITE)
    async with open_toolset("browser", web_session.session_id) as call:
        await call("navigate", url=f"{ORIGIN}/leave.html")
        old = target(await call("read_page"), "Hide me")
        assert not (await call("left_click", target=old)).failed
        assert "is not visible" in (await call("left_click", target=old)).text
        # The page asks whether to leave; the model has said so.
        assert (await call("navigate", url=f"{ORIGIN}/form.html")).active["title"] == "Form"
        assert 'heading "A form"' in (await call("read_page")).text
        for _ in range(2):
            assert "read_page or find again" in (await call("left_click", target=old)).text
            await call("navigate", url="back")
        await call("navigate", url=f"{ORIGIN}/leave.html")
        new = target(await call("read_page"), "Hide me")
        assert new != old
        assert not (await call("left_click", target=new)).failed


async def test_elements_in_the_frame_of_another_site_are_reached(
    web_session: AsyncSession, open_toolset: Open
) -> None:
    """The frame is out of view, and its elements are out of view in it."""
    await serve(web_session, SITE)
    async with open_toolset("browser", web_session.session_id) as call:
        await call("navigate", url=f"{ORIGIN}/outer.html")
        tree = await call("read_page", filter="all")
        for name in ("Field", "Agree"):
            value = "text" if name == "Field" else True
            filled = await call("form_input", target=target(tree, name), value=value)
            assert not filled.failed, filled.text
        assert not (await call("left_click", target=target(tree, "Deep"))).failed
        seen = (await call("read_page")).text
        assert re.search(r'^  button "Done"', seen, re.MULTILINE)
        assert re.search(r'^  textbox "Field" .* value="text"$', seen, re.MULTILINE)
        assert re.search(r'^  checkbox "Agree" \[\w+\] checked$', seen, re.MULTILINE)


async def test_the_number_of_tabs_is_limited(
    web_session: AsyncSession, open_toolset: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API takes a hundred; of more, those that a page opens, the active one is reported."""
    monkeypatch.setattr(_connected, "MOST_TABS", 2)
    await serve(web_session, SITE)
    async with open_toolset("browser", web_session.session_id) as call:
        await call("new_tab")
        assert "close some of them" in (await call("new_tab")).text
        await call("navigate", url=f"{ORIGIN}/noise.html")
        button = target(await call("read_page"), "Open")
        await call("left_click", target=button)
        await call("left_click", target=button)
        await call("close_tab", tab_id="tab_1")

        async def is_full() -> bool:
            return len((await call("list_tabs")).state["tabs"]) == 2

        await until(is_full)
        assert (await call("list_tabs")).active["title"] == "Noise"


async def test_an_address_that_cannot_be_reached_is_kept_secret(
    web_session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is enough to drive the browser."""

    async def address(_: object) -> str:
        return "ws://127.0.0.1:9/hidden-in-the-address"

    monkeypatch.setattr(AsyncBrowserSession, "endpoint_url", address)
    async with AgentBayBrowserToolset(session=web_session) as toolset:
        with pytest.raises(ToolError) as caught:
            await toolset.execute(None, "screenshot", BetaBrowserScreenshotInput())
    assert "cannot be reached" in str(caught.value)
    assert "hidden" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("make", TOOLSETS.values())
def test_a_missing_package_is_named_with_its_extra(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a session is made."""
    monkeypatch.setattr(_requirements, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"pip install 'agentbay-async\[anthropic\]'"):
        make(confirm=lambda _: True)


def test_a_file_policy_for_files_of_this_machine_is_refused() -> None:
    """It would look for them here."""
    with pytest.raises(ToolsetConfigError, match="SessionFilePolicy"):
        AgentBayBrowserToolset(file_policy=BetaLocalFilePolicy(upload_roots=["/tmp"]))


async def test_a_session_without_a_browser_is_told(service: LocalService) -> None:
    """The error is that of the session."""
    params = CreateSessionParams(image_id="code_latest")
    async with AgentBayBrowserToolset(params=params) as toolset:
        answer = await Caller(toolset)("screenshot")
        assert answer.failed
        assert "browser" in answer.text
