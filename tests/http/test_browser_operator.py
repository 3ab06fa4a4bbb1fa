"""The operator of a session's browser: act on, look at and read pages, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ActOptions,
    ArgumentTypeError,
    BrowserError,
    BrowserFingerprint,
    BrowserOption,
    BrowserProxy,
    BrowserScreen,
    BrowserViewport,
    ExtractOptions,
    InvalidArgumentError,
    ObserveOptions,
    ObserveResult,
    UsageError,
)

from .scripted import tool_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import InstantClock
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession


class Page:
    """A model as pydantic makes them."""

    def __init__(self, title: str) -> None:
        self.title = title

    @classmethod
    def model_json_schema(cls) -> dict[str, str]:
        """Return the schema."""
        return {"type": "object"}

    @classmethod
    def model_validate(cls, value: dict[str, Any]) -> Page:
        """Check a value."""
        if "title" not in value:
            raise ValueError("title is missing")
        return cls(value["title"])


def _calls(scripted: Script) -> list[tuple[str, Any]]:
    return [(form["Name"], json.loads(form["Args"])) for form in scripted.forms("CallMcpTool")]


async def _started(session: AsyncSession, scripted: Script, *answers: str) -> None:
    scripted.ok("InitBrowser", {"Port": 9222})
    (await session.browser.initialize()).unwrap()
    for answer in answers:
        scripted.ok("CallMcpTool", tool_answer(answer))


async def test_an_action_is_started_and_polled_to_its_end(
    session: AsyncSession, scripted: Script, clock: InstantClock
) -> None:
    """An empty answer, and one that is not done, are asked for again."""
    running, done = '{"is_done": false}', '{"is_done": true, "success": true, "steps": ["a"]}'
    await _started(session, scripted, '{"task_id": "t-1"}', "", running, done)
    result = await session.browser.operator.act(ActOptions("click", {"name": "n"}))
    assert result
    assert result.message == '["a"]'
    first, *polls = _calls(scripted)
    assert first == (
        "page_use_act_async",
        {"context_id": 0, "action": "click", "variables": {"name": "n"}},
    )
    assert polls == [("page_use_get_act_result", {"task_id": "t-1"})] * 3


async def test_what_was_observed_can_be_acted_on(
    session: AsyncSession, scripted: Script, clock: InstantClock
) -> None:
    """Arguments are JSON in a text; what is none stays a text."""
    found = [
        {"selector": "#a", "description": "d", "method": "click", "arguments": '{"x": 1}'},
        {"method": "fill", "arguments": "[oops"},
    ]
    done = '{"is_done": true, "success": false}'
    answers = '{"task_id": "t-1"}', json.dumps(found), '{"task_id": "t-2"}', done
    await _started(session, scripted, *answers)
    operator = session.browser.operator
    success, (first, second) = await operator.observe(ObserveOptions("the button"))
    assert (success, first) == (True, ObserveResult("#a", "d", "click", {"x": 1}))
    assert second.arguments == "[oops"
    assert not await operator.act(first)
    assert _calls(scripted)[2] == (
        "page_use_act_async",
        {"context_id": 0, "action": '{"method": "click", "arguments": {"x": 1}}'},
    )


async def test_a_page_is_read_into_a_model(
    session: AsyncSession, scripted: Script, clock: InstantClock
) -> None:
    """The answer is validated by the model; one that does not fit is an error."""
    answers = '{"task_id": "t-1"}', '{"title": "t"}', '{"task_id": "t-2"}', '{"name": "t"}'
    await _started(session, scripted, *answers)
    options = ExtractOptions("the title", Page)
    success, page = await session.browser.operator.extract(options)
    assert (success, page.title) == (True, "t")
    assert _calls(scripted)[0] == (
        "page_use_extract_async",
        {
            "context_id": 0,
            "instruction": "the title",
            "field_schema": 'schema: {"type": "object"}',
            "max_page": 1,
        },
    )
    with pytest.raises(BrowserError, match="title is missing"):
        await session.browser.operator.extract(options)


async def test_a_task_without_a_result_ends_with_the_last_reason(
    session: AsyncSession, scripted: Script, clock: InstantClock
) -> None:
    """The time limit is the one of the options."""
    await _started(session, scripted, '{"task_id": "t-1"}')
    scripted.ok("CallMcpTool", tool_answer("busy", error=True))
    with pytest.raises(BrowserError, match=r"within 5 s.*busy"):
        await session.browser.operator.observe(ObserveOptions("x", timeout=5))


async def test_simple_calls_return_the_text_of_the_tool(
    session: AsyncSession, scripted: Script
) -> None:
    """What is not given is not sent."""
    await _started(session, scripted, "opened", "data:image/jpeg;base64,", "in", "closed")
    operator = session.browser.operator
    assert await operator.navigate("https://e") == "opened"
    assert await operator.screenshot() == "data:image/jpeg;base64,"
    assert (await operator.login('{"skill_id": "s"}')).message == "in"
    assert await operator.close()
    assert _calls(scripted) == [
        ("page_use_navigate", {"url": "https://e"}),
        ("page_use_screenshot", {"context_id": 0, "full_page": True, "quality": 80}),
        (
            "page_use_login",
            {"login_config": '{"skill_id": "s"}', "context_id": 0, "use_vision": False},
        ),
        ("page_use_close_session", {}),
    ]


async def test_a_failed_tool_is_an_error_of_the_browser(
    session: AsyncSession, scripted: Script
) -> None:
    """A failed login or close is told by its result instead."""
    await _started(session, scripted)
    scripted.ok("CallMcpTool", tool_answer("no such page", error=True))
    operator = session.browser.operator
    with pytest.raises(BrowserError, match="navigate: no such page"):
        await operator.navigate("https://e")
    assert not await operator.login("{}")
    assert await operator.close() is False


async def test_the_operator_needs_a_running_browser(
    session: AsyncSession, scripted: Script
) -> None:
    """Nothing is sent without one."""
    assert not session.browser.is_initialized()
    with pytest.raises(BrowserError, match="initialize"):
        await session.browser.operator.act(ActOptions("click"))
    assert not _calls(scripted)


async def test_the_old_name_of_the_operator_warns(session: AsyncSession) -> None:
    """It is the same operator."""
    with pytest.warns(DeprecationWarning, match=r"browser\.operator"):
        assert type(session.browser.agent) is type(session.browser.operator)


_NO_MAPPING: Any = []
_WRONG: list[tuple[Callable[[], object], type[UsageError]]] = [
    (lambda: ActOptions(""), InvalidArgumentError),
    (lambda: ActOptions("a", variables=_NO_MAPPING), ArgumentTypeError),
    (lambda: ActOptions("a", timeout=0), InvalidArgumentError),
    (lambda: ObserveOptions("a", selector=" "), InvalidArgumentError),
    (lambda: ExtractOptions("a", dict), ArgumentTypeError),
    (lambda: BrowserOption(proxies=[BrowserProxy("custom", "p:1")] * 2), InvalidArgumentError),
    (lambda: BrowserProxy("managed", strategy="matched", user_id="u"), InvalidArgumentError),
]


@pytest.mark.parametrize(("make", "kind"), _WRONG)
def test_wrong_options_are_refused(make: Callable[[], object], kind: type[UsageError]) -> None:
    """Before anything is sent."""
    with pytest.raises(kind):
        make()


def test_options_are_taken_by_position() -> None:
    """In the order of the official client; sizes have names."""
    fingerprint = BrowserFingerprint(["desktop"])
    option = BrowserOption(True, "me", BrowserViewport(1280), BrowserScreen(), fingerprint)
    sent = option.to_wire()
    assert sent["viewport"] == {"width": 1280, "height": 1080}
    assert sent["screen"] == {"width": 1920, "height": 1080}
    proxies = BrowserOption(proxies=[BrowserProxy("custom", "p:1", "u", "s3cret")])
    assert proxies.to_wire()["proxies"][0]["password"] == "s3cret"
    assert "s3cret" not in repr(proxies)
