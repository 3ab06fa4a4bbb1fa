"""Git repositories of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from agentbay_async import _check
from agentbay_async.errors import GitError, InvalidArgumentError
from agentbay_async.models.git import (
    GitBranchListResult,
    GitCloneResult,
    GitCommitResult,
    GitInitResult,
    GitLogResult,
    GitStatusResult,
)
from agentbay_async.models.results import OperationResult
from agentbay_async.services._git import parsing
from agentbay_async.services._git.command import LOCAL_TIMEOUT, GitCommand
from agentbay_async.services._shell import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.session import AsyncSession

# Seconds for commands that talk to a remote, and for a clone, which also writes every file.
_NETWORK_TIMEOUT = 120.0
_CLONE_TIMEOUT = 300.0
_RESET_MODES = ("soft", "mixed", "hard", "merge", "keep")


class AsyncGit:
    """Run git in one session, with the git that is installed there.

    Methods raise. If git fails, they raise :class:`~agentbay_async.errors.GitError`; its subclass
    tells bad credentials, conflicts, a missing repository and a missing git apart. If the session
    or the service fails, they raise another :class:`~agentbay_async.errors.AgentBayError`. So the
    result of a method is always a success. Every method takes a time limit: `timeout` in
    seconds or as a timedelta, or `timeout_ms` in milliseconds. The default is 30 seconds, 120 for
    commands that talk to a remote, and 300 for a clone. Git never prompts: where it would ask for
    a password, it fails.

    Example:
        ::

            git = session.git
            await git.clone("https://example.com/project.git", path="project")
            await git.add("project")
            commit = await git.commit(
                "project", "Fix the build", author_name="Me", author_email="a@b.c"
            )
            print(commit.commit_hash)
    """

    __slots__ = ("__weakref__", "_command", "_find_session")

    def __init__(self, api: Api, session_id: str) -> None:
        self._find_session: Callable[[], AsyncSession]
        self._command = GitCommand(api, session_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._command.session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

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
            url: The URL of the repository. A token in it is masked in errors.
            path: The target directory; by default named after the repository.
            branch: Check out this branch or tag, and fetch nothing else.
            depth: Fetch at most this many commits.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        default = parsing.clone_directory(_check.text(url, "url"))
        target = _check_directory(default if path is None else path, "path")
        args = ["clone"]
        if branch is not None:
            args += [f"--branch={_check.text(branch, 'branch')}", "--single-branch"]
        if depth is not None:
            args.append(f"--depth={_check.positive_int(depth, 'depth')}")
        limit = time_limit(timeout_ms, timeout, _CLONE_TIMEOUT)
        _, request_id = await self._command.run(None, [*args, "--", url, target], limit)
        return GitCloneResult.ok(target, request_id)

    async def init(
        self,
        path: str,
        *,
        initial_branch: str | None = None,
        bare: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitInitResult:
        """Create a repository, and its directory if it is missing.

        Args:
            path: The directory.
            initial_branch: Name of the first branch; by default as git is configured.
            bare: Create a repository without a working tree.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        target = _check_directory(path, "path")
        args = ["init", *(["--bare"] if bare else [])]
        if initial_branch is not None:
            args.append(f"--initial-branch={_check.text(initial_branch, 'initial_branch')}")
        limit = time_limit(timeout_ms, timeout, LOCAL_TIMEOUT)
        _, request_id = await self._command.run(None, [*args, "--", target], limit)
        return GitInitResult.ok(target, request_id)

    async def status(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitStatusResult:
        """Return the current branch and the files that differ from the last commit."""
        limit = time_limit(timeout_ms, timeout, LOCAL_TIMEOUT)
        args = ["status", "--porcelain=v2", "--branch", "-z"]
        output, request_id = await self._run(repo_path, args, limit)
        status = parsing.parse_status(output)
        if status.detached and await self._is_on_branch(repo_path, limit):
            # A branch may be named "(detached)", which git also writes if there is no branch.
            status = attrs.evolve(status, current_branch=parsing.DETACHED, detached=False)
        return GitStatusResult.ok(status, request_id)

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
            files: Stage only these paths, taken literally; ``None`` for all changes.
            stage_all: Without `files`: stage the whole repository, not only `repo_path`.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        args = ["add", "-A"]
        if files is not None:
            args += ["--", *_check_paths(files, "files")]
        elif not stage_all:
            args.append(".")
        literal = files is not None
        return await self._run_quiet(repo_path, args, timeout_ms, timeout, literal=literal)

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
        """Commit the staged changes.

        Args:
            repo_path: The repository.
            message: The commit message.
            author_name: Name of the author and committer; by default as git is configured.
            author_email: Their email address; by default as git is configured.
            allow_empty: Commit even if nothing is staged.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        args: list[str] = []
        if author_name is not None:
            args += ["-c", f"user.name={_check.text(author_name, 'author_name')}"]
        if author_email is not None:
            args += ["-c", f"user.email={_check.text(author_email, 'author_email')}"]
        args += ["commit", "-q", f"--message={_check.text(message, 'message')}"]
        output, request_id = await self._command.run(
            _check_directory(repo_path, "repo_path"),
            [*args, *(["--allow-empty"] if allow_empty else [])],
            time_limit(timeout_ms, timeout, LOCAL_TIMEOUT),
            may_conflict=True,
            then=["rev-parse", "HEAD"],
        )
        return GitCommitResult.ok(parsing.parse_last_hash(output), request_id)

    async def log(
        self,
        repo_path: str,
        *,
        max_count: int | None = None,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitLogResult:
        """List the commits of the current branch, newest first.

        The list of a repository without commits is empty.

        Args:
            repo_path: The repository.
            max_count: Return at most this many commits.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        limit = time_limit(timeout_ms, timeout, LOCAL_TIMEOUT)
        args = ["log", "-z", f"--format={parsing.LOG_FORMAT}"]
        if max_count is not None:
            args.append(f"--max-count={_check.positive_int(max_count, 'max_count')}")
        try:
            output, request_id = await self._run(repo_path, args, limit)
        except GitError as error:
            if await self._has_commits(repo_path, limit):
                raise
            output, request_id = "", error.request_id
        return GitLogResult.ok(parsing.parse_log(output), request_id)

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
        """Create a tag.

        Args:
            repo_path: The repository.
            name: The name of the tag.
            message: Create an annotated tag with this message.
            target: The commit to tag; by default the last one.
            force: Move an existing tag of that name.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        args = ["tag", *(["-f"] if force else [])]
        if message is not None:
            args += ["-a", "-m", _check.text(message, "message")]
        args += [
            _check_ref(name, "name"),
            "HEAD" if target is None else _check_ref(target, "target"),
        ]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout)

    async def list_tags(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[list[str]]:
        """List the tags of the repository; ``data`` has their names."""
        args = ["for-each-ref", "--format=%(refname:strip=2)", "refs/tags"]
        output, request_id = await self._run(
            repo_path, args, time_limit(timeout_ms, timeout, LOCAL_TIMEOUT)
        )
        return OperationResult.ok(output.split(), request_id)

    async def delete_tag(
        self,
        repo_path: str,
        name: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Delete a tag of the repository; tags of remotes stay."""
        args = ["tag", "-d", "--", _check_ref(name, "name")]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout)

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
            mode: How to treat changes. The default, ``"mixed"``, keeps and unstages them.
            target: The commit; by default the last one.
            paths: Only unstage these paths, taken literally; not together with `mode`.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.

        Raises:
            InvalidArgumentError: `mode` is unknown, or given together with `paths`.
        """
        if mode is not None and mode not in _RESET_MODES:
            raise InvalidArgumentError(
                f"mode must be one of {', '.join(_RESET_MODES)}, not {mode!r}"
            )
        if mode is not None and paths is not None:
            raise InvalidArgumentError("mode and paths exclude each other; give one")
        args = ["reset", "-q", *([f"--{mode}"] if mode else [])]
        args.append("HEAD" if target is None else _check_ref(target, "target"))
        args += ["--", *(() if paths is None else _check_paths(paths, "paths"))]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout, literal=True)

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
        """Restore files. Their uncommitted changes are lost.

        Args:
            repo_path: The repository.
            paths: The files, taken literally.
            staged: Restore the index.
            worktree: Restore the working tree; by default only without `staged`.
            source: The commit to restore from; by default the last one for the index, and the
                index for the working tree.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.

        Raises:
            InvalidArgumentError: `staged` and `worktree` are both ``False``.
        """
        in_tree = not staged if worktree is None else worktree
        if not (staged or in_tree):
            raise InvalidArgumentError(
                "staged and worktree must not both be False; set one to True"
            )
        args = ["restore", *(["--staged"] if staged else []), *(["--worktree"] if in_tree else [])]
        if source is not None:
            args.append(f"--source={_check.text(source, 'source')}")
        args += ["--", *_check_paths(paths, "paths")]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout, literal=True)

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
        """Return changes as a unified diff, in ``data``.

        Args:
            repo_path: The repository.
            staged: Show the staged changes instead of the unstaged ones.
            target: Compare with this commit, or compare two commits: ``"main..topic"``.
            paths: Show only these paths, taken literally.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        args = ["diff", "--no-color", "--no-ext-diff", *(["--staged"] if staged else [])]
        if target is not None:
            args.append(_check_ref(target, "target"))
        args += ["--", *(() if paths is None else _check_paths(paths, "paths"))]
        output, request_id = await self._run(
            repo_path,
            ["--literal-pathspecs", *args],
            time_limit(timeout_ms, timeout, LOCAL_TIMEOUT),
        )
        return OperationResult.ok(output, request_id)

    async def list_branches(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> GitBranchListResult:
        """List the branches of the repository."""
        args = ["for-each-ref", f"--format={parsing.BRANCH_FORMAT}", "refs/heads"]
        output, request_id = await self._run(
            repo_path, args, time_limit(timeout_ms, timeout, LOCAL_TIMEOUT)
        )
        return GitBranchListResult.ok(parsing.parse_branches(output), request_id)

    async def create_branch(
        self,
        repo_path: str,
        branch: str,
        *,
        checkout: bool = True,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Create a branch at the current commit, and check it out if `checkout` is true."""
        name = _check_ref(branch, "branch")
        args = ["checkout", "-q", "-b", name] if checkout else ["branch", name]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout)

    async def checkout_branch(
        self,
        repo_path: str,
        branch: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Check out a branch, tag or commit; never a file of that name."""
        args = ["checkout", "-q", _check_ref(branch, "branch"), "--"]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout, may_conflict=True)

    async def delete_branch(
        self,
        repo_path: str,
        branch: str,
        *,
        force: bool = False,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Delete a branch; with `force` even if it is not merged."""
        args = ["branch", "-D" if force else "-d", "--", _check_ref(branch, "branch")]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout)

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
        """Merge a branch, tag or commit into the current branch.

        Args:
            repo_path: The repository.
            branch: The branch, tag or commit to merge.
            message: Message of the merge commit; by default git's own.
            no_ff: Create a merge commit even if a fast-forward is possible.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.

        Raises:
            GitConflictError: There are conflicts; ``files`` has the paths.
        """
        args = ["merge", "-q", *(["--no-ff"] if no_ff else [])]
        if message is not None:
            args += ["-m", _check.text(message, "message")]
        args.append(_check_ref(branch, "branch"))
        return await self._run_quiet(repo_path, args, timeout_ms, timeout, may_conflict=True)

    async def merge_abort(
        self,
        repo_path: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Abort a merge with conflicts, and restore the state before it."""
        return await self._run_quiet(repo_path, ["merge", "--abort"], timeout_ms, timeout)

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
            name: The name of the remote.
            url: Its URL.
            fetch: Fetch its branches at once.
            overwrite: Change the URL of an existing remote of that name.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        limit = time_limit(timeout_ms, timeout, _NETWORK_TIMEOUT)
        remote, address = _check_ref(name, "name"), _check.text(url, "url")
        exists = overwrite and (await self._get_url(repo_path, remote, limit))[0] is not None
        args = ["remote", "set-url" if exists else "add", "--", remote, address]
        _, request_id = await self._run(repo_path, args, limit)
        if fetch:
            _, request_id = await self._run(repo_path, ["fetch", "-q", remote], limit)
        return OperationResult.ok(None, request_id)

    async def remote_get(
        self,
        repo_path: str,
        name: str,
        *,
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> str | None:
        """Return the URL of a remote; ``None`` if there is no such remote."""
        limit = time_limit(timeout_ms, timeout, LOCAL_TIMEOUT)
        return (await self._get_url(repo_path, _check_ref(name, "name"), limit))[0]

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
        """Fetch the commits of a remote. The working tree stays as it is.

        Args:
            repo_path: The repository.
            remote: The remote; by default the upstream of the current branch.
            branch: Fetch only this branch; requires `remote`.
            prune: Remove remote-tracking branches that the remote no longer has.
            tags: Fetch all tags as well.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        flags = [*(["--prune"] if prune else []), *(["--tags"] if tags else [])]
        args = ["fetch", "-q", *flags, *_remote_args(remote, branch)]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout, default=_NETWORK_TIMEOUT)

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
        """Fetch a branch and integrate it into the current branch.

        Args:
            repo_path: The repository.
            remote: The remote; by default the upstream of the current branch.
            branch: The branch of the remote; requires `remote`.
            rebase: Rebase (``True``) or merge (``False``) if both sides have new commits; by
                default as git is configured. Unconfigured, git fails in that case.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.

        Raises:
            GitConflictError: There are conflicts; ``files`` has the paths.
        """
        flags = [] if rebase is None else ["--rebase" if rebase else "--no-rebase"]
        args = ["pull", "-q", *flags, *_remote_args(remote, branch)]
        return await self._run_quiet(
            repo_path, args, timeout_ms, timeout, default=_NETWORK_TIMEOUT, may_conflict=True
        )

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
        """Push commits to a remote.

        Args:
            repo_path: The repository.
            remote: The remote; by default the upstream of the current branch.
            branch: The branch to push; requires `remote`. By default as git is configured.
            set_upstream: Make the branch of the remote the upstream of this one.
            force: Overwrite the remote's branch, unless it has commits that were not fetched
                (``--force-with-lease``).
            tags: Push all tags as well.
            timeout_ms: Time limit in milliseconds.
            timeout: Time limit in seconds or as a timedelta.
        """
        flags = [
            *(["--set-upstream"] if set_upstream else []),
            *(["--force-with-lease"] if force else []),
            *(["--tags"] if tags else []),
        ]
        args = ["push", "-q", *flags, *_remote_args(remote, branch)]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout, default=_NETWORK_TIMEOUT)

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
        """Set the author of commits, for all repositories or, with ``"local"``, for this one."""
        limit = time_limit(timeout_ms, timeout, LOCAL_TIMEOUT)
        config = ["config", _scope_flag(scope), "--"]
        address = _check.text(email, "email")
        await self._run(repo_path, [*config, "user.name", _check.text(name, "name")], limit)
        _, request_id = await self._run(repo_path, [*config, "user.email", address], limit)
        return OperationResult.ok(None, request_id)

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
        """Set an option such as ``"pull.rebase"``, for all repositories or for this one."""
        args = [
            "config",
            _scope_flag(scope),
            "--",
            _check.text(key, "key"),
            _check.string(value, "value"),
        ]
        return await self._run_quiet(repo_path, args, timeout_ms, timeout)

    async def get_config(
        self,
        repo_path: str,
        key: str,
        *,
        scope: Literal["global", "local"] = "global",
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> str | None:
        """Return an option; ``None`` if it is not set in that scope."""
        args = ["config", _scope_flag(scope), "-z", "--get", "--", _check.text(key, "key")]
        try:
            output, _ = await self._run(
                repo_path, args, time_limit(timeout_ms, timeout, LOCAL_TIMEOUT)
            )
        except GitError as error:
            # Git also ends with 1 for an invalid key, but then with a message.
            if error.exit_code == 1 and not error.stderr.strip():
                return None
            raise
        return output.removesuffix("\0")

    async def _run(
        self, repo_path: str, args: Sequence[str], limit: float, *, may_conflict: bool = False
    ) -> tuple[str, str]:
        repo = _check_directory(repo_path, "repo_path")
        return await self._command.run(repo, args, limit, may_conflict=may_conflict)

    async def _run_quiet(
        self,
        repo_path: str,
        args: Sequence[str],
        timeout_ms: int | None,
        timeout: float | timedelta | None,
        *,
        default: float = LOCAL_TIMEOUT,
        may_conflict: bool = False,
        literal: bool = False,
    ) -> OperationResult[None]:
        """Run git and drop its output; with `literal` no path is read as a pattern."""
        limit = time_limit(timeout_ms, timeout, default)
        options = ["--literal-pathspecs"] if literal else []
        _, request_id = await self._run(
            repo_path, [*options, *args], limit, may_conflict=may_conflict
        )
        return OperationResult.ok(None, request_id)

    async def _get_url(self, repo_path: str, remote: str, limit: float) -> tuple[str | None, str]:
        args = ["remote", "get-url", "--", remote]
        try:
            output, request_id = await self._run(repo_path, args, limit)
        except GitError as error:
            if parsing.is_missing_remote(error.stderr):
                return None, error.request_id
            raise
        return output.removesuffix("\n"), request_id

    async def _is_on_branch(self, repo_path: str, limit: float) -> bool:
        try:
            await self._run(repo_path, ["symbolic-ref", "-q", "HEAD"], limit)
        except GitError as error:
            if error.exit_code == 1:
                return False
            raise
        return True

    async def _has_commits(self, repo_path: str, limit: float) -> bool:
        try:
            await self._run(repo_path, ["rev-parse", "--verify", "-q", "HEAD"], limit)
        except GitError as error:
            # 1 means that HEAD has no commit yet; 128 that there is no repository.
            return error.exit_code != 1
        return True


def _check_directory(path: object, name: str) -> str:
    """Return a directory that git does not take for an option."""
    checked = _check.text(path, name)
    return f"./{checked}" if checked.startswith("-") else checked


def _check_ref(value: object, name: str) -> str:
    """Return the name of a branch, tag, commit or remote; it must not look like an option."""
    checked = _check.text(value, name)
    if checked.startswith("-"):
        raise InvalidArgumentError(f"{name} must not begin with '-': {checked!r}")
    return checked


def _check_paths(paths: Sequence[str], name: str) -> list[str]:
    """Return at least one path."""
    checked = [_check.text(path, f"each of {name}") for path in _check.sequence(paths, name, str)]
    if not checked:
        raise InvalidArgumentError(f"{name} must not be empty; give at least one")
    return checked


def _remote_args(remote: str | None, branch: str | None) -> list[str]:
    if branch is not None and remote is None:
        raise InvalidArgumentError("branch needs remote; give its name, such as 'origin'")
    given = (("remote", remote), ("branch", branch))
    return [_check_ref(value, name) for name, value in given if value is not None]


def _scope_flag(scope: object) -> str:
    if scope not in ("global", "local"):
        raise InvalidArgumentError(f"scope must be 'global' or 'local', not {scope!r}")
    return f"--{scope}"
