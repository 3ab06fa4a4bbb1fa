"""What tools see of a session, for tests that call tools without a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local.browser.browsers import Browsers
from agentbay_local.tools.tool_context import ToolContext
from agentbay_local.tools.tool_state import ToolState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_local.code import Kernels
    from agentbay_local.sandbox.base import Sandbox


def tool_context(session_id: str, sandbox: Sandbox, kernels: Kernels) -> ToolContext:
    """Return a context whose tools can start a browser, and store no file outside."""

    async def get_sandbox(_: str) -> Sandbox:
        return sandbox

    async def publish(path: str, _content: bytes, _old: Sequence[str]) -> str:
        raise AssertionError(f"there is no service to store {path}")

    browsers = Browsers(get_sandbox, lambda _: {}, lambda _: False)
    return ToolContext(session_id, sandbox, ToolState(), kernels, browsers, publish)
