"""Files of a working tree: brought back, unstaged, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentbay_async import _check
from agentbay_async.errors import InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import OperationResult
from agentbay_async.services._git.base import GitBase, paths_of, ref
from agentbay_async.services._git.command import Limit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

_RESET_MODES = ("soft", "mixed", "hard", "merge", "keep")


class WorkingTree(GitBase):
    """Brings files back and compares them."""

    __slots__ = ()

    @returns_result(OperationResult)
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
        args.append("HEAD" if target is None else ref(target, "target"))
        args += ["--", *(() if paths is None else paths_of(paths, "paths"))]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout), literal=True)

    @returns_result(OperationResult)
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
        args += ["--", *paths_of(paths, "paths")]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout), literal=True)

    @returns_result(OperationResult)
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
            args.append(ref(target, "target"))
        args += ["--", *(() if paths is None else paths_of(paths, "paths"))]
        output, request_id = await self._run(
            repo_path, ["--literal-pathspecs", *args], Limit(timeout_ms, timeout)
        )
        return OperationResult.ok(output, request_id)
