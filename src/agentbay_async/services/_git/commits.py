"""Commits: what goes into one, and those that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async.errors import GitError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.git import GitCommitResult, GitLogResult, GitStatusResult
from agentbay_async.models.results import OperationResult
from agentbay_async.services._git import parsing
from agentbay_async.services._git.base import GitBase, directory, paths_of, ref
from agentbay_async.services._git.command import Limit, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta


class Commits(GitBase):
    """Makes commits and lists them."""

    __slots__ = ()

    @returns_result(GitStatusResult)
    async def status(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitStatusResult:
        """Ask what differs from the last commit, and on which branch the repository is."""
        limit = Limit(timeout_ms, timeout)
        args = ["status", "--porcelain=v2", "--branch", "-z"]
        output, request_id = await self._run(repo_path, args, limit)
        status = parsing.status(output)
        if status.detached and await self._is_on_branch(repo_path, limit):
            # A branch can be called what git writes when there is none.
            status = attrs.evolve(status, current_branch=parsing.DETACHED, detached=False)
        return GitStatusResult.ok(status, request_id)

    async def _is_on_branch(self, repo_path: str, limit: Limit) -> bool:
        try:
            await self._run(repo_path, ["symbolic-ref", "-q", "HEAD"], limit)
        except GitError as error:
            if error.exit_code == 1:
                return False
            raise
        return True

    @returns_result(OperationResult)
    async def add(
        self,
        repo_path: str,
        *,
        files: Sequence[str] | None = None,
        stage_all: bool = True,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Stage changes for the next commit.

        Args:
            repo_path: The repository.
            files: Only these, taken literally; ``None`` for all.
            stage_all: Without `files`: everything in the repository, and not only what is below
                `repo_path`.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        what = ["-A"] if stage_all else ["-A", "."]
        args = ["add", *what] if files is None else ["add", "-A", "--", *paths_of(files, "files")]
        limit = Limit(timeout_ms, timeout)
        return await self._done(repo_path, args, limit, literal=files is not None)

    @returns_result(GitCommitResult)
    async def commit(
        self,
        repo_path: str,
        message: str,
        *,
        author_name: str | None = None,
        author_email: str | None = None,
        allow_empty: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitCommitResult:
        """Commit what is staged.

        Args:
            repo_path: The repository.
            message: What it does.
            author_name: Who does it; by default as git is set up.
            author_email: Their address.
            allow_empty: Commit even if nothing is staged.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        args: list[str] = []
        if author_name is not None:
            args += ["-c", f"user.name={_check.text(author_name, 'author_name')}"]
        if author_email is not None:
            args += ["-c", f"user.email={_check.text(author_email, 'author_email')}"]
        args += ["commit", "-q", f"--message={_check.text(message, 'message')}"]
        output, request_id = await run(
            self._command,
            directory(repo_path, "repo_path"),
            [*args, *(["--allow-empty"] if allow_empty else [])],
            Limit(timeout_ms, timeout),
            may_conflict=True,
            then=["rev-parse", "HEAD"],
        )
        return GitCommitResult.ok(parsing.last_hash(output), request_id)

    @returns_result(GitLogResult)
    async def log(
        self,
        repo_path: str,
        *,
        max_count: int | None = None,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitLogResult:
        """List the commits that lead to what is checked out, the newest first.

        A repository without any commit has none, which is no failure.

        Args:
            repo_path: The repository.
            max_count: At most that many.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        limit = Limit(timeout_ms, timeout)
        args = ["log", "-z", f"--format={parsing.LOG_FORMAT}"]
        if max_count is not None:
            args.append(f"--max-count={_check.positive_int(max_count, 'max_count')}")
        try:
            output, request_id = await self._run(repo_path, args, limit)
        except GitError as error:
            if await self._has_commits(repo_path, limit):
                raise
            output, request_id = "", error.request_id
        return GitLogResult.ok(parsing.log(output), request_id)

    async def _has_commits(self, repo_path: str, limit: Limit) -> bool:
        try:
            await self._run(repo_path, ["rev-parse", "--verify", "-q", "HEAD"], limit)
        except GitError as error:
            # Not 1 where there is no repository at all.
            return error.exit_code != 1
        return True

    @returns_result(OperationResult)
    async def tag(
        self,
        repo_path: str,
        name: str,
        *,
        message: str | None = None,
        target: str | None = None,
        force: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Name a commit.

        Args:
            repo_path: The repository.
            name: What it shall be called.
            message: Makes an annotated tag that says so.
            target: The commit; by default the last one.
            force: Move a tag of that name that is there already.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        args = ["tag", *(["-f"] if force else [])]
        if message is not None:
            args += ["-a", "-m", _check.text(message, "message")]
        args += [ref(name, "name"), "HEAD" if target is None else ref(target, "target")]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @returns_result(OperationResult)
    async def list_tags(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[list[str]]:
        """List the tags of the repository, in ``data``."""
        args = ["for-each-ref", "--format=%(refname:strip=2)", "refs/tags"]
        output, request_id = await self._run(repo_path, args, Limit(timeout_ms, timeout))
        return OperationResult.ok(output.split(), request_id)

    @returns_result(OperationResult)
    async def delete_tag(
        self,
        repo_path: str,
        name: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Delete a tag of the repository; a remote keeps its own."""
        args = ["tag", "-d", "--", ref(name, "name")]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))
