"""The handler of each tool in `schemas`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local.tools import changes, code, content, env, filesystem, metrics, shell, storage
from agentbay_local.tools.schemas import FEATURES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

    Handler = Callable[[ToolContext, Arguments], Awaitable[str | bytes]]

__all__ = ["HANDLERS"]


def _browser(name: str) -> Handler:
    """Return a handler of `browser`, which is imported when it is called: it is rarely wanted."""

    async def handle(context: ToolContext, arguments: Arguments) -> str | bytes:
        from agentbay_local.tools import browser

        handler: Handler = getattr(browser, name)
        return await handler(context, arguments)

    return handle


async def _use_desktop(context: ToolContext, arguments: Arguments) -> str:
    # Few sessions have a desktop, so that this is imported when one is used.
    from agentbay_local.tools.desktop import handlers

    return await handlers.HANDLERS[arguments.tool](context, arguments)


HANDLERS: dict[str, Handler] = {
    "shell": shell.shell,
    "create_directory": filesystem.create_directory,
    "delete_file": filesystem.delete_file,
    "move_file": filesystem.move_file,
    "get_file_info": filesystem.get_file_info,
    "list_directory": filesystem.list_directory,
    "search_files": filesystem.search_files,
    "edit_file": content.edit_file,
    "read_file": content.read_file,
    "read_multiple_files": content.read_multiple_files,
    "write_file": content.write_file,
    "get_file_change": changes.get_file_change,
    "run_code": code.run_code,
    "set_env": env.set_env,
    "get_env": env.get_env,
    "get_metrics": metrics.get_metrics,
    "oss_upload_annon": storage.oss_upload_annon,
    "oss_download_annon": storage.oss_download_annon,
    "page_use_navigate": _browser("navigate"),
    "page_use_screenshot": _browser("screenshot"),
    "page_use_act": _browser("act"),
    "page_use_act_async": _browser("start_act"),
    "page_use_get_act_result": _browser("act_result"),
    "page_use_observe": _browser("observe"),
    "page_use_observe_async": _browser("start_observe"),
    "page_use_get_observe_result": _browser("task_result"),
    "page_use_extract": _browser("extract"),
    "page_use_extract_async": _browser("start_extract"),
    "page_use_get_extract_result": _browser("task_result"),
    "page_use_login": _browser("login"),
    "page_use_close_session": _browser("close_session"),
    "stopChrome": _browser("stop"),
    **{name: _use_desktop for name, feature in FEATURES.items() if feature == "desktop"},
}
