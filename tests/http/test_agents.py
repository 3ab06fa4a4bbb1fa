"""The browser and the agents of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import agentbay
from agentbay_async import (
    AgentTask,
    ArgumentTypeError,
    AsyncAgent,
    BadAnswerError,
    BrowserOption,
    BrowserProxy,
    ConnectionLostError,
    InvalidArgumentError,
    OperationTimeoutError,
    SessionError,
    ToolError,
)

from .scripted import tool_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import InstantClock
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession


def _calls(scripted: Script) -> list[tuple[str, Any]]:
    return [(form["Name"], json.loads(form["Args"])) for form in scripted.forms("CallMcpTool")]


def _answers(scripted: Script, *documents: object) -> None:
    for document in documents:
        scripted.ok("CallMcpTool", tool_answer(json.dumps(document)))


async def test_browser_starts_without_options(session: AsyncSession, scripted: Script) -> None:
    """With the defaults of the image."""
    scripted.ok("InitBrowser", {"Port": 9222})
    assert (await session.browser.initialize()).data is True
    (form,) = scripted.forms("InitBrowser")
    assert form["PersistentPath"] == "/tmp/agentbay_browser"
    assert json.loads(form["BrowserOption"]) == {
        "useStealth": False,
        "solveCaptchas": False,
        "autoLogin": False,
        "callForUser": False,
        "extensionPath": "/tmp/extensions/",
    }


def test_the_classes_of_agents_are_members_of_that_of_all(session: AsyncSession) -> None:
    """As the official client has them; the blocking ones are those of the blocking class."""
    agent = session.agent
    assert isinstance(agent.mobile, agent.Mobile)
    assert isinstance(agent.browser, AsyncAgent.Browser)
    assert isinstance(agent.computer, AsyncAgent.Computer)
    assert agentbay.Agent.Mobile is agentbay.MobileAgent


async def test_the_browser_tells_how_it_was_started(
    session: AsyncSession, scripted: Script
) -> None:
    """Its options and its port, until it is stopped."""
    scripted.ok("InitBrowser", {"Port": 9222})
    scripted.ok("CallMcpTool", tool_answer("done"))
    browser = session.browser
    assert (browser.get_option(), browser.endpoint_router_port) == (None, None)
    option = BrowserOption(use_stealth=True)
    assert await browser.initialize(option)
    assert (browser.get_option(), browser.endpoint_router_port) == (option, 9222)
    assert await browser.destroy()
    assert (browser.get_option(), browser.endpoint_router_port) == (None, None)


async def test_a_phone_may_run_a_task_at_once(session: AsyncSession, scripted: Script) -> None:
    """It then answers with the result, and there is nothing to wait for."""
    scripted.ok("CallMcpTool", tool_answer("The settings are open."))
    execution = await session.agent.mobile.execute_task("do it")
    assert (execution.task_id, execution.success, execution.error_message) == ("", True, "")
    assert (await execution.wait()).task_result == "The settings are open."
    assert len(scripted.requests) == 1


async def test_what_a_phone_says_meanwhile_is_in_its_state(
    session: AsyncSession, scripted: Script
) -> None:
    """As the agent sends it."""
    said = [{"content": "a", "timestamp_ms": 1}]
    _answers(scripted, {"status": "running", "stream": said}, {"status": "running", "stream": "?"})
    assert (await session.agent.mobile.get_task_status("t-1")).stream == said
    assert (await session.agent.mobile.get_task_status("t-1")).stream == []


async def test_browser_options_are_sent(session: AsyncSession, scripted: Script) -> None:
    """Every option has its name on the wire."""
    scripted.ok("InitBrowser", {"Port": 9222})
    proxy = BrowserProxy(proxy_type="custom", server="http://p:1", username="u", password="s3cret")
    option = BrowserOption(
        use_stealth=True,
        user_agent="ua",
        viewport=(10, 20),
        screen=(30, 40),
        proxy=proxy,
        cmd_args=["--x"],
        default_navigate_url="https://e",
        browser_type="chromium",
    )
    assert "s3cret" not in repr(option)
    (await session.browser.init(option)).unwrap()
    sent = json.loads(scripted.forms("InitBrowser")[0]["BrowserOption"])
    assert sent["proxies"] == [
        {"type": "custom", "server": "http://p:1", "username": "u", "password": "s3cret"}
    ]
    assert (sent["viewport"], sent["screen"]) == (
        {"width": 10, "height": 20},
        {"width": 30, "height": 40},
    )
    assert (sent["cmdArgs"], sent["userAgent"], sent["useStealth"]) == (["--x"], "ua", True)
    assert (sent["defaultNavigateUrl"], sent["browserType"]) == ("https://e", "chromium")


async def test_a_browser_that_did_not_start_is_a_failure(
    session: AsyncSession, scripted: Script
) -> None:
    """The answer has no port."""
    scripted.ok("InitBrowser", {})
    assert isinstance((await session.browser.initialize()).error, SessionError)


async def test_browser_navigates_and_stops(session: AsyncSession, scripted: Script) -> None:
    """The URL of its DevTools is a plain text, as clients of Playwright take it."""
    scripted.ok("GetCdpLink", {"Url": "wss://gateway/t0ken"})
    scripted.ok("CallMcpTool", tool_answer("done"))
    assert await session.browser.get_endpoint_url() == "wss://gateway/t0ken"
    assert (await session.browser.navigate("https://e")).data == "done"
    assert (await session.browser.destroy()).data is True
    assert _calls(scripted) == [("page_use_navigate", {"url": "https://e"}), ("stopChrome", {})]


_AGENTS = {
    "computer": ("flux_", {}),
    "browser": (
        "browser_use_",
        {
            "use_vision": False,
            "full_page_screenshot": False,
            "output_schema": json.dumps(
                {
                    "type": "object",
                    "properties": {"result": {"type": "string"}},
                    "required": ["result"],
                }
            ),
        },
    ),
    "mobile": ("", {"max_steps": 50}),
}


async def test_the_schema_of_a_result_may_be_that_of_a_model(
    session: AsyncSession, scripted: Script
) -> None:
    """As pydantic has it, which this library does not import."""

    class Weather:
        @staticmethod
        def model_json_schema() -> dict[str, str]:
            return {"type": "object", "title": "Weather"}

    scripted.ok("InitBrowser", {"Port": 9222})
    _answers(scripted, {"task_id": "t-1"})
    assert (await session.agent.browser.execute_task("t", output_schema=Weather)).success
    assert json.loads(_calls(scripted)[-1][1]["output_schema"])["title"] == "Weather"


@pytest.mark.parametrize("name", _AGENTS)
async def test_task_is_started_polled_and_terminated(
    session: AsyncSession, scripted: Script, name: str
) -> None:
    """Each kind of agent has its own tool names."""
    prefix, more = _AGENTS[name]
    _answers(
        scripted,
        {"task_id": "t-1"},
        {"task_id": "t-1", "status": "running", "action": "looking", "product": ""},
        {"status": "cancelled"},
    )
    scripted.ok("InitBrowser", {"Port": 9222})
    agent = getattr(session.agent, name)
    assert (await agent.execute_task("do it")).data == AgentTask("t-1")
    state = (await agent.get_task_status("t-1")).data
    assert state == AgentTask("t-1", "running", action="looking")
    assert not state.ended
    assert (await agent.terminate_task("t-1")).data.ended
    assert _calls(scripted) == [
        (f"{prefix}execute_task", {"task": "do it", **more}),
        (f"{prefix}get_task_status", {"task_id": "t-1"}),
        (f"{prefix}terminate_task", {"task_id": "t-1"}),
    ]


@pytest.mark.parametrize(("name", "status"), [("computer", "finished"), ("mobile", "completed")])
async def test_task_runs_to_its_end(
    session: AsyncSession, scripted: Script, name: str, status: str
) -> None:
    """Agents use different words for success; a result may be any JSON value."""
    _answers(
        scripted,
        {"taskId": "t-1"},
        {"status": "running"},
        {"status": status, "result": {"total": 5}},
    )
    done = (await getattr(session.agent, name).execute_task_and_wait("do it")).data
    assert (done.status, done.result, done.succeeded) == (status, '{"total": 5}', True)


async def test_one_failed_poll_does_not_end_the_wait(
    session: AsyncSession, scripted: Script
) -> None:
    """The task goes on."""
    scripted.ok("InitBrowser", {"Port": 9222})
    _answers(scripted, {"task_id": "t-1"})
    scripted.disconnect("CallMcpTool")
    _answers(scripted, {"status": "finished", "product": "5"})
    done = (await session.agent.browser.execute_task_and_wait("do it")).data
    assert done.result == "5"


async def test_failed_task_has_a_reason(session: AsyncSession, scripted: Script) -> None:
    """It is a failed result with the agent's text."""
    _answers(scripted, {"task_id": "t-1"}, {"status": "failed", "error": "no such button"})
    result = await session.agent.mobile.execute_task_and_wait("do it")
    assert isinstance(result.error, ToolError)
    assert "no such button" in result.error_message


