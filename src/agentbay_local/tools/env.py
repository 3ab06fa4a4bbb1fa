"""The tools ``set_env`` and ``get_env``: environment variables of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["get_env", "set_env"]

# Every program starts with all of them; Linux allows a few times more.
_MAX_CHARACTERS = 256 * 1024
# Linux's MAX_ARG_STRLEN is 128 KiB for one variable, including the final NUL.
_MAX_VARIABLE = 128 * 1024 - 1


async def set_env(context: ToolContext, arguments: Arguments) -> str:
    """Set variables, all or none; programs that already run keep theirs."""
    new = dict(_read_pair(arguments, i, item) for i, item in enumerate(_read_items(arguments)))
    env = context.state.env
    if sum(len(name) + len(value) for name, value in {**env, **new}.items()) > _MAX_CHARACTERS:
        raise arguments.wrong("envs", f"make more than {_MAX_CHARACTERS} characters together")
    env.update(new)
    return "True"


async def get_env(context: ToolContext, arguments: Arguments) -> str:
    """Answer with the variables that were set, or with those among ``keys``."""
    env = context.state.env
    if arguments.values.get("keys") is None:
        return compact_json(env)
    return compact_json({key: env[key] for key in arguments.texts("keys") if key in env})


def _read_items(arguments: Arguments) -> list[Any]:
    items: Any = arguments.values.get("envs")
    if not isinstance(items, list) or not items:
        raise arguments.wrong("envs", "is required and must be a list of objects")
    return items


def _read_pair(arguments: Arguments, index: int, item: object) -> tuple[str, str]:
    # Values may be secrets, so no message repeats one.
    name = f"envs[{index}]"
    key, value = (item.get("key"), item.get("value")) if isinstance(item, dict) else (None, None)
    if not isinstance(key, str) or not isinstance(value, str):
        raise arguments.wrong(name, "must have strings key and value")
    if not key or "=" in key or "\0" in key or "\0" in value:
        raise arguments.wrong(name, "must have a key without '=', and no NUL")
    try:
        size = len(f"{key}={value}".encode())
    except UnicodeEncodeError as error:
        raise arguments.wrong(name, "must be text, but has half a surrogate pair") from error
    if size > _MAX_VARIABLE:
        raise arguments.wrong(name, f"must have at most {_MAX_VARIABLE} bytes")
    return key, value
