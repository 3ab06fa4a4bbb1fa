"""The computer toolset of the package `anthropic` drives a session, with a script for a model."""

# ruff: noqa: D102 - the members and their parameters are those of the toolset
from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.tools.desktop.screen import picture_size

anthropic = pytest.importorskip("anthropic")
httpx2 = pytest.importorskip("httpx2")
computer = pytest.importorskip("anthropic.tools.computer")

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.desktop.conftest import Terminal

    from agentbay_async import AsyncSession


class SessionToolset(computer.BetaAsyncAbstractComputerToolset20260801):  # type: ignore[misc]  # optional
    """The members of the toolset, by the calls of a session.

    What AgentBay cannot do, such as pressing a button without releasing it, stays out, and the
    model is told so.
    """

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(confirm=lambda _: True)
        self._computer = session.computer

    async def _at(self, given: Any) -> tuple[int, int]:
        if given.coordinate is not None:
            return tuple(given.coordinate)
        found = (await self._computer.get_cursor_position()).unwrap()
        return found.x, found.y

    async def _click(self, given: Any, button: str) -> None:
        held = given.text.split("+") if given.text else []
        point = await self._at(given)
        if held:
            (await self._computer.press_keys(held, hold=True)).unwrap()
        (await self._computer.click_mouse(*point, button)).unwrap()
        if held:
            (await self._computer.release_keys(held)).unwrap()

    async def left_click(self, context: Any, input: Any) -> None:
        await self._click(input, "left")

    async def right_click(self, context: Any, input: Any) -> None:
        await self._click(input, "right")

    async def double_click(self, context: Any, input: Any) -> None:
        await self._click(input, "double_left")

    async def left_click_drag(self, context: Any, input: Any) -> None:
        points = (*input.start_coordinate, *input.coordinate)
        (await self._computer.drag_mouse(*points)).unwrap()

    async def mouse_move(self, context: Any, input: Any) -> None:
        (await self._computer.move_mouse(*input.coordinate)).unwrap()

    async def cursor_position(self, context: Any, input: Any) -> Any:
        found = (await self._computer.get_cursor_position()).unwrap()
        return computer.BetaComputerCursorPositionResult(x=found.x, y=found.y)

    async def scroll(self, context: Any, input: Any) -> None:
        point = await self._at(input)
        turn = self._computer.scroll(*point, input.scroll_direction, input.scroll_amount)
        (await turn).unwrap()

    async def type(self, context: Any, input: Any) -> None:
        (await self._computer.input_text(input.text)).unwrap()

    async def key(self, context: Any, input: Any) -> None:
        for _ in range(input.repeat or 1):
            (await self._computer.press_keys(input.text.split("+"))).unwrap()

    async def screenshot(self, context: Any, input: Any) -> Any:
        picture = (await self._computer.beta_take_screenshot()).unwrap()
        return computer.BetaScreenshotResult(data=base64.b64encode(picture.data).decode())


def scripted(turns: Sequence[Sequence[tuple[str, dict[str, Any]]]], requests: list[Any]) -> Any:
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
    return anthropic.AsyncAnthropic(
        api_key="script", http_client=httpx2.AsyncClient(transport=transport)
    )


def results(requests: list[Any]) -> list[dict[str, Any]]:
    """Return the results of tools that the model got, in order."""
    last = [request["messages"][-1]["content"] for request in requests]
    blocks = [block for content in last if isinstance(content, list) for block in content]
    return [block for block in blocks if block["type"] == "tool_result"]


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
        [("left_click", {"coordinate": [5000, 5]})],
    ]
    requests: list[Any] = []
    async with SessionToolset(terminal.session) as toolset, scripted(turns, requests) as client:
        runner = client.beta.messages.tool_runner(
            model="script",
            max_tokens=100,
            tools=[toolset],
            messages=[{"role": "user", "content": "use the desktop"}],
        )
        final = await runner.until_done()

    assert final.content[0].text == "done"
    answers = results(requests)
    assert len(answers) == sum(map(len, turns))
    (image,) = answers[0]["content"]
    assert picture_size(base64.b64decode(image["source"]["data"])) == (1280, 800)
    assert f"X={at[0]},Y={at[1]}" in json.dumps(answers[6])
    failed = [answer for answer in answers if answer.get("is_error")]
    assert failed == answers[-1:]
    assert "not on the screen" in json.dumps(failed)

    def press(code: int) -> str:
        return f"\x1b[<{code};10;5M\x1b[<{code};10;5m"

    wheel = "\x1b[<65;10;5M"
    await terminal.records(
        press(0) + "Grüße 世界" + "\r" + "\x01\x01" + press(2) + press(0) * 2 + wheel
    )


async def test_the_model_learns_what_is_not_there(session: AsyncSession) -> None:
    """A button cannot be held down in AgentBay."""
    configs = SessionToolset(session).configs
    assert configs is not None
    assert configs["left_mouse_down"] == {"enabled": False}
    assert "left_click" not in configs