async def test_task_that_times_out_is_terminated(
    session: AsyncSession, scripted: Script, clock: InstantClock
) -> None:
    """So that it costs no more."""
    _answers(scripted, {"task_id": "t-1"}, {"status": "running"})
    result = await session.agent.computer.execute_task_and_wait("do it", 60)
    assert isinstance(result.error, OperationTimeoutError)
    assert _calls(scripted)[-1] == ("flux_terminate_task", {"task_id": "t-1"})
    assert 59.99 < sum(clock.sleeps) < 70


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("soon", BadAnswerError), ("[]", BadAnswerError), ('{"error": "busy"}', ToolError)],
)
async def test_task_that_is_not_accepted_is_a_failure(
    session: AsyncSession, scripted: Script, answer: str, kind: type[Exception]
) -> None:
    """Without an id there is nothing to wait for."""
    scripted.ok("CallMcpTool", tool_answer(answer))
    result = await session.agent.computer.execute_task_and_wait("do it")
    assert isinstance(result.error, kind)
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda s: s.browser.initialize({}), ArgumentTypeError),
        (lambda s: s.browser.navigate(""), InvalidArgumentError),
        (lambda s: s.agent.computer.execute_task(" "), InvalidArgumentError),
        (lambda s: s.agent.computer.execute_task_and_wait("t", 0), InvalidArgumentError),
        (lambda s: s.agent.mobile.execute_task("t", 0), InvalidArgumentError),
        (lambda s: s.agent.mobile.get_task_status("a b"), InvalidArgumentError),
        (lambda s: s.agent.browser.execute_task("t", use_vision=1), ArgumentTypeError),
        (lambda s: s.agent.browser.execute_task("t", output_schema=[]), ArgumentTypeError),
        (lambda s: s.agent.browser.execute_task("t", output_schema=int), ArgumentTypeError),
        (lambda s: s.agent.browser.execute_task("t", output_schema={"a": s}), ArgumentTypeError),
    ],
)
async def test_invalid_arguments_of_a_task_are_rejected(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[Any], Any],
    kind: type[Exception],
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind):
        await call(session)
    assert scripted.requests == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: BrowserOption(browser_type="safari"),
        lambda: BrowserOption(viewport=(0, 10)),
        lambda: BrowserProxy(proxy_type="socks"),
        lambda: BrowserProxy(proxy_type="custom"),
        lambda: BrowserProxy(proxy_type="wuying", strategy="sticky"),
        lambda: BrowserProxy(proxy_type="managed", strategy="sticky"),
    ],
)
def test_invalid_browser_options_are_rejected(make: Callable[[], object]) -> None:
    """By their constructor."""
    with pytest.raises(InvalidArgumentError):
        make()


