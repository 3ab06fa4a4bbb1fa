"""Environment variables of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import InvalidArgumentError
from agentbay_async.models.results import returns_result
from agentbay_async.models.tools import BoolResult, EnvResult
from agentbay_async.services._tool_calls import call_tool, read_json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentbay_async._api import Api
    from agentbay_async.models.tools import McpToolResult
    from agentbay_async.session import AsyncSession


class AsyncEnv:
    """Set and read the environment variables of commands, code and terminals in one session.

    A variable takes effect for everything that starts afterwards. It can be changed, not removed.

    Example:
        ::

            await session.env.set({"STAGE": "test"})
            print((await session.env.get(["STAGE"])).envs["STAGE"])
    """

    __slots__ = ("__weakref__", "_api", "_find_session", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    @returns_result(BoolResult)
    async def set(self, envs: Mapping[str, str]) -> BoolResult:
        """Set variables for the whole session.

        Args:
            envs: Names and values; at least one.

        Raises:
            ArgumentTypeError: `envs` does not map texts to texts.
            InvalidArgumentError: `envs` is empty, or a name contains ``=`` or white space.
        """
        checked = _check.variables(envs)
        if not checked:
            raise InvalidArgumentError("envs must not be empty; give at least one variable")
        return BoolResult.ok(True, await set_variables(self._api, self._session_id, checked))

    @returns_result(EnvResult)
    async def get(self, keys: Sequence[str] | None = None) -> EnvResult:
        """Read variables of the session.

        Args:
            keys: Names of the variables; ``None`` for all. The result lacks those that are not set.
        """
        args: dict[str, list[str]] = {}
        if keys is not None:
            wanted = _check.sequence(keys, "keys", str)
            args["keys"] = [_check.identifier(key, "each of keys") for key in wanted]
        answer = await call_tool(self._api, self._session_id, "get_env", args)
        return EnvResult.ok(_read_envs(answer), answer.request_id)


async def set_variables(api: Api, session_id: str, envs: Mapping[str, str]) -> str:
    """Set variables for a whole session, and return the id of the request.

    Raises:
        ToolError: Its image cannot set them.
    """
    pairs = [{"key": name, "value": value} for name, value in envs.items()]
    return (await call_tool(api, session_id, "set_env", {"envs": pairs})).request_id


def _read_envs(answer: McpToolResult) -> dict[str, str]:
    envs = read_json_object(answer, "get_env")
    return {str(name): _as_text(value) for name, value in envs.items() if value is not None}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
