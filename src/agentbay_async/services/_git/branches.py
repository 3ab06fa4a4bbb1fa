"""Branches, and what brings them together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.git import GitBranchListResult
from agentbay_async.models.results import OperationResult
from agentbay_async.services._git import parsing
from agentbay_async.services._git.base import GitBase, ref
from agentbay_async.services._git.command import Limit

if TYPE_CHECKING:
    from datetime import timedelta


class Branches(GitBase):
    """Makes branches, changes between them and merges them."""

    __slots__ = ()

    @returns_result(GitBranchListResult)
    async def list_branches(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitBranchListResult:
        """List the branches of the repository."""
        args = ["for-each-ref", f"--format={parsing.BRANCH_FORMAT}", "refs/heads"]
        output, request_id = await self._run(repo_path, args, Limit(timeout_ms, timeout))
        return GitBranchListResult.ok(parsing.branches(output), request_id)

    @returns_result(OperationResult)
    async def create_branch(
        self,
        repo_path: str,
        branch: str,
        *,
        checkout: bool = True,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Make a branch where the repository is now, and check it out if `checkout`."""
        name = ref(branch, "branch")
        args = ["checkout", "-q", "-b", name] if checkout else ["branch", name]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @returns_result(OperationResult)
    async def checkout_branch(
        self,
        repo_path: str,
        branch: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Check a branch, a tag or a commit out; never a file that is called so."""
        args = ["checkout", "-q", ref(branch, "branch"), "--"]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout), may_conflict=True)

    @returns_result(OperationResult)
    async def delete_branch(
        self,
        repo_path: str,
        branch: str,
        *,
        force: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Delete a branch; with `force` even if its commits are nowhere else."""
        args = ["branch", "-D" if force else "-d", "--", ref(branch, "branch")]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @returns_result(OperationResult)
    async def merge(
        self,
        repo_path: str,
        branch: str,
        *,
        message: str | None = None,
        no_ff: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Merge a branch, tag or commit into what is checked out.

        Args:
            repo_path: The repository.
            branch: What to merge.
            message: What the merge says; by default as git writes it.
            no_ff: Make a commit even where the branch could just be moved.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.

        Returns:
            A result; its error is a :class:`~agentbay_async.errors.GitConflictError` if there are
            conflicts, with the paths of the files.
        """
        args = ["merge", "-q", *(["--no-ff"] if no_ff else [])]
        if message is not None:
            args += ["-m", _check.text(message, "message")]
        args.append(ref(branch, "branch"))
        return await self._done(repo_path, args, Limit(timeout_ms, timeout), may_conflict=True)

    @returns_result(OperationResult)
    async def merge_abort(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Give a merge with conflicts up, and go back to where the repository was."""
        return await self._done(repo_path, ["merge", "--abort"], Limit(timeout_ms, timeout))
