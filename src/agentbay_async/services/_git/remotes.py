"""Other repositories: where they are, and what is fetched from them or sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import GitError, InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import OperationResult
from agentbay_async.services._git import parsing
from agentbay_async.services._git.base import NETWORK_TIMEOUT, GitBase, ref
from agentbay_async.services._git.command import Limit

if TYPE_CHECKING:
    from datetime import timedelta


class Remotes(GitBase):
    """Exchanges commits with other repositories."""

    __slots__ = ()

    @returns_result(OperationResult)
    async def remote_add(
        self,
        repo_path: str,
        name: str,
        url: str,
        *,
        fetch: bool = False,
        overwrite: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Add a remote repository.

        Args:
            repo_path: The repository.
            name: What it shall be called.
            url: Where it is.
            fetch: Fetch its branches at once.
            overwrite: If there is one of that name, give it this URL.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        limit = Limit(timeout_ms, timeout, NETWORK_TIMEOUT)
        remote, place = ref(name, "name"), _check.text(url, "url")
        known = overwrite and (await self._url(repo_path, remote, limit))[0] is not None
        args = ["remote", "set-url" if known else "add", "--", remote, place]
        result = await self._done(repo_path, args, limit)
        return await self._done(repo_path, ["fetch", "-q", remote], limit) if fetch else result

    @returns_result(OperationResult)
    async def remote_get(
        self,
        repo_path: str,
        name: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[str | None]:
        """Ask for the URL of a remote; ``data`` is ``None`` if there is none of that name."""
        limit = Limit(timeout_ms, timeout)
        url, request_id = await self._url(repo_path, ref(name, "name"), limit)
        return OperationResult.ok(url, request_id)

    async def _url(self, repo_path: str, remote: str, limit: Limit) -> tuple[str | None, str]:
        args = ["remote", "get-url", "--", remote]
        try:
            output, request_id = await self._run(repo_path, args, limit)
        except GitError as error:
            if parsing.is_missing_remote(error.stderr):
                return None, error.request_id
            raise
        return output.removesuffix("\n"), request_id

    @returns_result(OperationResult)
    async def fetch(
        self,
        repo_path: str,
        *,
        remote: str | None = None,
        branch: str | None = None,
        prune: bool = False,
        tags: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Fetch the commits of a remote, without changing any file.

        Args:
            repo_path: The repository.
            remote: Which; by default the one that the branch follows.
            branch: Only this one; needs `remote`.
            prune: Forget branches that the remote no longer has.
            tags: Fetch all tags as well.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        flags = [*(["--prune"] if prune else []), *(["--tags"] if tags else [])]
        args = ["fetch", "-q", *flags, *remote_args(remote, branch)]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout, NETWORK_TIMEOUT))

    @returns_result(OperationResult)
    async def pull(
        self,
        repo_path: str,
        *,
        remote: str | None = None,
        branch: str | None = None,
        rebase: bool | None = None,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Fetch a branch and bring it into the one that is checked out.

        Args:
            repo_path: The repository.
            remote: Which; by default the one that the branch follows.
            branch: Which of its branches; needs `remote`.
            rebase: Put our own commits on top of theirs (``True``) or merge (``False``); by default
                as git is set up, which refuses where both sides have commits.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.

        Returns:
            A result; its error is a :class:`~agentbay_async.errors.GitConflictError` if there are
            conflicts, with the paths of the files.
        """
        flags = [] if rebase is None else ["--rebase" if rebase else "--no-rebase"]
        args = ["pull", "-q", *flags, *remote_args(remote, branch)]
        limit = Limit(timeout_ms, timeout, NETWORK_TIMEOUT)
        return await self._done(repo_path, args, limit, may_conflict=True)

    @returns_result(OperationResult)
    async def push(
        self,
        repo_path: str,
        *,
        remote: str | None = None,
        branch: str | None = None,
        set_upstream: bool = False,
        force: bool = False,
        tags: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Send commits to a remote.

        Args:
            repo_path: The repository.
            remote: Which; by default the one that the branch follows.
            branch: Which branch; needs `remote`. By default as git is set up.
            set_upstream: Let the branch follow the remote's from now on.
            force: Replace what is there, unless it is something that was not fetched yet.
            tags: Send all tags as well.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        flags = [
            *(["--set-upstream"] if set_upstream else []),
            *(["--force-with-lease"] if force else []),
            *(["--tags"] if tags else []),
        ]
        args = ["push", "-q", *flags, *remote_args(remote, branch)]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout, NETWORK_TIMEOUT))


def remote_args(remote: str | None, branch: str | None) -> list[str]:
    if branch is not None and remote is None:
        raise InvalidArgumentError("branch needs remote; give its name, such as 'origin'")
    given = (("remote", remote), ("branch", branch))
    return [ref(value, name) for name, value in given if value is not None]
