"""The arguments that every tool handler needs besides those of the call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentbay_local.browser.browsers import Browsers
    from agentbay_local.code import Kernels
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.tools.tool_state import ToolState

__all__ = ["ToolContext"]


@attrs.frozen
class ToolContext:
    """One session, as a tool sees it.

    Attributes:
        session_id: Id of the session.
        sandbox: Its live sandbox.
        state: Variables and watched paths, kept between calls.
        kernels: Run code in the session.
        browsers: Start and end its browser.
        publish: Stores a file outside of the session, by its path in the session's internal
            context, its content and the paths of files to delete; returns a URL to read it.
    """

    session_id: str
    sandbox: Sandbox
    state: ToolState
    kernels: Kernels
    browsers: Browsers
    publish: Callable[[str, bytes, Sequence[str]], Awaitable[str]]
