"""Anthropic: the desktop of a session as the computer toolset of the package ``anthropic``.

Example:
    ::

        async with AgentBayComputerToolset(confirm=lambda call: True) as toolset:
            runner = client.beta.messages.tool_runner(
                model="claude-opus-5-5",
                max_tokens=2000,
                tools=[toolset],
                messages=[{"role": "user", "content": "Open a terminal and show the date"}],
            )
            print(await runner.until_done())
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import anyio
from anthropic.tools import ToolError
from anthropic.tools.computer import (
    BetaAbstractComputerToolset20260801,
    BetaAsyncAbstractComputerToolset20260801,
    BetaComputerCursorPositionResult,
    BetaScreenshotResult,
)

from agentbay_async import CreateSessionParams
from agentbay_integrations._sessions import BlockingSessionOwner, SessionOwner

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import agentbay
    from agentbay_async import AsyncAgentBay, AsyncSession

    # The name and the arguments of a method of session.computer, or "sleep" and seconds.
    Call = tuple[str, tuple[Any, ...]]
    Member = Generator[Call, Any, Any]

__all__ = ["AgentBayComputerToolset", "BlockingAgentBayComputerToolset"]

_FRAMEWORK = "anthropic"
_IMAGE = "linux_latest"
# AgentBay presses no button without releasing it, and takes no picture of a part of the screen.
_NOT_SERVED = ("left_mouse_down", "left_mouse_up", "zoom")
_CLICKS = {
    "left_click": ("left",),
    "right_click": ("right",),
    "middle_click": ("middle",),
    "double_click": ("double_left",),
    "triple_click": ("double_left", "left"),
}


class AgentBayComputerToolset(BetaAsyncAbstractComputerToolset20260801):
    """The desktop of a session as a toolset for ``AsyncAnthropic``.

    It serves all members of ``computer_toolset_20260801`` but ``left_mouse_down``,
    ``left_mouse_up`` and ``zoom``, of which the model is told. Closing it deletes the session if it
    was made here.

    Args:
        session: A session of yours, of an image with a desktop; it is never deleted here.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Default: the image ``linux_latest``. Its label
            ``framework`` is ``"anthropic"``.
        run: The value of its label ``run``. Default: a random id.
        options: ``confirm``, ``configs`` and ``tool_configs``, as the toolset of ``anthropic``
            takes them. It needs ``confirm`` while keys and text are enabled.

    Raises:
        ToolsetConfigError: An option is wrong, or ``confirm`` is missing.
    """

    def __init__(
        self,
        *,
        session: AsyncSession | None = None,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**_served(options))
        params = params or CreateSessionParams(image_id=_IMAGE)
        self._owner = SessionOwner(_FRAMEWORK, session=session, bay=bay, params=params, run=run)

    async def execute(self, context: Any, name: Any, input: Any) -> Any:
        """Run one member; the first makes the session."""
        computer = (await self._owner.get()).computer
        member, answer, error = _member(name, input), None, None
        while True:
            try:
                what, args = member.send(answer) if error is None else member.throw(error)
            except StopIteration as end:
                return end.value
            # After an error, also of a cancel, what is left is to release keys.
            with anyio.CancelScope(shield=error is not None):
                answer, error = None, None
                try:
                    if what == "sleep":
                        await anyio.sleep(*args)
                    else:
                        answer = (await getattr(computer, what)(*args)).unwrap()
                except BaseException as raised:  # goes on by way of the member
                    error = raised

    async def close(self) -> None:
        """End the toolset, and delete the session if it was made here."""
        await super().close()
        await self._owner.close()


class BlockingAgentBayComputerToolset(BetaAbstractComputerToolset20260801):
    """The desktop of a session as a toolset for ``Anthropic``; see `AgentBayComputerToolset`.

    Args:
        session: A session of yours, of an image with a desktop; it is never deleted here.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Default: the image ``linux_latest``.
        run: The value of its label ``run``. Default: a random id.
        options: ``confirm``, ``configs`` and ``tool_configs``.

    Raises:
        ToolsetConfigError: An option is wrong, or ``confirm`` is missing.
    """

    def __init__(
        self,
        *,
        session: agentbay.Session | None = None,
        bay: agentbay.AgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**_served(options))
        params = params or CreateSessionParams(image_id=_IMAGE)
        self._owner = BlockingSessionOwner(
            _FRAMEWORK, session=session, bay=bay, params=params, run=run
        )

    def execute(self, context: Any, name: Any, input: Any) -> Any:
        """Run one member; the first makes the session."""
        computer = self._owner.get().computer
        member, answer, error = _member(name, input), None, None
        while True:
            try:
                what, args = member.send(answer) if error is None else member.throw(error)
            except StopIteration as end:
                return end.value
            answer, error = None, None
            try:
                if what == "sleep":
                    time.sleep(*args)  # the model asked for a pause; this toolset blocks
                else:
                    answer = getattr(computer, what)(*args).unwrap()
            except BaseException as raised:  # goes on by way of the member
                error = raised

    def close(self) -> None:
        """End the toolset, and delete the session if it was made here."""
        super().close()
        self._owner.close()


def _served(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a toolset that switches off what is not served."""
    configs: Mapping[str, Any] = options.get("configs") or {}
    off = {name: {"enabled": False} for name in _NOT_SERVED}
    return {**options, "configs": {**off, **configs}}


