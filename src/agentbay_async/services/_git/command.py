"""Runs git in a session: the command line, its environment, and what kind of failure it was."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async.errors import (
    CommandError,
    GitAuthError,
    GitConflictError,
    GitError,
    GitNotFoundError,
)
from agentbay_async.services._git import parsing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from agentbay_async.models.commands import CommandResult
    from agentbay_async.services.command import AsyncCommand

# Nobody is there to answer a question or to leave an editor, and the words must be those that are
# looked for.
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_MERGE_AUTOEDIT": "no",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_CONFLICTS = ("diff", "--name-only", "--diff-filter=U", "-z")


@attrs.frozen
class Limit:
    """How long a command may take, as the caller said it; ``default`` is in seconds."""

    timeout_ms: int | None
    timeout: float | timedelta | None
    default: float = 30.0


async def run(
    command: AsyncCommand,
    repo: str | None,
    args: Sequence[str],
    limit: Limit,
    *,
    may_conflict: bool = False,
    then: Sequence[str] = (),
) -> tuple[str, str]:
    """Run git and return what it wrote to its standard output, and the id of the request.

    Args:
        command: Runs it.
        repo: The directory of the repository; ``None`` for the home directory.
        args: The arguments, unquoted.
        limit: How long it may take.
        may_conflict: Look for conflicts when it fails.
        then: Arguments of a second git that is run if the first succeeds.

    Raises:
        GitError: It failed.
        AgentBayError: It could not be run.
    """
    line = _line(repo, args)
    if then:
        line = f"{line} && {_line(repo, then)}"
    result = await _execute(command, line, limit)
    if result.error is None:
        return result.stdout, result.request_id
    if not isinstance(result.error, CommandError):
        raise result.error
    error = failure(result.error)
    if may_conflict and type(error) is GitError:
        files = await _conflicts(command, repo)
        error = _conflicted(error, files) if files else error
    raise error from None


async def _execute(command: AsyncCommand, line: str, limit: Limit) -> CommandResult:
    unset = limit.timeout_ms is None and limit.timeout is None
    return await command.execute_command(
        line,
        limit.timeout_ms,
        envs=_ENVIRONMENT,
        timeout=limit.default if unset else limit.timeout,
    )


def _line(repo: str | None, args: Sequence[str]) -> str:
    words = ["git", *(() if repo is None else ("-C", repo)), *args]
    return shlex.join(_check.encodable(word, "each argument of git") for word in words)


async def _conflicts(command: AsyncCommand, repo: str | None) -> list[str]:
    result = await _execute(command, _line(repo, _CONFLICTS), Limit(None, None))
    return parsing.names(result.stdout) if result.success else []


def failure(error: CommandError) -> GitError:
    """Return the error of git for a command that failed."""
    stderr, stdout = parsing.masked(error.stderr), parsing.masked(error.stdout)
    # An image that does not keep the streams apart has its words in the message.
    kind = parsing.kind_of_failure(error.exit_code, stderr or error.message)
    # Some failures, such as a commit of nothing, are told on the standard output.
    said = stderr.strip() or stdout.strip() or parsing.masked(error.message)
    made = kind(
        said, request_id=error.request_id, session_id=error.session_id, hint=_HINTS.get(kind, "")
    )
    made.exit_code, made.stdout, made.stderr = error.exit_code, stdout, stderr
    return made


_HINTS: dict[type[GitError], str] = {
    GitNotFoundError: "Install git in the session, or take an image that has it",
    GitAuthError: "Put a token into the URL, or set a credential helper",
}


def _conflicted(error: GitError, files: Sequence[str]) -> GitConflictError:
    made = GitConflictError(
        f"conflicts in {', '.join(files)}",
        request_id=error.request_id,
        session_id=error.session_id,
        hint="Resolve them, add the files and commit",
    )
    made.exit_code, made.stdout, made.stderr = error.exit_code, error.stdout, error.stderr
    made.files = tuple(files)
    return made
