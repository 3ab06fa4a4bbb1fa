"""The tools ``set_env`` and ``get_env``: variables of everything that starts in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json

if TYPE_CHECKING:
    from agentbay_local.protocol.arguments import Arguments
    from agentbay_local.tools.tool_context import ToolContext

__all__ = ["get_env", "set_env"]

# Every start of a program carries them all; the system's own limit is a few times higher.
_MOST_CHARACTERS = 256 * 1024
# The system takes no longer text for one variable; one byte of it is the end.
_LONGEST = 128 * 1024 - 1


async def set_env(place: ToolContext, arguments: Arguments) -> str:
    """Set variables, all or none; what runs already keeps those that it has."""
    new = dict(_pair(arguments, index, item) for index, item in enumerate(_items(arguments)))
    merged = {**place.memory.env, **new}
    if sum(len(name) + len(value) for name, value in merged.items()) > _MOST_CHARACTERS:
        raise arguments.wrong("envs", f"make more than {_MOST_CHARACTERS} characters together")
    place.memory.env.update(new)
    return "True"


async def get_env(place: ToolContext, arguments: Arguments) -> str:
    """Answer with the variables that were set, or those of them that are asked for."""
    env = place.memory.env
    if arguments.values.get("keys") is None:
        return compact_json(env)
    return compact_json({key: env[key] for key in arguments.texts("keys") if key in env})


def _items(arguments: Arguments) -> list[Any]:
    items: Any = arguments.values.get("envs")
    if not isinstance(items, list) or not items:
        raise arguments.wrong("envs", "is required and must be a list of objects")
    return items


def _pair(arguments: Arguments, index: int, item: object) -> tuple[str, str]:
    # Values may be secrets, so none is in a message.
    where = f"envs[{index}]"
    name, value = (item.get("key"), item.get("value")) if isinstance(item, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(value, str):
        raise arguments.wrong(where, "must have texts key and value")
    if not name or "=" in name or "\0" in name or "\0" in value:
        raise arguments.wrong(where, "must have a name without '=', and no NUL in it")
    try:
        size = len(f"{name}={value}".encode())
    except UnicodeEncodeError as error:
        raise arguments.wrong(where, "must be text, but has half a surrogate pair") from error
    if size > _LONGEST:
        raise arguments.wrong(where, f"must have at most {_LONGEST} bytes")
    return name, value
