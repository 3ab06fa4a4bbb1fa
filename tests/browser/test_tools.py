"""The tools of browsers: without a model, and with one that a test plays."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel
from tests.browser.conftest import ORIGIN, Browsers

from agentbay_async import (
    ActOptions,
    AsyncAgentBay,
    BrowserError,
    CreateSessionParams,
    ExtractOptions,
    ObserveOptions,
    ToolError,
)
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_local.browser.model import BrowserTask
    from agentbay_local.images import Image


class Title(BaseModel):
    """What `extract` is asked for."""

    title: str


class Script:
    """A model that says what a test wants, and remembers what it was asked."""

    def __init__(self) -> None:
        self.tasks: list[BrowserTask] = []
        self.says: object = []

    def __call__(self, task: BrowserTask) -> object:
        """Answer a task."""
        self.tasks.append(task)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def model() -> Script:
    """Return the model of `browsers`."""
    return Script()


@pytest.fixture
async def browsers(browser_image: Image, model: Script) -> AsyncIterator[Browsers]:
    """Give a service with a model, and a client of it; there is no Playwright."""
    async with (
        LocalService(images=[browser_image], browser_model=model) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
    ):
        yield Browsers(service, bay, None)


async def test_a_page_is_opened_and_pictured(browsers: Browsers) -> None:
    """The whole page, what is visible of it, or a part."""
    session = await browsers.session()
    await browsers.serve_site(session)
    (await session.browser.initialize()).unwrap()
    operator = session.browser.operator
    assert await operator.navigate(f"{ORIGIN}/table.html") == f"Navigated to {ORIGIN}/table.html"
    pictures = [
        await operator.screenshot(),
        await operator.screenshot(full_page=False),
        await operator.screenshot(clip={"x": 0, "y": 0, "width": 50, "height": 20}),
    ]
    data = [base64.b64decode(one.partition("base64,")[2]) for one in pictures]
    assert [one[:4] for one in data] == [b"\x89PNG"] * 3
    assert (int.from_bytes(data[2][16:20]), int.from_bytes(data[2][20:24])) == (50, 20)
    assert await operator.close() is True
    assert (await session.browser.destroy()).unwrap() is True


async def test_what_cannot_be_opened_is_an_error_with_the_reason(browsers: Browsers) -> None:
    """The reason is that of the browser."""
    session = await browsers.session()
    (await session.browser.initialize()).unwrap()
    for url in ("http://127.0.0.1:9/", "no url", "http://not-there.example/"):
        with pytest.raises(BrowserError, match=r"net::ERR_|invalid URL"):
            await session.browser.operator.navigate(url)


async def test_a_model_acts_with_steps(browsers: Browsers, model: Script) -> None:
    """It sees the page, and its steps are done."""
    session = await browsers.session()
    await browsers.serve_site(session)
    (await session.browser.initialize()).unwrap()
    operator = session.browser.operator
    model.says = [
        {"navigate": f"{ORIGIN}/form.html"},
        {"fill": "#name", "text": "Ada"},
        {"press": "Enter"},
    ]
    options = ActOptions("say hello", variables={"name": "Ada"}, use_vision=True)
    done = await operator.act(options)
    assert (done.success, "Ada" in done.message) == (True, False)
    asked = model.tasks[0]
    assert (asked.kind, asked.instruction, asked.variables) == ("act", "say hello", {"name": "Ada"})
    assert base64.b64decode(asked.screenshot or "").startswith(b"\x89PNG")
    model.says = {"title": "Form"}
    assert await operator.extract(ExtractOptions("read it", schema=Title)) == (
        True,
        Title(title="Form"),
    )
    assert "Hello Ada" in model.tasks[1].text
    assert (model.tasks[1].schema or {})["properties"].keys() == {"title"}


async def test_a_model_observes_and_logs_in(browsers: Browsers, model: Script) -> None:
    """Elements come as it names them."""
    session = await browsers.session()
    (await session.browser.initialize()).unwrap()
    operator = session.browser.operator
    element = {"selector": "#a", "description": "field", "method": "fill", "arguments": {"n": 1}}
    model.says = [element]
    _, (found,) = await operator.observe(ObserveOptions("find it"))
    assert (found.selector, found.description, found.arguments) == ("#a", "field", {"n": 1})
    model.says = [{"navigate": "about:blank"}]
    assert (await operator.login('{"user": "ada"}')).success
    assert model.tasks[1].kind == "login"
    assert "ada" not in repr(model.tasks[1])


_WRONG = (
    ([{"click": "#none"}], "step 1, click: no element matches #none"),
    ([{"jump": "#a"}], "must have one of click, fill, press, navigate"),
    ([{"fill": 7}], "must have texts"),
    ("click it", "did not return a list"),
    ([{"press": "F13"}], "no key is called 'F13'"),
    (RuntimeError("no quota"), "the browser model failed: RuntimeError: no quota"),
)


async def test_a_model_that_is_wrong_is_an_error(browsers: Browsers, model: Script) -> None:
    """The error of the call says what is wrong."""
    session = await browsers.session()
    (await session.browser.initialize()).unwrap()
    for says, what in _WRONG:
        model.says = says
        done = await session.browser.operator.act(ActOptions("do it"))
        assert not done.success
        assert what in done.message


async def test_an_extract_that_fails_says_so_at_once(browsers: Browsers, model: Script) -> None:
    """The protocol has no result for it, and clients would wait for minutes."""
    session = await browsers.session()
    (await session.browser.initialize()).unwrap()
    model.says = RuntimeError("no quota")
    with pytest.raises(BrowserError, match="no quota"):
        await session.browser.operator.extract(ExtractOptions("read it", schema=Title))


async def test_without_a_model_words_are_refused_with_the_cure(browser_image: Image) -> None:
    """Before a browser is started for them."""
    async with (
        LocalService(images=[browser_image]) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
    ):
        params = CreateSessionParams(image_id="browser_latest")
        session = (await bay.create(params)).unwrap()
        for tool, words in (
            ("page_use_act_async", {"action": "x"}),
            ("page_use_observe", {"instruction": "x"}),
            ("page_use_extract_async", {"instruction": "x"}),
            ("page_use_login", {"login_config": "{}"}),
        ):
            answer = await session.call_mcp_tool(tool, words)
            assert isinstance(answer.error, ToolError), tool
            assert "LocalService(browser_model=...)" in str(answer.error)
        done = await session.command.execute_command("pgrep -c chromium")
        assert done.output.strip() == "0"


async def test_unknown_pages_and_tasks_are_errors(browsers: Browsers) -> None:
    """A page may be closed, and a task forgotten."""
    session = await browsers.session()
    for tool, words, what in (
        ("page_use_screenshot", {"page_id": "7"}, "has no page '7'"),
        ("page_use_get_act_result", {"task_id": "7"}, "there is no task '7'"),
        ("page_use_screenshot", {"clip": {"x": -1}}, "clip must have"),
        ("page_use_extract", {"instruction": "x", "field_schema": "["}, "field_schema must be"),
    ):
        answer = await session.call_mcp_tool(tool, words)
        assert what in str(answer.error)
