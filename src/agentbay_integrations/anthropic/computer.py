"""The desktop of a session as the computer toolset for ``AsyncAnthropic``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from anthropic.tools.computer import BetaAsyncAbstractComputerToolset20260801

from agentbay_async import CreateSessionParams
from agentbay_integrations._sessions import SessionOwner
from agentbay_integrations.anthropic._computer_members import (
    COMPUTER_IMAGE,
    check_served,
    computer_member,
    computer_options,
)
from agentbay_integrations.anthropic._options import FRAMEWORK, check_open

if TYPE_CHECKING:
    from agentbay_async import AsyncAgentBay, AsyncSession

__all__ = ["AgentBayComputerToolset"]


class AgentBayComputerToolset(BetaAsyncAbstractComputerToolset20260801):
    """The desktop of a session as a toolset for ``AsyncAnthropic``.

    It serves 15 of the 17 members of ``computer_toolset_20260801``. ``left_mouse_down`` and
    ``left_mouse_up`` are off: a session presses no button without releasing it. A call of one tells
    the model to use ``left_click_drag``. Closing it deletes the session if it was made here.

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
        ImportError: Pillow is missing; the extra ``anthropic`` installs it.

    Example:
        ::

            async with AgentBayComputerToolset(confirm=lambda call: True) as toolset:
                runner = client.beta.messages.tool_runner(tools=[toolset], **request)
                print(await runner.until_done())
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
        super().__init__(**computer_options(options))
        params = params or CreateSessionParams(image_id=COMPUTER_IMAGE)
        self._owner = SessionOwner(FRAMEWORK, session=session, bay=bay, params=params, run=run)
        self._is_closed = False

    # A part of the framework that it does not document: it says of a member that is off only that
    # the application does not permit it.
    async def _toolset_run(self, context: Any, name: str, input: Any) -> Any:
        check_served(name)
        return await super()._toolset_run(context, name, input)

    async def execute(self, context: Any, name: Any, input: Any) -> Any:
        """Run one member; the first makes the session."""
        check_open(self._is_closed)
        session = await self._owner.get()
        member, answer, error = computer_member(name, input), None, None
        while True:
            try:
                what, args = member.send(answer) if error is None else member.throw(error)
            except StopIteration as end:
                return end.value
            # After an error, also of a cancel, what is left is to release keys.
            with anyio.CancelScope(shield=error is not None):
                answer, error = None, None
                try:
                    answer = await _done(session, what, *args)
                except BaseException as raised:  # goes on by way of the member
                    error = raised

    async def close(self) -> None:
        """End the toolset, and delete the session if it was made here."""
        try:
            await super().close()  # waits for members that run
        finally:
            self._is_closed = True
            await self._owner.close()


async def _done(session: AsyncSession, what: str, *args: Any) -> Any:
    """Do what a member has yielded, and return its answer."""
    if what == "sleep":
        return await anyio.sleep(*args)
    if what == "work":
        return await anyio.to_thread.run_sync(*args)
    return (await getattr(session.computer, what)(*args)).unwrap()
