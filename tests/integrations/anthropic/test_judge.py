"""The computer toolset of the package `anthropic` drives a session, with a script for a model."""

from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2

from agentbay import AgentBay
from agentbay_integrations.anthropic import (
    AgentBayComputerToolset,
    BlockingAgentBayComputerToolset,
)
from agentbay_local.tools.desktop.screen import picture_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.desktop.conftest import Terminal

    from agentbay_async import AsyncSession
    from agentbay_local import LocalService


def scripted(
    turns: Sequence[Sequence[tuple[str, dict[str, Any]]]],
    requests: list[Any],
    kind: Any = anthropic.AsyncAnthropic,
    http: Any = httpx2.AsyncClient,
) -> Any:
    """Return a client whose model calls tools in each turn, and then says that it is done."""
    numbers, left = itertools.count(), list(turns)

    def answer(request: Any) -> Any:
        requests.append(json.loads(request.content))
        calls = left.pop(0) if left else ()
        blocks: list[dict[str, Any]] = [
            {
                "type": "tool_use",
                "id": f"toolu_{next(numbers)}",
                "name": name,
                "toolset_name": "computer",
                "input": values,
            }
            for name, values in calls
        ]
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "script",
            "content": blocks or [{"type": "text", "text": "done"}],
            "stop_reason": "tool_use" if blocks else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        return httpx2.Response(200, json=message)

    transport = httpx2.MockTransport(answer)
    return kind(api_key="script", http_client=http(transport=transport))


def results(requests: list[Any]) -> list[dict[str, Any]]:
    """Return the results of tools that the model got, in order."""
    last = [request["messages"][-1]["content"] for request in requests]
    blocks = [block for content in last if isinstance(content, list) for block in content]
    return [block for block in blocks if block["type"] == "tool_result"]


def answers_of(turns: Sequence[Sequence[Any]], requests: list[Any]) -> list[dict[str, Any]]:
    """Return the results, of which there is one for each call."""
    found = results(requests)
    assert len(found) == sum(map(len, turns))
    return found


async def test_a_model_uses_the_desktop_by_its_toolset(terminal: Terminal) -> None:
    """Every member that AgentBay can serve; what arrives is what was asked for."""
    at = list(terminal.at(10, 5))
    turns = [
        [("screenshot", {})],
        [("left_click", {"coordinate": at}), ("type", {"text": "Grüße 世界"})],
        [("key", {"text": "Return"}), ("key", {"text": "ctrl+a", "repeat": 2})],
        [("mouse_move", {"coordinate": at}), ("cursor_position", {})],
        [("right_click", {}), ("double_click", {"coordinate": at})],
        [("scroll", {"coordinate": at, "scroll_direction": "down", "scroll_amount": 1})],
        [("triple_click", {"coordinate": at}), ("middle_click", {})],
        [("left_click_drag", {"start_coordinate": at, "coordinate": at})],
        [("hold_key", {"text": "Up", "duration": 0}), ("wait", {"duration": 0})],
        [("left_click", {"coordinate": [5000, 5], "text": "ctrl"})],
        [("type", {"text": "x"})],
        [("left_mouse_down", {})],
        [("zoom", {"region": [0, 0, 10, 10]})],
    ]
    requests: list[Any] = []
    toolset = AgentBayComputerToolset(session=terminal.session, confirm=lambda _: True)
    async with toolset, scripted(turns, requests) as client:
        runner = client.beta.messages.tool_runner(
            model="script",
            max_tokens=100,
            tools=[toolset],
            messages=[{"role": "user", "content": "use the desktop"}],
        )
        final = await runner.until_done()

    assert final.content[0].text == "done"
    answers = answers_of(turns, requests)
    (image,) = answers[0]["content"]
    assert picture_size(base64.b64decode(image["source"]["data"])) == (1280, 800)
    assert f"X={at[0]},Y={at[1]}" in json.dumps(answers[6])
    failed = [answer for answer in answers if answer.get("is_error")]
    assert failed == [answers[-4], *answers[-2:]]
    assert "not on the screen" in json.dumps(failed)

    def press(code: int) -> str:
        return f"\x1b[<{code};10;5M\x1b[<{code};10;5m"

    wheel = "\x1b[<65;10;5M"
    # After the click that failed, ctrl is released: an x arrives.
    await terminal.records(
        press(0) + "Grüße 世界" + "\r" + "\x01\x01" + press(2) + press(0) * 2 + wheel
        + press(0) * 3 + press(1) + press(0) + "\x1b[A" + "x"
    )  # fmt: skip


async def test_the_model_learns_what_is_not_there(session: AsyncSession) -> None:
    """A button cannot be held down in AgentBay."""
    toolset = AgentBayComputerToolset(session=session, confirm=lambda _: True)
    assert toolset.configs is not None
    assert toolset.configs["left_mouse_down"] == {"enabled": False}
    assert "left_click" not in toolset.configs


def test_a_blocking_toolset_owns_its_session(service: LocalService) -> None:
    """It makes one for the first member, and deletes it when it is closed."""
    turns = [[("mouse_move", {"coordinate": [30, 40]}), ("cursor_position", {})]]
    turns += [[("wait", {"duration": 0}), ("left_click", {"coordinate": [5000, 5]})]]
    requests: list[Any] = []
    bay = AgentBay()
    client = scripted(turns, requests, anthropic.Anthropic, httpx2.Client)
    made = BlockingAgentBayComputerToolset(bay=bay, run="r-1", confirm=lambda _: True)
    with bay, client, made as toolset:
        runner = client.beta.messages.tool_runner(
            model="script",
            max_tokens=100,
            tools=[toolset],
            messages=[{"role": "user", "content": "use the desktop"}],
        )
        runner.until_done()
        assert len(list(bay.list({"framework": "anthropic", "run": "r-1"}))) == 1
    assert not service.living()
    answers = answers_of(turns, requests)
    assert "X=30,Y=40" in json.dumps(answers[1])
    assert [bool(one.get("is_error")) for one in answers] == [False, False, False, True]


def test_the_program_of_the_page_runs(run_program: Callable[[str], str]) -> None:
    """It needs neither a key nor a model."""
    assert run_program("anthropic") == "The mouse is there\nsessions left: 0\n"
