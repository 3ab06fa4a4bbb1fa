"""Act on the pages of a session's browser, in words."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from agentbay_async import _check
from agentbay_async._clock import poll
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    BadAnswerError,
    BrowserError,
    OperationTimeoutError,
    ToolError,
    UsageError,
)
from agentbay_async.models.browser_agent import (
    ActOptions,
    ActResult,
    ExtractOptions,
    ObserveOptions,
    ObserveResult,
)
from agentbay_async.services._tool_calls import call_tool, read_json_object, read_json_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agentbay_async._api import Api
    from agentbay_async.models.tools import McpToolResult
    from agentbay_async.services.browser import AsyncBrowser
    from agentbay_async.session import AsyncSession

M = TypeVar("M")

_TIMEOUT = 300
# Longest pause between two polls, in seconds.
_POLL_INTERVAL = 3.0
# Seconds for one call: a page may take long to load.
_CALL_TIMEOUT = 60.0


class AsyncBrowserOperator:
    """Act on, look at and read the pages of one session's browser, in words.

    Offered by the image ``browser_latest``; what needs a model, the local service asks of
    ``LocalService(browser_model=...)``. Start the browser with ``session.browser.initialize()``
    first. Each method works on the page that has the focus,
    or on `page`, a page of Playwright that is connected to the browser. Failures raise
    :class:`~agentbay_async.errors.BrowserError`.

    Example:
        ::

            await session.browser.initialize()
            await session.browser.operator.navigate("https://example.com")
            await session.browser.operator.act(ActOptions("click the first link"))
    """

    __slots__ = ("__weakref__", "_api", "_find_session", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    @property
    def browser(self) -> AsyncBrowser:
        """The browser of the session."""
        return self.session.browser

    async def navigate(self, url: str) -> str:
        """Open a page, and return the text of the tool."""
        with self._failing("navigate"):
            return (await self._call("page_use_navigate", url=_check.text(url, "url"))).data

    async def screenshot(
        self,
        page: object = None,
        full_page: bool = True,
        quality: int = 80,
        clip: Mapping[str, float] | None = None,
        timeout: int | None = None,
    ) -> str:
        """Take a picture of a page, and return it as a data URL.

        Args:
            page: The page; ``None`` takes the one that has the focus.
            full_page: Take all of the page, and not only what is visible.
            quality: JPEG quality, from 0 to 100.
            clip: The part of the page: ``x``, ``y``, ``width`` and ``height``.
            timeout: Seconds the service may take.
        """
        args = {
            "full_page": _check.boolean(full_page, "full_page"),
            "quality": _check.integer(quality, "quality"),
            "clip": None if clip is None else dict(clip),
            "timeout": timeout if timeout is None else _check.positive_int(timeout, "timeout"),
        }
        with self._failing("screenshot"):
            place = await self._place(page)
            return (await self._call("page_use_screenshot", **place, **args)).data

    async def close(self) -> bool:
        """End the operator's session with the browser; ``False`` if the tool refuses."""
        try:
            await call_tool(self._api, self._session_id, "page_use_close_session", {})
        except ToolError:
            return False
        return True

    async def act(self, action_input: ActOptions | ObserveResult, page: object = None) -> ActResult:
        """Do something on a page, and wait for its end.

        Args:
            action_input: The action in words, or an element that :meth:`observe` found.
            page: The page; ``None`` takes the one that has the focus.
        """
        args = _action(action_input)
        with self._failing("act"):
            limit = _limit(getattr(action_input, "timeout", None))
            answer = await self._run("act", {**await self._place(page), **args}, limit, _is_done)
            found = read_json_object(answer, "page_use_get_act_result")
            steps = found.get("steps") or "No actions have been executed."
            text = steps if isinstance(steps, str) else json.dumps(steps, ensure_ascii=False)
            return ActResult(bool(found.get("success")), text)

    async def observe(
        self, options: ObserveOptions, page: object = None
    ) -> tuple[bool, list[ObserveResult]]:
        """Look for elements on a page; return ``True`` and what was found."""
        if not isinstance(options, ObserveOptions):
            raise ArgumentTypeError(f"options must be ObserveOptions, not {type(options).__name__}")
        with self._failing("observe"):
            args = {
                **await self._place(page),
                "instruction": options.instruction,
                "use_vision": options.use_vision,
                "selector": options.selector,
            }
            answer = await self._run("observe", args, _limit(options.timeout))
            found = read_json_objects(answer, "page_use_get_observe_result")
            return True, [ObserveResult.from_answer(entry) for entry in found]

    async def extract(self, options: ExtractOptions[M], page: object = None) -> tuple[bool, M]:
        """Read a page into a model; return ``True`` and the instance of the model."""
        if not isinstance(options, ExtractOptions):
            raise ArgumentTypeError(f"options must be ExtractOptions, not {type(options).__name__}")
        model = cast("Any", options.schema)
        with self._failing("extract"):
            args = {
                **await self._place(page),
                "instruction": options.instruction,
                "field_schema": f"schema: {json.dumps(model.model_json_schema())}",
                "use_text_extract": options.use_text_extract,
                "use_vision": options.use_vision,
                "selector": options.selector,
                "max_page": options.max_page,
            }
            answer = await self._run("extract", args, _limit(options.timeout))
            try:
                return True, model.model_validate(json.loads(answer.data))
            except (ValueError, RecursionError) as error:
                raise BrowserError(
                    f"extract: the answer does not fit the schema: {error}",
                    request_id=answer.request_id,
                    session_id=self._session_id,
                ) from error

    async def login(
        self, login_config: str, page: object = None, use_vision: bool | None = False
    ) -> ActResult:
        """Log in to a page.

        Args:
            login_config: A JSON object that tells how; a secret.
            page: The page; ``None`` takes the one that has the focus.
            use_vision: Let the operator look at the page; ``None`` leaves it to the service.
        """
        config = _check.text(login_config, "login_config")
        with self._failing("login"):
            args = {
                "login_config": config,
                **await self._place(page),
                "use_vision": use_vision
                if use_vision is None
                else _check.boolean(use_vision, "use_vision"),
            }
            try:
                return ActResult(True, (await self._call("page_use_login", **args)).data)
            except ToolError as error:
                return ActResult(False, str(error))

    async def _run(
        self, what: str, args: Mapping[str, Any], limit: float, done: Any = None
    ) -> McpToolResult:
        """Start a task of the operator, and return the answer that has its result."""
        name = f"page_use_{what}_async"
        started = read_json_object(await self._call(name, **args), name)
        task_id = started.get("task_id")
        if not isinstance(task_id, str) or not task_id:
            raise BadAnswerError(f"{name}: the answer has no task_id", session_id=self._session_id)
        failure: list[ToolError] = []

        async def ask() -> McpToolResult | None:
            try:
                return await self._call(f"page_use_get_{what}_result", task_id=task_id)
            except ToolError as error:
                # The tool also fails while there is no result yet.
                failure[:] = [error]
                return None

        try:
            answer = await poll(
                ask,
                lambda found: found is not None and bool(found.data) and (not done or done(found)),
                clock=self._api.clock,
                timeout=limit,
                what=f"{what} {task_id}",
                interval=_POLL_INTERVAL,
            )
        except OperationTimeoutError as error:
            raise BrowserError(": ".join(map(str, (error, *failure)))) from error
        return cast("McpToolResult", answer)

    async def _call(self, tool: str, **args: Any) -> McpToolResult:
        given = {name: value for name, value in args.items() if value is not None}
        return await call_tool(self._api, self._session_id, tool, given, _CALL_TIMEOUT)

    async def _place(self, page: object) -> dict[str, Any]:
        """Return the arguments that tell the page."""
        return {"context_id": 0} if page is None else await _position(cast("Any", page))

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Raise errors of the service as BrowserError; the browser must run."""
        access = self._api.access.get(self._session_id)
        if access is None or not access.browser_started:
            raise BrowserError(
                f"{what} needs a running browser",
                session_id=self._session_id,
                hint="Call session.browser.initialize() first",
            )
        try:
            yield
        except (BrowserError, UsageError):
            raise
        except AgentBayError as error:
            raise BrowserError(
                f"{what}: {error}", request_id=error.request_id, session_id=self._session_id
            ) from error


def _action(action: object) -> dict[str, Any]:
    if isinstance(action, ActOptions):
        return {
            "action": action.action,
            "variables": action.variables,
            "use_vision": action.use_vision,
            "timeout": action.timeout,
        }
    if isinstance(action, ObserveResult):
        done = {"method": action.method, "arguments": action.arguments}
        return {"action": json.dumps(done)}
    raise ArgumentTypeError(
        f"action_input must be ActOptions or an ObserveResult, not {type(action).__name__}"
    )


def _is_done(answer: McpToolResult) -> bool:
    return bool(read_json_object(answer, "page_use_get_act_result").get("is_done"))


def _limit(timeout: int | None) -> float:
    return float(_TIMEOUT if timeout is None else timeout)


async def _position(page: Any) -> dict[str, Any]:
    """Return where a page of Playwright is: the target of the DevTools, and its context.

    Raises:
        BrowserError: It is no page of Playwright's asyncio API, or it is closed.
    """
    try:
        devtools = await page.context.new_cdp_session(page)
        target = (await devtools.send("Target.getTargetInfo"))["targetInfo"]["targetId"]
        await devtools.detach()
        contexts = getattr(page.context.browser, "contexts", None)
        index = contexts.index(page.context) if contexts is not None else 0
    except Exception as error:  # Playwright is not a dependency, so its errors have no names here
        raise BrowserError(
            f"page must be an open page of Playwright's asyncio API: {error}"
        ) from error
    return {"context_id": index, "page_id": target}
