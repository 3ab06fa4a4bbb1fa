"""The hook of `LocalService` for what a browser's tools need a model for.

`act`, `observe`, `extract` and `login` put an instruction in words to a page. The service knows no
model: it describes the page to a function of the program that runs it, and carries out what that
returns. So a program can connect a model of its own, and a test can say what a model would.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.protocol.arguments import ToolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Literal

    Kind = Literal["act", "observe", "extract", "login"]
    BrowserModel = Callable[["BrowserTask"], "Awaitable[object] | object"]

__all__ = ["BrowserTask", "ask_model", "check_model"]

_NO_MODEL = (
    "it needs a model, which the local service has not: start it with "
    "LocalService(browser_model=...), or connect Playwright to session.browser.get_endpoint_url()"
)


@attrs.frozen
class BrowserTask:
    """What a model is asked to do with a page.

    Attributes:
        kind: ``"act"``, ``"observe"``, ``"extract"`` or ``"login"``.
        instruction: What to do, in words; for ``"login"`` the JSON text that tells how, a secret.
        url: The address of the page.
        title: Its title.
        text: What it shows, as text; at most 100,000 characters.
        html: Its HTML; at most 100,000 characters.
        screenshot: A PNG in base64 if the caller asked to use vision; else None.
        schema: For ``"extract"``, the JSON schema of the value.
        variables: For ``"act"``, values that the instruction names; secrets.
        selector: The part of the page that the caller asked for, or None.

    The function returns for ``"act"`` and ``"login"`` a list of steps, each a dictionary:
    ``{"click": SELECTOR}``, ``{"fill": SELECTOR, "text": TEXT}``, ``{"press": KEY}`` or
    ``{"navigate": URL}``; for ``"observe"`` a list of dictionaries with ``selector``,
    ``description``, ``method`` and ``arguments``; for ``"extract"`` the value. It may be a
    coroutine function; another one runs on a thread. What it raises is the error of the call.

    Example:
        >>> def model(task):
        ...     if task.kind == "extract":
        ...         return {"title": task.title}
        ...     return [{"fill": "#name", "text": "Ada"}, {"click": "button"}]
        >>> service = LocalService(browser_model=model)  # doctest: +SKIP
    """

    kind: Kind
    instruction: str = attrs.field(repr=False)
    url: str
    title: str
    text: str = attrs.field(repr=False)
    html: str = attrs.field(repr=False)
    screenshot: str | None = attrs.field(default=None, repr=False)
    schema: dict[str, Any] | None = attrs.field(default=None, repr=False)
    variables: dict[str, str] = attrs.field(factory=dict, repr=False)
    selector: str | None = None


async def ask_model(model: BrowserModel, task: BrowserTask) -> object:
    """Return what the model says to a task.

    Raises:
        ToolError: It fails.
    """
    try:
        if inspect.iscoroutinefunction(model):
            return await model(task)
        answer = await asyncio.to_thread(model, task)
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        raise ToolError(
            f"the browser model failed: {type(error).__name__}: {error!s:.300}"
        ) from error


def check_model(model: BrowserModel | None, tool: str) -> BrowserModel:
    """Return the model of the service.

    Raises:
        ToolError: There is none; the message names the tool.
    """
    if model is None:
        raise ToolError(f"Tool {tool!r} is not offered here: {_NO_MODEL}.")
    return model
