"""Tools for the pages of a browser: `page_use_*` and `stopChrome`.

Those that put words to a page ask the model of `LocalService(browser_model=...)`.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json
from agentbay_local.browser.devtools import DevToolsError
from agentbay_local.browser.model import BrowserTask, ask_model, check_model
from agentbay_local.browser.pages import Page, open_page
from agentbay_local.protocol.arguments import Arguments, ToolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from typing import TypeGuard

    from agentbay_local.browser.model import Kind
    from agentbay_local.tools.tool_context import ToolContext

__all__ = [
    "act",
    "act_result",
    "close_session",
    "extract",
    "login",
    "navigate",
    "observe",
    "screenshot",
    "start_act",
    "start_extract",
    "start_observe",
    "stop",
    "task_result",
]

_LONGEST_WAIT = 300
_SCREENSHOT_WITHIN = 60
# A failure in this time is the answer of the call that starts a task: some results cannot say that
# a task failed, and clients would ask for them until their own limit.
_FAILS_WITHIN = 20.0
_MOST_STEPS = 100
_STEPS = ("click", "fill", "press", "navigate")
_CLIP = ("x", "y", "width", "height")
_LARGEST = 16_384


async def navigate(context: ToolContext, arguments: Arguments) -> str:
    """Open a URL in the visible page."""
    url = arguments.text("url")
    async with _page(context, arguments) as page:
        await page.navigate(url)
    return f"Navigated to {url}"


async def screenshot(context: ToolContext, arguments: Arguments) -> str:
    """Return a PNG of a page as a data URL."""
    full_page = arguments.values.get("full_page") is not False
    within = arguments.count("timeout", _SCREENSHOT_WITHIN, _LONGEST_WAIT)
    clip = _clip(arguments)
    async with _page(context, arguments) as page:
        picture = await page.screenshot(full_page=full_page, clip=clip, within=max(within, 1))
    return f"data:image/png;base64,{picture}"


async def close_session(context: ToolContext, arguments: Arguments) -> str:
    """Forget the tasks of the tools; the browser and its pages stay."""
    del arguments
    context.browsers.end_tasks(context.session_id)
    return "Closed"


async def stop(context: ToolContext, arguments: Arguments) -> str:
    """End the browser, with its profile on disk."""
    del arguments
    stopped = await context.browsers.stop(context.session_id)
    return "The browser was stopped" if stopped else "No browser was running"


async def act(context: ToolContext, arguments: Arguments) -> str:
    """Do what the model says to an instruction; return the steps, and whether they succeeded."""
    try:
        steps = await _act(context, arguments, "act", arguments.text("action"))
    except (ToolError, DevToolsError) as error:
        return compact_json({"is_done": True, "success": False, "steps": str(error)})
    return compact_json({"is_done": True, "success": True, "steps": steps})


async def login(context: ToolContext, arguments: Arguments) -> str:
    """Log in with the steps that the model says."""
    steps = await _act(context, arguments, "login", arguments.text("login_config"))
    return f"Logged in with {len(steps)} steps"


async def observe(context: ToolContext, arguments: Arguments) -> str:
    """Return the elements of a page that the model finds."""
    instruction = arguments.text("instruction")
    found = await _ask(context, arguments, "observe", instruction)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ToolError("the browser model did not return a list of elements")
    return _dump([_element(one) for one in found])


async def extract(context: ToolContext, arguments: Arguments) -> str:
    """Return the value that the model reads from a page."""
    value = await _ask(context, arguments, "extract", arguments.text("instruction"))
    return _dump(value)


async def start_act(context: ToolContext, arguments: Arguments) -> str:
    """Start `act`; return the id of its task."""
    return await _start(context, arguments, act)


async def start_observe(context: ToolContext, arguments: Arguments) -> str:
    """Start `observe`; return the id of its task."""
    return await _start(context, arguments, observe)


async def start_extract(context: ToolContext, arguments: Arguments) -> str:
    """Start `extract`; return the id of its task."""
    return await _start(context, arguments, extract)


async def act_result(context: ToolContext, arguments: Arguments) -> str:
    """Return the result of a task of `act`, done or not."""
    task = context.browsers.task(context.session_id, arguments.text("task_id"))
    if not task.done():
        return compact_json({"is_done": False, "success": False, "steps": []})
    return await task


async def task_result(context: ToolContext, arguments: Arguments) -> str:
    """Return the result of a task of `observe` or `extract`.

    Raises:
        ToolError: There is none yet, or the task failed.
    """
    task = context.browsers.task(context.session_id, arguments.text("task_id"))
    if not task.done():
        raise ToolError("the task has no result yet")
    return await task


async def _start(
    context: ToolContext,
    arguments: Arguments,
    work: Callable[[ToolContext, Arguments], Coroutine[Any, Any, str]],
) -> str:
    check_model(context.browsers.model, arguments.tool)
    task_id, task = context.browsers.start_task(context.session_id, work(context, arguments))
    await asyncio.wait([task], timeout=_FAILS_WITHIN)
    if task.done():
        await task
    return compact_json({"task_id": task_id})


async def _act(
    context: ToolContext, arguments: Arguments, kind: Kind, instruction: str
) -> list[dict[str, str]]:
    """Carry out the steps that the model says; return them without the texts, which are secrets."""
    model = check_model(context.browsers.model, arguments.tool)
    async with _page(context, arguments) as page:
        task = await _describe(page, arguments, kind, instruction)
        steps = _checked_steps(await ask_model(model, task))
        done: list[dict[str, str]] = []
        for kind_of_step, subject, text in steps:
            try:
                await _perform(page, kind_of_step, subject, text)
            except ToolError as error:
                raise ToolError(f"step {len(done) + 1}, {kind_of_step}: {error}") from error
            done.append({kind_of_step: subject})
    return done


async def _perform(page: Page, kind: str, subject: str, text: str) -> None:
    if kind == "click":
        await page.click(subject)
        await page.wait_loaded()
    elif kind == "fill":
        await page.fill(subject, text)
    elif kind == "press":
        await page.press(subject)
        await page.wait_loaded()
    else:
        await page.navigate(subject)


def _checked_steps(answer: object) -> list[tuple[str, str, str]]:
    """Return the steps of a model: the kind of each, its selector, key or URL, and its text.

    Raises:
        ToolError: It is something else than a list of at most 100 steps.
    """
    if not isinstance(answer, list) or len(answer) > _MOST_STEPS:
        raise ToolError(f"the browser model did not return a list of at most {_MOST_STEPS} steps")
    return [_checked_step(step) for step in answer]


def _checked_step(step: object) -> tuple[str, str, str]:
    kinds = [kind for kind in _STEPS if isinstance(step, dict) and kind in step]
    if not isinstance(step, dict) or len(kinds) != 1:
        raise ToolError(f"each step of the browser model must have one of {', '.join(_STEPS)}")
    subject, text = step[kinds[0]], step.get("text", "")
    if not isinstance(subject, str) or not isinstance(text, str):
        raise ToolError(f"a step {kinds[0]!r} of the browser model must have texts")
    return kinds[0], subject, text


async def _ask(context: ToolContext, arguments: Arguments, kind: Kind, instruction: str) -> object:
    model = check_model(context.browsers.model, arguments.tool)
    async with _page(context, arguments) as page:
        return await ask_model(model, await _describe(page, arguments, kind, instruction))


async def _describe(page: Page, arguments: Arguments, kind: Kind, instruction: str) -> BrowserTask:
    picture = None
    if arguments.flag("use_vision"):
        picture = await page.screenshot(full_page=False, clip=None, within=_SCREENSHOT_WITHIN)
    return BrowserTask(
        kind=kind,
        instruction=instruction,
        **await page.look(),
        screenshot=picture,
        schema=_schema(arguments),
        variables=arguments.text_map("variables"),
        selector=arguments.text("selector", None),
    )


def _schema(arguments: Arguments) -> dict[str, Any] | None:
    """Return the JSON schema of the value to extract, which clients send after a word."""
    text = arguments.text("field_schema", None)
    if text is None:
        return None
    try:
        found = json.loads(text.partition("schema:")[2] or text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise arguments.wrong("field_schema", "must be a JSON schema")
    return found


def _element(found: dict[str, Any]) -> dict[str, str]:
    values = {name: found.get(name, "") for name in ("selector", "description", "method")}
    given = found.get("arguments", {})
    # Clients expect JSON text there.
    values["arguments"] = given if isinstance(given, str) else compact_json(given)
    return {name: str(value) for name, value in values.items()}


def _clip(arguments: Arguments) -> dict[str, float] | None:
    clip = arguments.values.get("clip")
    if clip is None:
        return None
    sides = {name: clip.get(name) for name in _CLIP} if isinstance(clip, dict) else {}
    found: dict[str, float] = {name: side for name, side in sides.items() if _is_length(side)}
    if len(found) != len(_CLIP) or not found["width"] or not found["height"]:
        raise arguments.wrong("clip", f"must have x, y, width and height up to {_LARGEST}")
    return found


def _is_length(side: object) -> TypeGuard[float]:
    if isinstance(side, bool) or not isinstance(side, (int, float)):
        return False
    return 0 <= side <= _LARGEST


def _dump(value: object) -> str:
    try:
        return compact_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f"the browser model returned no JSON value: {error!s:.200}") from error


@asynccontextmanager
async def _page(context: ToolContext, arguments: Arguments) -> AsyncIterator[Page]:
    """Attach to the page of a call; the browser is started if necessary."""
    browser = await context.browsers.start(context.session_id)
    async with open_page(browser.devtools, arguments.text("page_id", None)) as page:
        yield page
