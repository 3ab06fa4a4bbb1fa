"""Git in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.git import GitCloneResult, GitInitResult
from agentbay_async.services._git import parsing
from agentbay_async.services._git.base import directory
from agentbay_async.services._git.branches import Branches
from agentbay_async.services._git.command import Limit, run
from agentbay_async.services._git.commits import Commits
from agentbay_async.services._git.files import WorkingTree
from agentbay_async.services._git.remotes import Remotes
from agentbay_async.services._git.settings import Settings

if TYPE_CHECKING:
    from datetime import timedelta

_CLONE_TIMEOUT = 300.0


class AsyncGit(Commits, WorkingTree, Branches, Remotes, Settings):
    """Works on git repositories in one session, with the git that is installed there.

    Every method answers with a result; a failure of git is a
    :class:`~agentbay_async.errors.GitError` in it, and its kind says whether credentials, a
    conflict, the repository or git itself is the matter. Each takes a limit of time, in seconds or
    as a timedelta (`timeout`), or in milliseconds (`timeout_ms`): 30 seconds by default, 120 for
    what talks to a remote, 300 for a clone. Git never asks anything: where it wants a password, it
    fails.

    Example:
        ::

            git = session.git
            (await git.clone("https://example.com/project.git", path="project")).unwrap()
            await git.add("project")
            commit = await git.commit("project", "Mend it", author_name="Me", author_email="a@b.c")
            print(commit.commit_hash)
    """

    __slots__ = ()

    @returns_result(GitCloneResult)
    async def clone(
        self,
        url: str,
        *,
        path: str | None = None,
        branch: str | None = None,
        depth: int | None = None,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitCloneResult:
        """Clone a repository.

        Args:
            url: Where from; a token may stand in it, and is masked in errors.
            path: Where to; by default a directory with the repository's name.
            branch: Check this branch or tag out, and fetch nothing else.
            depth: Fetch only that many commits.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        named = parsing.directory_of(_check.text(url, "url"))
        target = directory(named if path is None else path, "path")
        args = ["clone"]
        if branch is not None:
            args += [f"--branch={_check.text(branch, 'branch')}", "--single-branch"]
        if depth is not None:
            args.append(f"--depth={_check.positive_int(depth, 'depth')}")
        limit = Limit(timeout_ms, timeout, _CLONE_TIMEOUT)
        _, request_id = await run(self._command, None, [*args, "--", url, target], limit)
        return GitCloneResult.ok(target, request_id)

    @returns_result(GitInitResult)
    async def init(
        self,
        path: str,
        *,
        initial_branch: str | None = None,
        bare: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitInitResult:
        """Make a repository, and its directory if it is missing.

        Args:
            path: Where.
            initial_branch: What its first branch is called; by default as git is set up.
            bare: Make one without a working tree.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        target = directory(path, "path")
        args = ["init", *(["--bare"] if bare else [])]
        if initial_branch is not None:
            args.append(f"--initial-branch={_check.text(initial_branch, 'initial_branch')}")
        limit = Limit(timeout_ms, timeout)
        _, request_id = await run(self._command, None, [*args, "--", target], limit)
        return GitInitResult.ok(target, request_id)
