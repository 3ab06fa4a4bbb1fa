"""The tools ``oss_upload_annon`` and ``oss_download_annon``: transfer files to and from a URL.

A program in the session does the transfer, so it reaches the hosts that the session may reach and
no others. The tools that need an account of Alibaba Cloud's object storage are not offered.
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

_TIMEOUT = 600.0
_PROGRAM = Path(__file__).with_name("inside") / "transfer_program.py"
_ALLOW_HOSTS = (
    "a session reaches only the hosts that the local service was started with: "
    "--allow-host HOST, or LocalService(allow_hosts=[...])"
)


async def oss_upload_annon(context: ToolContext, arguments: Arguments) -> str:
    """Upload a file of the session to a URL."""
    return await _transfer(context, arguments, "Upload")


async def oss_download_annon(context: ToolContext, arguments: Arguments) -> str:
    """Download from a URL to a file of the session."""
    return await _transfer(context, arguments, "Download")


async def _transfer(context: ToolContext, arguments: Arguments, verb: str) -> str:
    url, path = _read_url(arguments), arguments.path("path")
    task = compact_json({"verb": verb.lower(), "url": url, "path": path})
    done = await context.sandbox.run(
        [str(find_interpreter().program), "-I", "-X", "utf8", "-c", _read_program()],
        timeout=_TIMEOUT,
        env=context.state.env,
        # On standard input, because every process of the session can read a command line.
        stdin=task.encode("utf-8", "surrogateescape"),
    )
    if done.exit_code == 0:
        return f"{verb} success"
    if done.timed_out:
        raise ToolError(f"{verb} failed: it took longer than {_TIMEOUT:.0f} seconds")
    reason = done.stderr.decode("utf-8", "replace").strip()[-500:] or "the session ended it"
    remedy = f" ({_ALLOW_HOSTS})" if done.exit_code == UNREACHABLE else ""
    raise ToolError(f"{verb} failed: {reason}{remedy}")


def _read_url(arguments: Arguments) -> str:
    url = arguments.text("url")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    # The URL may hold a signature, so no message repeats it.
    if not valid or not url.isascii() or not url.isprintable() or " " in url:
        raise arguments.wrong("url", "must be an http or https URL, percent-encoded where needed")
    return url


@functools.cache
def _read_program() -> str:
    return _PROGRAM.read_text("utf-8")
