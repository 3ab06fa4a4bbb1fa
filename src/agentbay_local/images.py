"""Images of sessions, and the tools of each.

Every image is the same Linux: the system directories of the host, read-only. The names exist so
that programs for the cloud run unchanged.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.errors import invalid
from agentbay_local.tools.schemas import TOOLS

if TYPE_CHECKING:
    from agentbay_async._protocol.schema import Tool

__all__ = ["COMMANDS", "DEFAULT", "not_offered", "offered", "tool_list", "tools_of"]

DEFAULT = "linux_latest"
_CODE = "code_latest"
_IMAGES = (DEFAULT, _CODE)
_CODE_TOOLS = frozenset({"run_code"})

COMMANDS = frozenset({"shell", "run_code"})
"""The tools that run programs. A call ends when its client hangs up or its session pauses."""


def offered(image: str | None) -> str:
    """Return the name of an image, or the default for None.

    Raises:
        ApiError: There is no such image; the message lists those that exist.
    """
    name = image or DEFAULT
    if name not in _IMAGES:
        raise invalid(
            "ImageId",
            f"{name!r:.100} is not offered by the local service, which has {' and '.join(_IMAGES)}:"
            f" use one of these, or the cloud service for browsers, Windows and mobile images.",
        )
    return name


@cache
def tools_of(image: str) -> dict[str, Tool]:
    """Return the tools of an image by name."""
    return {name: tool for name, tool in TOOLS.items() if image == _CODE or name not in _CODE_TOOLS}


def not_offered(image: str, name: str) -> str:
    """Return the error message for a tool that an image does not have."""
    text = f"Tool {name!r:.100} is not offered by image {image!r} here"
    if name in _CODE_TOOLS:
        return f"{text}; create the session from {_CODE!r}."
    if name.startswith("oss_"):
        return f"{text}: it needs Alibaba Cloud; oss_upload_annon takes a signed URL of any store."
    return f"{text}."


@cache
def tool_list(image: str) -> str:
    """Return the JSON text of an image's tools, in the short form that sessions carry."""
    return compact_json(
        [{"name": tool.name, "server": tool.server} for tool in tools_of(image).values()]
    )