def _member(name: str, given: Any) -> Member:
    """Yield the calls of a member, and return its result.

    Both toolsets run it: one awaits the calls. An error of a call is raised at its ``yield``.
    """
    if name in _CLICKS:
        x, y = yield from _point(given.coordinate)
        clicks = [("click_mouse", (x, y, button)) for button in _CLICKS[name]]
        return (yield from _with_keys(given.text, clicks))
    if name not in _MEMBERS:
        raise ToolError(f"{name} is not available in AgentBay")
    return (yield from _MEMBERS[name](given))


def _point(coordinate: list[int] | None) -> Generator[Call, Any, tuple[int, int]]:
    if coordinate is not None:
        return coordinate[0], coordinate[1]
    found = yield "get_cursor_position", ()
    return found.x, found.y


def _with_keys(text: str | None, calls: list[Call]) -> Member:
    """Yield some calls, while keys are held down; they are released after an error too."""
    keys = text.split("+") if text else []
    if keys:
        yield "press_keys", (keys, True)
    try:
        # Not "yield from": answers are sent in, and an iterator of a list has no send().
        for call in calls:  # noqa: UP028
            yield call
    finally:
        if keys:
            yield "release_keys", (keys,)


def _drag(given: Any) -> Member:
    points = (*given.start_coordinate, *given.coordinate)
    yield from _with_keys(given.text, [("drag_mouse", points)])


def _move(given: Any) -> Member:
    yield "move_mouse", tuple(given.coordinate)


def _cursor(_given: Any) -> Member:
    x, y = yield from _point(None)
    return BetaComputerCursorPositionResult(x=x, y=y)


def _scroll(given: Any) -> Member:
    x, y = yield from _point(given.coordinate)
    turn = ("scroll", (x, y, given.scroll_direction, given.scroll_amount))
    yield from _with_keys(given.text, [turn])


def _type(given: Any) -> Member:
    yield "input_text", (given.text,)


def _key(given: Any) -> Member:
    for _ in range(given.repeat or 1):
        yield "press_keys", (given.text.split("+"),)


def _hold_key(given: Any) -> Member:
    yield from _with_keys(given.text, [("sleep", (given.duration,))])


def _wait(given: Any) -> Member:
    yield "sleep", (given.duration,)


def _screenshot(_given: Any) -> Member:
    picture = yield "beta_take_screenshot", ()
    return BetaScreenshotResult(data=base64.b64encode(picture.data).decode())


_MEMBERS = {
    "left_click_drag": _drag,
    "mouse_move": _move,
    "cursor_position": _cursor,
    "scroll": _scroll,
    "type": _type,
    "key": _key,
    "hold_key": _hold_key,
    "wait": _wait,
    "screenshot": _screenshot,
}
