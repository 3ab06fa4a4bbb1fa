"""Git in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from agentbay_async import _check
from agentbay_async._reporting import reports
from agentbay_async.errors import GitError, InvalidArgumentError
from agentbay_async.git_results import (
    GitBranchListResult,
    GitCloneResult,
    GitCommitResult,
    GitInitResult,
    GitLogResult,
    GitStatusResult,
)
from agentbay_async.results import OperationResult
from agentbay_async.services import _git_parsing as parsing
from agentbay_async.services._git_running import Limit, run
from agentbay_async.services.command import AsyncCommand

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from agentbay_async._api import Api

_CLONE_TIMEOUT = 300.0
_NETWORK_TIMEOUT = 120.0
_RESET_MODES = ("soft", "mixed", "hard", "merge", "keep")


class AsyncGit:
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

    __slots__ = ("__weakref__", "_command")

    def __init__(self, api: Api, session_id: str) -> None:
        self._command = AsyncCommand(api, session_id)

    @reports(GitCloneResult)
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
        target = _named(named if path is None else path, "path")
        args = ["clone"]
        if branch is not None:
            args += [f"--branch={_check.text(branch, 'branch')}", "--single-branch"]
        if depth is not None:
            args.append(f"--depth={_check.positive_int(depth, 'depth')}")
        limit = Limit(timeout_ms, timeout, _CLONE_TIMEOUT)
        _, request_id = await run(self._command, None, [*args, "--", url, target], limit)
        return GitCloneResult.ok(target, request_id)

    @reports(GitInitResult)
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
        target = _named(path, "path")
        args = ["init", *(["--bare"] if bare else [])]
        if initial_branch is not None:
            args.append(f"--initial-branch={_check.text(initial_branch, 'initial_branch')}")
        limit = Limit(timeout_ms, timeout)
        _, request_id = await run(self._command, None, [*args, "--", target], limit)
        return GitInitResult.ok(target, request_id)

    @reports(GitStatusResult)
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

    @reports(OperationResult)
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
        args = ["add", *what] if files is None else ["add", "-A", "--", *_paths(files, "files")]
        limit = Limit(timeout_ms, timeout)
        return await self._done(repo_path, args, limit, literal=files is not None)

    @reports(GitCommitResult)
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
            _named(repo_path, "repo_path"),
            [*args, *(["--allow-empty"] if allow_empty else [])],
            Limit(timeout_ms, timeout),
            may_conflict=True,
            then=["rev-parse", "HEAD"],
        )
        return GitCommitResult.ok(parsing.last_hash(output), request_id)

    @reports(GitLogResult)
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

    @reports(GitBranchListResult)
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

    @reports(OperationResult)
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
        name = _ref(branch, "branch")
        args = ["checkout", "-q", "-b", name] if checkout else ["branch", name]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @reports(OperationResult)
    async def checkout_branch(
        self,
        repo_path: str,
        branch: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Check a branch, a tag or a commit out; never a file that is called so."""
        args = ["checkout", "-q", _ref(branch, "branch"), "--"]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout), may_conflict=True)

    @reports(OperationResult)
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
        args = ["branch", "-D" if force else "-d", "--", _ref(branch, "branch")]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @reports(OperationResult)
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
        args.append(_ref(branch, "branch"))
        return await self._done(repo_path, args, Limit(timeout_ms, timeout), may_conflict=True)

    @reports(OperationResult)
    async def merge_abort(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Give a merge with conflicts up, and go back to where the repository was."""
        return await self._done(repo_path, ["merge", "--abort"], Limit(timeout_ms, timeout))

    @reports(OperationResult)
    async def reset(
        self,
        repo_path: str,
        *,
        mode: Literal["soft", "mixed", "hard", "merge", "keep"] | None = None,
        target: str | None = None,
        paths: Sequence[str] | None = None,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Move the branch to another commit, or unstage files.

        Args:
            repo_path: The repository.
            mode: What becomes of the changes; ``"mixed"`` by default, which keeps them unstaged.
            target: The commit; by default the last one.
            paths: Only unstage these, taken literally; goes without `mode`.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.

        Raises:
            InvalidArgumentError: `mode` is none of them, or is given together with `paths`.
        """
        if mode is not None and mode not in _RESET_MODES:
            raise InvalidArgumentError(
                f"mode must be one of {', '.join(_RESET_MODES)}, not {mode!r}"
            )
        if mode is not None and paths is not None:
            raise InvalidArgumentError("mode and paths exclude each other; give one")
        args = ["reset", "-q", *([f"--{mode}"] if mode else [])]
        args.append("HEAD" if target is None else _ref(target, "target"))
        args += ["--", *(() if paths is None else _paths(paths, "paths"))]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout), literal=True)

    @reports(OperationResult)
    async def restore(
        self,
        repo_path: str,
        paths: Sequence[str],
        *,
        staged: bool = False,
        worktree: bool | None = None,
        source: str | None = None,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Bring files back to what they were. Changes that are not committed are lost.

        Args:
            repo_path: The repository.
            paths: Which, taken literally.
            staged: Restore the index.
            worktree: Restore the working tree; by default unless `staged`.
            source: The commit to take them from; by default the last one, or the index.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.

        Raises:
            InvalidArgumentError: Neither the index nor the working tree is to be restored.
        """
        in_tree = not staged if worktree is None else worktree
        if not (staged or in_tree):
            raise InvalidArgumentError(
                "staged and worktree must not both be False; there is no more"
            )
        args = ["restore", *(["--staged"] if staged else []), *(["--worktree"] if in_tree else [])]
        if source is not None:
            args.append(f"--source={_check.text(source, 'source')}")
        args += ["--", *_paths(paths, "paths")]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout), literal=True)

    @reports(OperationResult)
    async def diff(
        self,
        repo_path: str,
        *,
        staged: bool = False,
        target: str | None = None,
        paths: Sequence[str] | None = None,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[str]:
        """Ask what has changed, as a unified difference in ``data``.

        Args:
            repo_path: The repository.
            staged: What is staged, and not what is not.
            target: Compare with this commit, or these two: ``"main..topic"``.
            paths: Only these, taken literally.
            timeout_ms: Milliseconds that it may take.
            timeout: The same in seconds or as a timedelta.
        """
        args = ["diff", "--no-color", "--no-ext-diff", *(["--staged"] if staged else [])]
        if target is not None:
            args.append(_ref(target, "target"))
        args += ["--", *(() if paths is None else _paths(paths, "paths"))]
        output, request_id = await self._run(
            repo_path, ["--literal-pathspecs", *args], Limit(timeout_ms, timeout)
        )
        return OperationResult.ok(output, request_id)

    @reports(OperationResult)
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
        args += [_ref(name, "name"), "HEAD" if target is None else _ref(target, "target")]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @reports(OperationResult)
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

    @reports(OperationResult)
    async def delete_tag(
        self,
        repo_path: str,
        name: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Delete a tag of the repository; a remote keeps its own."""
        args = ["tag", "-d", "--", _ref(name, "name")]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @reports(OperationResult)
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
        limit = Limit(timeout_ms, timeout, _NETWORK_TIMEOUT)
        remote, place = _ref(name, "name"), _check.text(url, "url")
        known = overwrite and (await self._url(repo_path, remote, limit))[0] is not None
        args = ["remote", "set-url" if known else "add", "--", remote, place]
        result = await self._done(repo_path, args, limit)
        return await self._done(repo_path, ["fetch", "-q", remote], limit) if fetch else result

    @reports(OperationResult)
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
        url, request_id = await self._url(repo_path, _ref(name, "name"), limit)
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

    @reports(OperationResult)
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
        args = ["fetch", "-q", *flags, *_remote(remote, branch)]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout, _NETWORK_TIMEOUT))

    @reports(OperationResult)
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
        args = ["pull", "-q", *flags, *_remote(remote, branch)]
        limit = Limit(timeout_ms, timeout, _NETWORK_TIMEOUT)
        return await self._done(repo_path, args, limit, may_conflict=True)

    @reports(OperationResult)
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
        args = ["push", "-q", *flags, *_remote(remote, branch)]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout, _NETWORK_TIMEOUT))

    @reports(OperationResult)
    async def configure_user(
        self,
        repo_path: str,
        name: str,
        email: str,
        *,
        scope: Literal["global", "local"] = "global",
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Say who makes commits: for all repositories, or with ``"local"`` for this one."""
        limit, config = Limit(timeout_ms, timeout), ["config", _scope(scope), "--"]
        address = _check.text(email, "email")
        await self._run(repo_path, [*config, "user.name", _check.text(name, "name")], limit)
        return await self._done(repo_path, [*config, "user.email", address], limit)

    @reports(OperationResult)
    async def set_config(
        self,
        repo_path: str,
        key: str,
        value: str,
        *,
        scope: Literal["global", "local"] = "global",
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Set a value such as ``"pull.rebase"``: for all repositories, or this one."""
        args = [
            "config",
            _scope(scope),
            "--",
            _check.text(key, "key"),
            _check.string(value, "value"),
        ]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @reports(OperationResult)
    async def get_config(
        self,
        repo_path: str,
        key: str,
        *,
        scope: Literal["global", "local"] = "global",
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[str | None]:
        """Ask for a value; ``data`` is ``None`` if it is not set in that scope."""
        args = ["config", _scope(scope), "-z", "--get", "--", _check.text(key, "key")]
        try:
            output, request_id = await self._run(repo_path, args, Limit(timeout_ms, timeout))
        except GitError as error:
            # Not set is told by an exit code alone; a wrong key has something to say.
            if error.exit_code == 1 and not error.stderr.strip():
                return OperationResult.ok(None, error.request_id)
            raise
        return OperationResult.ok(output.removesuffix("\0"), request_id)

    async def _run(
        self, repo_path: str, args: Sequence[str], limit: Limit, *, may_conflict: bool = False
    ) -> tuple[str, str]:
        repo = _named(repo_path, "repo_path")
        return await run(self._command, repo, args, limit, may_conflict=may_conflict)

    async def _done(
        self,
        repo_path: str,
        args: Sequence[str],
        limit: Limit,
        *,
        may_conflict: bool = False,
        literal: bool = False,
    ) -> OperationResult[None]:
        """Run git for what it does, not for what it says."""
        literally = ["--literal-pathspecs"] if literal else []
        _, request_id = await self._run(
            repo_path, [*literally, *args], limit, may_conflict=may_conflict
        )
        return OperationResult.ok(None, request_id)


def _named(path: object, name: str) -> str:
    """Return a directory that git does not take for an option."""
    checked = _check.text(path, name)
    return f"./{checked}" if checked.startswith("-") else checked


def _ref(value: object, name: str) -> str:
    """Return the name of a branch, tag, commit or remote, if it is no option."""
    checked = _check.text(value, name)
    if checked.startswith("-"):
        raise InvalidArgumentError(f"{name} must not begin with '-': {checked!r}")
    return checked


def _paths(paths: Sequence[str], name: str) -> list[str]:
    checked = [_check.text(path, f"each of {name}") for path in _check.sequence(paths, name, str)]
    if not checked:
        raise InvalidArgumentError(f"{name} must not be empty; give at least one")
    return checked


def _remote(remote: str | None, branch: str | None) -> list[str]:
    if branch is not None and remote is None:
        raise InvalidArgumentError("branch needs remote; give its name, such as 'origin'")
    given = (("remote", remote), ("branch", branch))
    return [_ref(value, name) for name, value in given if value is not None]


def _scope(scope: object) -> str:
    if scope not in ("global", "local"):
        raise InvalidArgumentError(f"scope must be 'global' or 'local', not {scope!r}")
    return f"--{scope}"
