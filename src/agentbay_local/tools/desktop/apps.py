"""The tools of apps: list those that are installed or have windows, start and stop them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.tools.desktop.display import DONE, display_of, run_program
from agentbay_local.tools.desktop.windows import read_windows

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

__all__ = [
    "get_installed_apps",
    "list_visible_apps",
    "start_app",
    "stop_app_by_cmd",
    "stop_app_by_pid",
    "stop_app_by_pname",
]

_APP_FIELDS = ("name", "start_cmd", "stop_cmd", "work_directory")
_STOP_WITHIN = 10.0
_LARGEST_PID = 2**22


async def get_installed_apps(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the apps of the start menu and of the desktop."""
    answer = await run_program(
        context.sandbox,
        "apps_program",
        {
            "do": "list",
            "start_menu": arguments.flag("start_menu", default=True),
            "desktop": arguments.flag("desktop"),
            "ignore_system_app": arguments.flag("ignore_system_app", default=True),
        },
    )
    apps = _records(answer, "apps")
    return compact_json([{name: str(app.get(name, "")) for name in _APP_FIELDS} for app in apps])


async def start_app(context: ToolContext, arguments: Arguments) -> str:
    """Start a program on the display, and answer with its process."""
    command = _command(arguments, "start_cmd")
    directory = arguments.text("work_directory", "")
    arguments.text("activity", "")  # of mobile devices; a desktop has none
    env = {**context.state.env, **await display_of(context).variables()}
    request = {"do": "start", "command": command, "directory": directory}
    answer = await run_program(context.sandbox, "apps_program", request, env)
    return compact_json([_process(one) for one in _records(answer, "processes")])


async def list_visible_apps(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the processes that have windows."""
    del arguments
    windows, _ = await read_windows(display_of(context))
    found = {window["pid"]: window for window in windows if window["pid"]}
    return compact_json([_process(window) for window in found.values()])


async def stop_app_by_pname(context: ToolContext, arguments: Arguments) -> str:
    """Stop the processes with a name."""
    return await _stop(context, {"name": _filled(arguments, "pname")})


async def stop_app_by_pid(context: ToolContext, arguments: Arguments) -> str:
    """Stop a process."""
    # Not process 1, which is the agent of the session.
    return await _stop(context, {"pid": arguments.integer("pid", 2, _LARGEST_PID)})


async def stop_app_by_cmd(context: ToolContext, arguments: Arguments) -> str:
    """Run the command that stops an app."""
    command = _command(arguments, "stop_cmd")
    env = {**context.state.env, **await display_of(context).variables()}
    done = await context.sandbox.run(command, timeout=_STOP_WITHIN, env=env, output_limit=4096)
    if done.exit_code or done.timed_out:
        reason = done.stderr.decode("utf-8", "replace").strip()[-500:]
        how = "did not end in time" if done.timed_out else f"exited with {done.exit_code}"
        raise ToolError(f"{command[0]!r:.100} {how}: {reason or 'no reason given'}")
    return DONE


async def _stop(context: ToolContext, which: dict[str, str | int]) -> str:
    await run_program(context.sandbox, "apps_program", {"do": "stop", **which})
    return DONE


def _filled(arguments: Arguments, name: str) -> str:
    text = arguments.text(name)
    if not text.strip() or "\0" in text:
        raise arguments.wrong(name, "must not be empty and have no NUL")
    return text


def _command(arguments: Arguments, name: str) -> list[str]:
    """Return a program and its arguments, from a line that is quoted as for a shell."""
    try:
        return shlex.split(_filled(arguments, name))
    except ValueError as error:
        raise arguments.wrong(name, f"is not quoted as for a shell: {error}") from error


def _records(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    records = answer.get(name)
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise ToolError(f"The desktop of this session sent an invalid list of {name}")
    return records


def _process(found: dict[str, Any]) -> dict[str, Any]:
    try:
        pid = int(found["pid"])
    except (KeyError, TypeError, ValueError) as error:
        raise ToolError("The desktop of this session sent an invalid process") from error
    return {"pname": str(found.get("name")), "pid": pid, "cmdline": str(found.get("line"))}
