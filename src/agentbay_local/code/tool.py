"""The tool ``run_code``."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from agentbay_local.sandbox.problems import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.code.runner import CodeRunner
    from agentbay_local.tools.arguments import Arguments

__all__ = ["run_code"]

_DEFAULT_SECONDS = 60
_LONGEST_SECONDS = 24 * 3600


async def run_code(
    runner: CodeRunner, session: str, env: Mapping[str, str], arguments: Arguments
) -> str:
    """Run code in a session and answer with all that came out of it.

    Code that fails or runs out of time is an ordinary answer, which holds what came out until then.

    Args:
        runner: What runs it.
        session: Id of the session.
        env: Variables of the session.
        arguments: ``code``, ``language``, and perhaps ``timeout_s``.

    Raises:
        ToolFailure: The arguments are wrong, or the language is not installed.
    """
    code, language = arguments.text("code"), arguments.text("language")
    seconds = arguments.count("timeout_s", _DEFAULT_SECONDS, _LONGEST_SECONDS)
    try:
        outcome = await runner.run(session, language, code, max(seconds, 1), env)
    except InvalidRequest as error:
        raise arguments.wrong(error.argument, error.message) from error
    return outcome.answer(uuid.uuid4().hex)
