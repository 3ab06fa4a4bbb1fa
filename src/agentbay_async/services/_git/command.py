"""Run git in a session: the command line, its environment, and the error of a failure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async.errors import (
    AgentBayError,
    CommandError,
    GitAuthError,
    GitConflictError,
    GitError,
    GitNotARepoError,
    GitNotFoundError,
)
from agentbay_async.services._git import parsing
from agentbay_async.services._shell import run_shell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async._api import Api

#: Seconds that a command on a local repository may take.
LOCAL_TIMEOUT = 30.0

# Nobody is there to answer a prompt or to close an editor, and errors are recognized by their
# English text.
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_MERGE_AUTOEDIT": "no",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_LIST_CONFLICTS = ("diff", "--name-only", "--diff-filter=U", "-z")
_HINTS: dict[type[GitError], str] = {
    GitNotFoundError: "Install git in the session, or use an image that has it",
    GitNotARepoError: "Give the path of a repository, or make one there with git.init()",
    GitAuthError: "Put a token into the URL, or set a credential helper",
}


@attrs.frozen
class GitCommand:
    """Run git in one session; every failure raises."""

    api: Api
    session_id: str

    async def run(
        self,
        repo: str | None,
        args: Sequence[str],
        limit: float,
        *,
        may_conflict: bool = False,
        then: Sequence[str] = (),
    ) -> tuple[str, str]:
        """Run git and return its standard output and the id of the request.

        Args:
            repo: The directory of the repository; ``None`` for the home directory.
            args: The arguments, unquoted.
            limit: Seconds that it may take.
            may_conflict: Look for conflicts if it fails.
            then: Arguments of a second git, to run if the first succeeds.

        Raises:
            GitError: It failed.
            AgentBayError: It could not be run.
        """
        line = _quote(repo, args)
        if then:
            line = f"{line} && {_quote(repo, then)}"
        try:
            return await self._execute(line, limit)
        except CommandError as failure:
            error = _git_error(failure)
        if may_conflict and type(error) is GitError:
            files = await self._list_conflicts(repo)
            error = _conflict_error(error, files) if files else error
        raise error

    async def _execute(self, line: str, limit: float) -> tuple[str, str]:
        output, request_id = await run_shell(
            self.api, self.session_id, line, limit, envs=_ENVIRONMENT
        )
        return output.stdout, request_id

    async def _list_conflicts(self, repo: str | None) -> list[str]:
        try:
            names, _ = await self._execute(_quote(repo, _LIST_CONFLICTS), LOCAL_TIMEOUT)
        except AgentBayError:
            # The first error says more than that its conflicts could not be listed.
            return []
        return parsing.parse_names(names)


def _quote(repo: str | None, args: Sequence[str]) -> str:
    words = ["git", *(() if repo is None else ("-C", repo)), *args]
    return shlex.join(_check.encodable(word, "each argument of git") for word in words)


def _git_error(failure: CommandError) -> GitError:
    stderr = parsing.mask_credentials(failure.stderr)
    stdout = parsing.mask_credentials(failure.stdout)
    # An image that does not separate the streams has git's text in the message.
    kind = parsing.classify_failure(failure.exit_code, stderr or failure.message)
    # Some failures, such as a commit without changes, are reported on the standard output.
    text = stderr.strip() or stdout.strip() or parsing.mask_credentials(failure.message)
    error = kind(
        text,
        request_id=failure.request_id,
        session_id=failure.session_id,
        hint=_HINTS.get(kind, failure.hint),
    )
    error.exit_code, error.stdout, error.stderr = failure.exit_code, stdout, stderr
    error.ran, error.trace_id = failure.ran, failure.trace_id
    error.timed_out, error.truncated = failure.timed_out, failure.truncated
    return error


def _conflict_error(error: GitError, files: Sequence[str]) -> GitConflictError:
    conflict = GitConflictError(
        f"conflicts in {', '.join(files)}",
        request_id=error.request_id,
        session_id=error.session_id,
        hint="Resolve them, add the files and commit",
    )
    conflict.exit_code = error.exit_code
    conflict.stdout, conflict.stderr = error.stdout, error.stderr
    conflict.ran, conflict.trace_id = error.ran, error.trace_id
    conflict.files = tuple(files)
    return conflict
