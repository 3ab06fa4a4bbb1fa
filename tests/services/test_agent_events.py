"""What agents and browsers push while they work, over the WebSocket of the session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AgentEvent,
    ArgumentTypeError,
    BrowserError,
    BrowserNotifyMessage,
    ConnectionLostError,
    OperationTimeoutError,
    SessionError,
    ToolError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncSession

    from .machine import Connection, Machine

_BROWSER = "wuying_cdp_mcp_server"


def _play(machine: Machine, *events: dict[str, Any], end: dict[str, Any] | None = None) -> None:
    """Answer a task with events, and with its end if there is one."""

    async def run(connection: Connection, frame: dict[str, Any]) -> None:
        for event in events:
            await connection.answer(frame, {"phase": "event", **event})
        if end is not None:
            await connection.answer(frame, {"phase": "end", **end})

    machine.methods["exec_task"] = run


async def test_events_of_a_task_are_passed_in_order(linked: AsyncSession, machine: Machine) -> None:
    """Each kind to its own callback; the text of the answer is the result."""
    _play(
        machine,
        {"eventType": "reasoning", "content": "hm", "seq": 1, "round": 1},
        {"eventType": "tool_call", "toolName": "tap", "toolCallId": "c-1", "args": {"x": 1}},
        {"eventType": "tool_result", "toolName": "tap", "result": {"isError": False}},
        {"eventType": "content", "content": "It is "},
        {"eventType": "unheard of"},
        {"eventType": "content", "content": "open."},
        end={"status": "finished"},
    )
    seen: list[AgentEvent] = []
    execution = await linked.agent.mobile.execute_task(
        "open it", 7, seen.append, seen.append, seen.append, seen.append
    )
    result = await execution.wait(30)
    assert (result.task_status, result.task_result) == ("finished", "It is open.")
    assert [event.type for event in seen] == [
        "reasoning",
        "tool_call",
        "tool_result",
        "content",
        "content",
    ]
    assert (seen[0].content, seen[0].seq, seen[0].round) == ("hm", 1, 1)
    assert (seen[1].tool_call_id, seen[1].args, seen[2].result) == (
        "c-1",
        {"x": 1},
        {"isError": False},
    )
    frame = await machine.wait_for_frame("exec_task")
    assert frame["data"]["params"] == {"task": "open it", "max_steps": 7}
    assert (await execution.wait(30)).task_result == "It is open."


async def test_the_answer_of_a_person_goes_back_to_the_agent(
    linked: AsyncSession, machine: Machine
) -> None:
    """While it is waited for, other events are passed on."""
    heard = asyncio.Event()

    async def ask(connection: Connection, frame: dict[str, Any]) -> None:
        call = {"toolName": "call_for_user", "toolCallId": "c-2", "args": {"prompt": "Code?"}}
        await connection.answer(frame, {"phase": "event", "eventType": "tool_call", **call})
        await connection.answer(frame, {"phase": "event", "eventType": "content", "content": "ok"})
        machine.methods["resume_task"] = lambda there, _: there.answer(
            frame, {"phase": "end", "taskResult": "done"}
        )

    async def person(event: AgentEvent) -> str:
        await asyncio.wait_for(heard.wait(), 30)
        return f"{event.prompt} 1234"

    machine.methods["exec_task"] = ask
    result = await linked.agent.mobile.execute_task_and_wait(
        "log in", 30, on_content=lambda _: heard.set(), on_call_for_user=person
    )
    assert result.task_result == "done"
    frame = await machine.wait_for_frame("resume_task")
    assert frame["data"]["params"] == {"toolCallId": "c-2", "response": "Code? 1234"}


async def test_a_failing_callback_does_not_end_the_task(
    linked: AsyncSession, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has its error."""
    _play(machine, {"eventType": "content", "content": "x"}, end={"status": "finished"})

    def fail(_event: AgentEvent) -> None:
        raise RuntimeError("my mistake")

    assert await linked.agent.mobile.execute_task_and_wait("do it", 30, on_content=fail)
    assert "my mistake" in caplog.text


async def test_a_task_that_fails_has_the_reason(linked: AsyncSession, machine: Machine) -> None:
    """It comes as an event, or as the state at the end."""
    errors: list[AgentEvent] = []
    event = {"eventType": "error", "error": {"message": "no such app"}}
    _play(machine, event, end={"status": "finished"})
    result = await linked.agent.mobile.execute_task_and_wait("do it", 30, on_error=errors.append)
    assert isinstance(result.error, ToolError)
    assert "no such app" in result.error_message
    assert [event.error for event in errors] == [{"message": "no such app"}]

    _play(machine, end={"status": "cancelled"})
    result = await linked.agent.mobile.execute_task_and_wait("do it", 30, on_error=errors.append)
    assert "cancelled" in result.error_message


async def test_a_task_that_takes_too_long_is_stopped(
    linked: AsyncSession, machine: Machine
) -> None:
    """The session is asked to."""
    _play(machine, {"eventType": "content", "content": "x"})
    begun = asyncio.Event()
    execution = await linked.agent.mobile.execute_task("do it", on_content=lambda _: begun.set())
    await asyncio.wait_for(begun.wait(), 30)
    assert isinstance((await execution.wait(0.01)).error, OperationTimeoutError)
    await machine.wait_for_frame("cancel")


