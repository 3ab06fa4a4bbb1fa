"""What calls on repositories answer."""

from __future__ import annotations

from agentbay_async.git_records import (
    GitBranches,
    GitBranchInfo,
    GitFileStatus,
    GitLogEntry,
    GitStatus,
)
from agentbay_async.results import Result


class GitCloneResult(Result[str]):
    """Where a repository was cloned to."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The directory; raises the error of a failed result."""
        return self.unwrap()


class GitInitResult(Result[str]):
    """Where a repository was made."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The directory; raises the error of a failed result."""
        return self.unwrap()


class GitCommitResult(Result[str]):
    """The commit that was made."""

    __slots__ = ()

    @property
    def commit_hash(self) -> str:
        """Its full hash; raises the error of a failed result."""
        return self.unwrap()


class GitStatusResult(Result[GitStatus]):
    """The state of a working tree; :attr:`status` has more than is repeated here."""

    __slots__ = ()

    @property
    def status(self) -> GitStatus:
        """The state; raises the error of a failed result."""
        return self.unwrap()

    @property
    def files(self) -> list[GitFileStatus]:
        """What differs from the last commit."""
        return self.unwrap().files

    @property
    def current_branch(self) -> str | None:
        """The branch, or ``None`` when none is checked out."""
        return self.unwrap().current_branch

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs."""
        return self.unwrap().is_clean


class GitLogResult(Result[list[GitLogEntry]]):
    """Commits, the newest first."""

    __slots__ = ()

    @property
    def entries(self) -> list[GitLogEntry]:
        """The commits; raises the error of a failed result."""
        return self.unwrap()


class GitBranchListResult(Result[GitBranches]):
    """The branches of a repository."""

    __slots__ = ()

    @property
    def branches(self) -> list[GitBranchInfo]:
        """The branches; raises the error of a failed result."""
        return self.unwrap().branches

    @property
    def current(self) -> str | None:
        """The branch that is checked out, or ``None``."""
        return self.unwrap().current
