"""The desktop of a session as the computer toolset for ``Anthropic``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from anthropic.tools.computer import BetaAbstractComputerToolset20260801

from agentbay_async import CreateSessionParams
from agentbay_integrations._sessions import BlockingSessionOwner
from agentbay_integrations.anthropic._computer_members import (
    COMPUTER_IMAGE,
    check_served,
    computer_member,
    computer_options,
)
from agentbay_integrations.anthropic._options import FRAMEWORK, check_open

if TYPE_CHECKING:
    import agentbay

__all__ = ["BlockingAgentBayComputerToolset"]


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
        ImportError: Pillow is missing; the extra ``anthropic`` installs it.

    Example:
        ::

            with BlockingAgentBayComputerToolset(confirm=lambda call: True) as toolset:
                runner = client.beta.messages.tool_runner(tools=[toolset], **request)
                print(runner.until_done())
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
        super().__init__(**computer_options(options))
        params = params or CreateSessionParams(image_id=COMPUTER_IMAGE)
        self._owner = BlockingSessionOwner(
            FRAMEWORK, session=session, bay=bay, params=params, run=run
        )
        self._is_closed = False

    # A part of the framework that it does not document: it says of a member that is off only that
    # the application does not permit it.
    def _toolset_run(self, context: Any, name: str, input: Any) -> Any:
        check_served(name)
        return super()._toolset_run(context, name, input)

    def execute(self, context: Any, name: Any, input: Any) -> Any:
        """Run one member; the first makes the session."""
        check_open(self._is_closed)
        session = self._owner.get()
        member, answer, error = computer_member(name, input), None, None
        while True:
            try:
                what, args = member.send(answer) if error is None else member.throw(error)
            except StopIteration as end:
                return end.value
            answer, error = None, None
            try:
                answer = _done(session, what, *args)
            except BaseException as raised:  # goes on by way of the member
                error = raised

    def close(self) -> None:
        """End the toolset, and delete the session if it was made here."""
        try:
            super().close()  # waits for members that run
        finally:
            self._is_closed = True
            self._owner.close()


def _done(session: agentbay.Session, what: str, *args: Any) -> Any:
    """Do what a member has yielded, and return its answer."""
    if what == "sleep":
        return time.sleep(*args)  # the model asked for a pause; this toolset blocks
    if what == "work":
        function, *values = args
        return function(*values)
    return getattr(session.computer, what)(*args).unwrap()
