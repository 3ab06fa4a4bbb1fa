"""Images of sessions, and their tools.

Every image is the same Linux with the same tools: the system directories of the host, read-only.
The names exist so that programs for the cloud run unchanged.
"""

from __future__ import annotations

from functools import cache

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.errors import invalid
from agentbay_local.tools.schemas import TOOLS

__all__ = ["COMMANDS", "DEFAULT", "not_offered", "offered", "tool_list"]

DEFAULT = "linux_latest"
_IMAGES = (DEFAULT, "code_latest")

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


def not_offered(image: str, name: str) -> str:
    """Return the error message for a tool that an image does not have."""
    text = f"Tool {name!r:.100} is not offered by image {image!r} here"
    if name.startswith("oss_"):
        return f"{text}: it needs Alibaba Cloud; oss_upload_annon takes a signed URL of any store."
    return (
        f"{text}: browsers, desktops, phones and agents need the cloud service; ListMcpTools lists "
        "the tools of the local one."
    )


@cache
def tool_list() -> str:
    """Return the JSON text of the tools, in the short form that sessions carry."""
    return compact_json([{"name": tool.name, "server": tool.server} for tool in TOOLS.values()])
