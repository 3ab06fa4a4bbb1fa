"""Environment variables of a session: visibility and limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")


def pairs(**variables: str) -> list[dict[str, str]]:
    """Return variables as the tool takes them."""
    return [{"key": name, "value": value} for name, value in variables.items()]


async def test_the_next_command_sees_a_variable_that_was_set(api: Api) -> None:
    """Quotes, line breaks and other alphabets survive; a variable can be changed."""
    session = await api.session()
    await api.tool(session, "set_env", envs=pairs(STAGE="old", TEXT="a 'b'\n汉"))
    assert await api.tool(session, "set_env", envs=pairs(STAGE="new")) == (False, "True")
    assert await api.sh(session, 'printf %s "$STAGE|$TEXT"') == "new|a 'b'\n汉"


async def test_a_variable_of_one_command_hides_that_of_the_session(api: Api) -> None:
    """Only for that command."""
    session = await api.session()
    await api.tool(session, "set_env", envs=pairs(WHO="session"))
    arguments = {"command": "echo $WHO", "envs": {"WHO": "command"}}
    _, text = await api.tool(session, "shell", **arguments)
    assert json.loads(text)["stdout"] == "command\n"
    assert await api.sh(session, "echo $WHO") == "session\n"


async def test_all_or_some_variables_are_read(api: Api) -> None:
    """Unset ones are missing in the answer."""
    session = await api.session()
    assert await api.tool(session, "get_env") == (False, "{}")
    await api.tool(session, "set_env", envs=pairs(A="1", B="2"))
    _, text = await api.tool(session, "get_env")
    assert json.loads(text) == {"A": "1", "B": "2"}
    _, text = await api.tool(session, "get_env", keys=["B", "C"])
    assert json.loads(text) == {"B": "2"}


async def test_sessions_do_not_see_the_variables_of_each_other(api: Api) -> None:
    """They belong to one session."""
    mine, other = await api.session(), await api.session()
    await api.tool(mine, "set_env", envs=pairs(MINE="yes"))
    assert await api.tool(other, "get_env") == (False, "{}")
    assert await api.sh(other, 'printf %s "${MINE-unset}"') == "unset"


@pytest.mark.parametrize(
    "envs",
    [
        None,
        [],
        {"A": "b"},
        ["A=b"],
        [{"key": "A"}],
        [{"key": "A", "value": 1}],
        pairs(**{"": "x"}),
        pairs(**{"A=B": "x"}),
        pairs(A="secret\0"),
        pairs(A="\ud800"),
        pairs(A="secret" * 50_000),
    ],
)
async def test_an_invalid_variable_is_an_error_and_sets_nothing(api: Api, envs: Any) -> None:
    """The valid ones are not set either; values, which may be secrets, are not repeated."""
    session = await api.session()
    others = [*pairs(GOOD="1"), *envs] if isinstance(envs, list) and envs else envs
    is_error, text = await api.tool(session, "set_env", envs=others)
    assert is_error
    assert "set_env: envs" in text
    assert "secret" not in text
    assert await api.tool(session, "get_env") == (False, "{}")
    assert await api.sh(session, "echo works") == "works\n"


async def test_the_size_of_all_variables_is_limited(api: Api) -> None:
    """Below the limit of Linux, beyond which no command would start."""
    session = await api.session()
    answers = [
        await api.tool(session, "set_env", envs=pairs(**{f"V{number}": "x" * 100_000}))
        for number in range(4)
    ]
    assert [is_error for is_error, _ in answers] == [False, False, True, True]
    assert await api.sh(session, "echo works") == "works\n"
