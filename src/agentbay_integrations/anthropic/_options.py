"""What the toolsets check before they make a session."""

from __future__ import annotations

from typing import Any

from anthropic.tools import ToolsetClosedError, ToolsetConfigError
from anthropic.tools.browser import BetaLocalFilePolicy

from agentbay_integrations.anthropic._requirements import require

__all__ = ["BROWSER_IMAGE", "FRAMEWORK", "browser_options", "check_open"]

FRAMEWORK = "anthropic"
BROWSER_IMAGE = "browser_latest"


def browser_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options, which are those of the framework.

    Raises:
        ImportError: Playwright or Pillow is missing.
        ToolsetConfigError: The file policy is for files of this machine.
    """
    require(playwright="Playwright", PIL="Pillow")
    if isinstance(options.get("file_policy"), BetaLocalFilePolicy):
        raise ToolsetConfigError(
            "file_policy must be for files of the session, such as a SessionFilePolicy;"
            " BetaLocalFilePolicy is for files of this machine"
        )
    return options


def check_open(is_closed: bool) -> None:
    """Refuse a member that begins after `close`: it would make another session.

    The framework refuses calls that come later. One that waits for its turn when a cancel ends the
    wait of `close` begins all the same.

    Raises:
        ToolsetClosedError: The toolset is closed.
    """
    if is_closed:
        raise ToolsetClosedError("the toolset is closed: make another one")
