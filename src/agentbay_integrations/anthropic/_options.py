"""The options of the browser toolsets, checked before a session is made."""

from __future__ import annotations

from typing import Any

from anthropic.tools import ToolsetConfigError
from anthropic.tools.browser import BetaLocalFilePolicy

from agentbay_integrations.anthropic._requirements import require

__all__ = ["BROWSER_IMAGE", "FRAMEWORK", "browser_options"]

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
