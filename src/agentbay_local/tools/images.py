"""The images that sessions can be created from, and the tools each of them offers.

Here every image is the same Linux: the host's own system directories, read-only. The names exist so
that programs written for the cloud run unchanged.
"""

from __future__ import annotations

from functools import cache

from agentbay_async._wire.codec import compact_json
from agentbay_local.dialect.problems import invalid
from agentbay_local.tools.catalogue import TOOLS

__all__ = ["DEFAULT", "offered", "tool_list"]

DEFAULT = "linux_latest"
_ELSEWHERE = ("windows", "mobile", "android")
_LONGEST = 128


def offered(image: str | None) -> str:
    """Return the image a session is created from; custom images stand for this machine's Linux.

    Raises:
        Problem: It is of a kind that no Linux machine can stand in for.
    """
    name = image or DEFAULT
    if len(name) > _LONGEST or not name.isprintable():
        raise invalid("ImageId", f"must be printable and at most {_LONGEST} characters long.")
    if name.lower().startswith(_ELSEWHERE):
        raise invalid(
            "ImageId",
            f"{name!r} is not offered by the local service, which has Linux only: use "
            f"{DEFAULT!r}, or the cloud service for Windows and mobile images.",
        )
    return name


@cache
def _listed() -> str:
    return compact_json([{"name": tool.name, "server": tool.server} for tool in TOOLS.values()])


def tool_list(image: str) -> str:
    """Return the JSON text of an image's tools, in the short form that sessions carry."""
    del image  # one Linux for all
    return _listed()
