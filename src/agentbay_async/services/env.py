"""Variables of a session."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, BadAnswerError, InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.tools import BoolResult, EnvResult
from agentbay_async.services._tool_calls import call_tool

if TYPE_CHECKING:
    from agentbay_async._api import Api


class AsyncEnv:
    """Sets and reads the variables that commands, code and terminals of one session see.

    What is set is seen by whatever starts afterwards, and can be changed but not removed.

    Example:
        ::

            await session.env.set({"STAGE": "test"})
            print((await session.env.get(["STAGE"])).envs["STAGE"])
    """

    __slots__ = ("__weakref__", "_api", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    @returns_result(BoolResult)
    async def set(self, envs: Mapping[str, str]) -> BoolResult:
        """Set variables for the whole session.

        Args:
            envs: Names and values; at least one.

        Raises:
            ArgumentTypeError: It does not map texts to texts.
            InvalidArgumentError: There is none, or a name has ``=`` or blanks in it.
        """
        pairs = [{"key": name, "value": value} for name, value in _variables(envs).items()]
        answer = await call_tool(self._api, self._session_id, "set_env", {"envs": pairs})
        return BoolResult.ok(True, answer.request_id)

    @returns_result(EnvResult)
    async def get(self, keys: Sequence[str] | None = None) -> EnvResult:
        """Read variables of the session.

        Args:
            keys: Which; ``None`` for all. Those that are not set are missing in the answer.
        """
        args: dict[str, list[str]] = {}
        if keys is not None:
            wanted = _check.sequence(keys, "keys", str)
            args["keys"] = [_check.identifier(key, "each of keys") for key in wanted]
        answer = await call_tool(self._api, self._session_id, "get_env", args)
        return EnvResult.ok(_read(answer.data, answer.request_id), answer.request_id)


def _variables(envs: object) -> dict[str, str]:
    if not isinstance(envs, Mapping):
        raise ArgumentTypeError(f"envs must map str to str, not be a {type(envs).__name__}")
    if not envs:
        raise InvalidArgumentError("envs must not be empty; give at least one variable")
    for name, value in envs.items():
        if "=" in _check.identifier(name, "each name in envs"):
            raise InvalidArgumentError(f"each name in envs must be without '=', not {name!r}")
        # A value may be a secret, so it is in no message.
        if "\0" in _check.encodable(_check.string(value, f"envs[{name!r}]"), f"envs[{name!r}]"):
            raise InvalidArgumentError(f"envs[{name!r}] must not contain a NUL character")
    return dict(envs)


def _read(text: str, request_id: str) -> dict[str, str]:
    try:
        envs = json.loads(text)
    except (ValueError, RecursionError):
        envs = None
    if not isinstance(envs, dict):
        raise BadAnswerError("get_env: the answer is no JSON object", request_id=request_id)
    return {str(name): _as_text(value) for name, value in envs.items() if value is not None}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