async def test_a_broken_connection_ends_the_wait(linked: AsyncSession, machine: Machine) -> None:
    """With an error that tells so."""

    async def abort(connection: Connection, _frame: dict[str, Any]) -> None:
        connection.abort()

    machine.methods["exec_task"] = abort
    result = await linked.agent.mobile.execute_task_and_wait("do it", 30, on_content=print)
    assert isinstance(result.error, ConnectionLostError)


async def test_a_task_that_is_not_started_tells_why(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine
) -> None:
    """Waiting for it returns the same error."""
    machine.offer(WsUrl="")
    session = await join()
    execution = await session.agent.mobile.execute_task("do it", on_content=print)
    assert not execution.success
    assert isinstance(execution.error, SessionError)
    assert execution.task_id == ""
    assert (await execution.wait()).error is execution.error


async def test_messages_of_the_browser_are_passed_to_the_callback(
    linked: AsyncSession, machine: Machine
) -> None:
    """In order; the answer goes back with the number of the message."""
    seen: list[BrowserNotifyMessage] = []
    answered = asyncio.Event()

    async def help_it(message: BrowserNotifyMessage) -> None:
        seen.append(message)
        if message.action == "takeover":
            assert await linked.browser.send_takeover_done(message.id or 0)
            await linked.browser.unregister_callback()
            answered.set()

    assert await linked.browser.register_callback(help_it) is True
    (connection,) = machine.connections
    await connection.push(_BROWSER, {"action": "pause", "extraParams": {"max_wait_time": 30}})
    await connection.push(_BROWSER, {"type": "call-for-user", "id": 3, "action": "takeover"})
    await asyncio.wait_for(answered.wait(), 30)
    assert seen == [
        BrowserNotifyMessage(action="pause", extra_params={"max_wait_time": 30}),
        BrowserNotifyMessage("call-for-user", 3, action="takeover"),
    ]
    (sent,) = [frame for frame in machine.frames if frame["target"] == _BROWSER]
    assert sent["data"] == {
        "type": "call-for-user",
        "id": 3,
        "code": 199,
        "message": "user handle done",
        "action": "takeoverdone",
    }


async def test_a_refused_message_is_logged_and_not_passed(
    linked: AsyncSession, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no answer for which anybody would wait."""
    seen: asyncio.Queue[BrowserNotifyMessage] = asyncio.Queue()
    await linked.browser.register_callback(seen.put)
    (connection,) = machine.connections
    await connection.push(_BROWSER, {"error": "no such id"})
    await connection.push(_BROWSER, {"id": 2})
    assert (await asyncio.wait_for(seen.get(), 30)).id == 2
    assert "no such id" in caplog.text


async def test_a_session_without_a_browser_sends_no_messages(
    join: Callable[[], Awaitable[AsyncSession]], machine: Machine
) -> None:
    """Its list of tools tells; nobody would answer."""
    machine.offer(ToolList='[{"name": "shell", "server": "wuying_shell"}]')
    session = await join()
    with pytest.raises(SessionError, match="browser_latest"):
        await session.browser.register_callback(print)
    with pytest.raises(SessionError, match="browser_latest"):
        await session.browser.send_takeover_done(3)
    assert machine.connections == []


async def test_a_failing_callback_gets_the_next_message(
    linked: AsyncSession, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has its error."""
    second = asyncio.Event()

    def fail_first(message: BrowserNotifyMessage) -> None:
        if message.id == 1:
            raise RuntimeError("my mistake")
        second.set()

    await linked.browser.register_callback(fail_first)
    for number in (1, 2):
        await machine.connections[0].push(_BROWSER, {"id": number})
    await asyncio.wait_for(second.wait(), 30)
    assert "my mistake" in caplog.text


class _Page:
    """A page of Playwright that grows once, as its blocking and its asynchronous API have it."""

    def __init__(self, awaited: bool) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._awaited = awaited

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, kwargs or args))
            value = b"picture" if name == "screenshot" else 20_000
            return self._later(value) if self._awaited else value

        return call

    async def _later(self, value: Any) -> Any:
        await asyncio.sleep(0)
        return value


@pytest.mark.parametrize("awaited", [True, False])
async def test_a_picture_of_a_page_is_taken_after_it_has_loaded_all(
    linked: AsyncSession, machine: Machine, awaited: bool
) -> None:
    """It blocks, or is awaited, as the page is."""
    page = _Page(awaited)
    with pytest.raises(BrowserError, match="initialize"):
        linked.browser.screenshot(page)
    linked._known.browser_started = True
    taken = linked.browser.screenshot(page, full_page=True, type="jpeg", quality=80)
    assert (await taken if awaited else taken) == b"picture"
    name, options = page.calls[-1]
    assert name == "screenshot"
    assert (options["full_page"], options["type"], options["quality"]) == (True, "jpeg", 80)
    assert page.calls[-2] == ("set_viewport_size", ({"width": 1920, "height": 10_000},))
    with pytest.raises(ArgumentTypeError, match="page"):
        linked.browser.screenshot(None)