def test_a_password_in_the_url_of_a_proxy_is_refused_and_not_repeated() -> None:
    """It would be in the repr of the options."""
    with pytest.raises(InvalidArgumentError, match="username and password") as raised:
        BrowserProxy("custom", "http://:s3cret@p:1")
    assert "s3cret" not in str(raised.value)


def test_polling_proxy_has_a_pool_size() -> None:
    """Other strategies have none, and neither have managed addresses: a session gets one."""
    polling = BrowserProxy(proxy_type="wuying", strategy="polling", pollsize=3)
    assert polling.to_wire() == {"type": "wuying", "strategy": "polling", "pollsize": 3}
    managed = BrowserProxy(proxy_type="managed", strategy="polling", user_id="u", pollsize=3)
    assert managed.to_wire() == {"type": "managed", "strategy": "polling", "userId": "u"}
    sticky = BrowserProxy(proxy_type="managed", strategy="sticky", user_id="u", city="c")
    assert "pollsize" not in sticky.to_wire()


async def test_repeated_failed_polls_end_the_wait(session: AsyncSession, scripted: Script) -> None:
    """The error has the reason."""
    _answers(scripted, {"task_id": "t-1"})
    scripted.disconnect("CallMcpTool")
    result = await session.agent.computer.execute_task_and_wait("do it")
    assert isinstance(result.error, ConnectionLostError)
    assert len(scripted.requests) == 6


async def test_task_that_cannot_be_terminated_is_logged(
    session: AsyncSession, scripted: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """The result has the timeout."""
    _answers(scripted, {"task_id": "t-1"})
    states = iter([{"status": "running"}] * 2)

    def answer(_form: dict[str, str]) -> object:
        state = next(states, None)
        return tool_answer("gone", error=True) if state is None else tool_answer(json.dumps(state))

    scripted.ok_from("CallMcpTool", answer)
    result = await session.agent.computer.execute_task_and_wait("do it", 0.01)
    assert isinstance(result.error, OperationTimeoutError)
    assert "may still be running" in caplog.text


async def test_the_first_task_of_a_browser_starts_it(
    session: AsyncSession, scripted: Script
) -> None:
    """Once for all tasks, and again after it was stopped."""
    scripted.ok("InitBrowser", {"Port": 9222})
    _answers(scripted, {"task_id": "t-1"})
    for _ in range(2):
        assert (await session.agent.browser.execute_task("do it")).success
    assert scripted.actions == ["InitBrowser", "CallMcpTool", "CallMcpTool"]
    await session.browser.destroy()
    assert (await session.agent.browser.execute_task("do it")).success
    assert scripted.actions.count("InitBrowser") == 2


async def test_a_browser_that_the_program_started_is_not_started_again(
    session: AsyncSession, scripted: Script
) -> None:
    """Its options would be lost."""
    scripted.ok("InitBrowser", {"Port": 9222})
    _answers(scripted, {"task_id": "t-1"})
    assert (await session.agent.browser.initialize(BrowserOption(use_stealth=True))).data is True
    assert (await session.agent.browser.execute_task("do it")).success
    assert scripted.actions == ["InitBrowser", "CallMcpTool"]


async def test_no_task_is_sent_to_a_browser_that_does_not_start(
    session: AsyncSession, scripted: Script
) -> None:
    """The error is that of the browser."""
    scripted.ok("InitBrowser", {})
    result = await session.agent.browser.execute_task_and_wait("do it")
    assert isinstance(result.error, SessionError)
    assert scripted.actions == ["InitBrowser"]
