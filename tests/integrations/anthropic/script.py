"""Scripts for the toolsets: a client whose model follows one, and calls without a client."""

from __future__ import annotations

import asyncio
import base64
import inspect
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import anthropic
import attrs
import httpx2
from anthropic.types.beta import BetaToolUseBlock

from agentbay_local.tools.desktop.screen import picture_size

if TYPE_CHECKING:
    from collections.abc import Sequence


def scripted(
    turns: Sequence[Sequence[tuple[str, dict[str, Any]]]],
    requests: list[Any],
    toolset: str = "computer",
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
                "toolset_name": toolset,
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
    return kind(api_key="script", max_retries=0, http_client=http(transport=transport))


def runner(client: Any, toolset: Any) -> Any:
    """Return the framework's loop over the answers of a client's model."""
    return client.beta.messages.tool_runner(
        model="script",
        max_tokens=100,
        tools=[toolset],
        messages=[{"role": "user", "content": "follow the script"}],
    )


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


@attrs.frozen
class Answer:
    """What a model gets for one call.

    Attributes:
        block: The result.
    """

    block: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether it is an error."""
        return bool(self.block.get("is_error"))

    @property
    def text(self) -> str:
        """Its text; that of several blocks in lines."""
        content = self.block["content"]
        if isinstance(content, str):
            return content
        return "\n".join(one["text"] for one in content if one["type"] == "text")

    @property
    def image(self) -> bytes:
        """Its picture."""
        [image] = [one for one in self.block["content"] if one["type"] == "image"]
        return base64.b64decode(image["source"]["data"])

    @property
    def size(self) -> tuple[int, int]:
        """The width and the height of its picture."""
        return picture_size(self.image)

    @property
    def state(self) -> dict[str, Any]:
        """The state of the browser."""
        [state] = [one for one in self.block["content"] if one["type"] == "browser_state"]
        return dict(state)

    @property
    def active(self) -> dict[str, Any]:
        """The active tab."""
        [active] = [tab for tab in self.state["tabs"] if tab["active"]]
        return dict(active)

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What has changed in the browser."""
        return list(self.state.get("state_changes", ()))


def ref(answer: Answer, name: str) -> str:
    """Return the reference of an element by its name."""
    found = re.search(rf'^ *(?!label)\w+ "{name}" \[(ref_\d+_\d+)\]', answer.text, re.MULTILINE)
    assert found is not None, answer.text
    return found[1]


def target(answer: Answer, name: str) -> dict[str, str]:
    """Return an element by its name, as a target."""
    return {"type": "ref", "ref": ref(answer, name)}


@attrs.define
class Caller:
    """Calls members of a toolset as the framework's loop does, whether it blocks or not."""

    toolset: Any
    memory: list[str] = attrs.field(factory=list)
    _numbers: Any = attrs.field(factory=itertools.count)

    def block(self, name: str, values: dict[str, Any]) -> BetaToolUseBlock:
        """Return what a model sends to call a member."""
        return BetaToolUseBlock(
            type="tool_use",
            id=f"toolu_{next(self._numbers)}",
            name=name,
            toolset_name=self.toolset.toolset_name,
            input=values,
        )

    async def __call__(self, name: str, **values: Any) -> Answer:
        """Call a member."""
        block = self.block(name, values)
        if inspect.iscoroutinefunction(self.toolset.tool_result):
            return Answer(await self.toolset.tool_result(block))
        return Answer(await asyncio.to_thread(self.toolset.tool_result, block))

    async def close(self) -> None:
        """Close the toolset."""
        if inspect.iscoroutinefunction(self.toolset.close):
            await self.toolset.close()
        else:
            await asyncio.to_thread(self.toolset.close)
