"""The tools ``oss_upload_annon`` and ``oss_download_annon``: files to and from a URL.

The session itself carries them, in its own network, so they reach what the session may reach and
nothing else. The tools that need Alibaba Cloud's object storage are not offered here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.host.programs import find_interpreter
from agentbay_local.tools.inside.transfer_program import UNREACHABLE

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["oss_download_annon", "oss_upload_annon"]

_WITHIN = 600.0
_PROGRAM = Path(__file__).with_name("inside") / "transfer_program.py"
_CLOSED = (
    "a session reaches only the hosts that the local service was started with: "
    "--allow-host HOST, or LocalService(allow_hosts=[...])"
)


async def oss_upload_annon(place: ToolContext, arguments: Arguments) -> str:
    """Upload a file of the session to a URL."""
    return await _carry(place, arguments, "Upload")


async def oss_download_annon(place: ToolContext, arguments: Arguments) -> str:
    """Download from a URL to a file of the session."""
    return await _carry(place, arguments, "Download")


async def _carry(place: ToolContext, arguments: Arguments, verb: str) -> str:
    url, path = _url(arguments), arguments.path("path")
    task = compact_json({"verb": verb.lower(), "url": url, "path": path})
    done = await place.sandbox.run(
        [str(find_interpreter().program), "-I", "-X", "utf8", "-c", _program()],
        timeout=_WITHIN,
        env=place.memory.env,
        stdin=task.encode("utf-8", "surrogateescape"),
    )
    if done.exit_code == 0:
        return f"{verb} success"
    if done.timed_out:
        raise ToolError(f"{verb} failed: it took longer than {_WITHIN:.0f} seconds")
    reason = done.stderr.decode("utf-8", "replace").strip()[-500:] or "the session ended it"
    remedy = f" ({_CLOSED})" if done.exit_code == UNREACHABLE else ""
    raise ToolError(f"{verb} failed: {reason}{remedy}")


def _url(arguments: Arguments) -> str:
    url = arguments.text("url")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    # The URL may hold a signature, so no message repeats it.
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise arguments.wrong("url", "must be an http or https URL, with all else percent-encoded")
    return url


@functools.cache
def _program() -> str:
    return _PROGRAM.read_text("utf-8")
