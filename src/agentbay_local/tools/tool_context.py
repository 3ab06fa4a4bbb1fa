"""Where a tool works: one session's sandbox, and what belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from agentbay_local.code import Kernels
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.tools.tool_state import ToolState

__all__ = ["ToolContext"]


@attrs.frozen
class ToolContext:
    """What a tool has at hand.

    Attributes:
        session_id: The session.
        sandbox: Its live sandbox.
        memory: What its tools remember.
        code: What runs code in it.
    """

    session_id: str
    sandbox: Sandbox
    memory: ToolState
    code: Kernels
