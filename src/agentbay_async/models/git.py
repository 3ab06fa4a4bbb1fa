"""Values and results of git commands.

Paths are relative to the root of the repository. They are exact, whatever characters they contain.
"""

from __future__ import annotations

import attrs

from agentbay_async.models.results import Result


@attrs.frozen
class GitFileStatus:
    """A file that differs from the last commit, or is untracked.

    Attributes:
        path: The present path.
        index_status: The letter of ``git status --short`` for the index; ``" "`` for no change.
        work_tree_status: The same for the working tree.
        renamed_from: The former path, if it was renamed or copied.
        conflicted: Whether it has unresolved conflicts.
    """

    path: str
    index_status: str = " "
    work_tree_status: str = " "
    renamed_from: str | None = None
    conflicted: bool = False

    @property
    def status(self) -> str:
        """The change, in one word."""
        if self.conflicted:
            return "conflict"
        letter = self.index_status if self.staged else self.work_tree_status
        return _WORDS.get(letter, "unknown")

    @property
    def staged(self) -> bool:
        """Whether the next commit will include a change of it."""
        return self.index_status not in " ?!" and not self.conflicted


_WORDS = {
    "M": "modified",
    "T": "type changed",
    "A": "added",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
    "?": "untracked",
    "!": "ignored",
}


@attrs.frozen
class GitStatus:
    """The state of a working tree.

    Attributes:
        current_branch: The branch, or ``None`` if none is checked out.
        upstream: The upstream branch, such as ``"origin/main"``.
        ahead: Number of commits that the upstream does not have.
        behind: Number of commits that only the upstream has.
        detached: Whether a commit is checked out instead of a branch.
        files: The files that differ.
    """

    current_branch: str | None = None
    upstream: str | None = None
    ahead: int = 0
    behind: int = 0
    detached: bool = False
    files: list[GitFileStatus] = attrs.field(factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether no file differs."""
        return not self.files

    @property
    def has_changes(self) -> bool:
        """Whether any file differs."""
        return bool(self.files)

    @property
    def staged_count(self) -> int:
        """The number of files with staged changes."""
        return sum(file.staged for file in self.files)

    @property
    def unstaged_count(self) -> int:
        """The number of tracked files with changes that are not staged."""
        return sum(
            file.work_tree_status not in " ?!" and not file.conflicted for file in self.files
        )

    @property
    def untracked_count(self) -> int:
        """The number of untracked files."""
        return sum(file.index_status == "?" for file in self.files)

    @property
    def conflict_count(self) -> int:
        """The number of files with conflicts."""
        return sum(file.conflicted for file in self.files)

    @property
    def total_count(self) -> int:
        """The number of files that differ."""
        return len(self.files)

    @property
    def has_staged(self) -> bool:
        """Whether there are staged changes."""
        return self.staged_count > 0

    @property
    def has_untracked(self) -> bool:
        """Whether there are untracked files."""
        return self.untracked_count > 0

    @property
    def has_conflicts(self) -> bool:
        """Whether there are conflicts."""
        return self.conflict_count > 0


@attrs.frozen
class GitLogEntry:
    """A commit. ``message`` is its first line, ``body`` the rest; ``date`` is ISO 8601."""

    hash: str
    short_hash: str = ""
    author_name: str = ""
    author_email: str = ""
    date: str = ""
    message: str = ""
    body: str = ""


@attrs.frozen
class GitBranchInfo:
    """A branch, and the commit that it points to."""

    name: str
    is_current: bool = False
    commit: str = ""


@attrs.frozen
class GitBranches:
    """The branches of a repository; ``current`` is ``None`` if none is checked out."""

    branches: list[GitBranchInfo] = attrs.field(factory=list)
    current: str | None = None


class GitCloneResult(Result[str]):
    """The result of cloning a repository."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The directory; raises the error of a failed result."""
        return self.unwrap()


class GitInitResult(Result[str]):
    """The result of creating a repository."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The directory; raises the error of a failed result."""
        return self.unwrap()


class GitCommitResult(Result[str]):
    """The result of a commit."""

    __slots__ = ()

    @property
    def commit_hash(self) -> str:
        """The full hash; raises the error of a failed result."""
        return self.unwrap()


class GitStatusResult(Result[GitStatus]):
    """The state of a working tree; :attr:`status` has all of it."""

    __slots__ = ()

    @property
    def status(self) -> GitStatus:
        """The state; raises the error of a failed result."""
        return self.unwrap()

    @property
    def files(self) -> list[GitFileStatus]:
        """The files that differ from the last commit."""
        return self.unwrap().files

    @property
    def current_branch(self) -> str | None:
        """The branch, or ``None`` if none is checked out."""
        return self.unwrap().current_branch

    @property
    def upstream(self) -> str | None:
        """The upstream branch, such as ``"origin/main"``."""
        return self.unwrap().upstream

    @property
    def ahead(self) -> int:
        """The number of commits that the upstream does not have."""
        return self.unwrap().ahead

    @property
    def behind(self) -> int:
        """The number of commits that only the upstream has."""
        return self.unwrap().behind

    @property
    def detached(self) -> bool:
        """Whether a commit is checked out instead of a branch."""
        return self.unwrap().detached

    @property
    def is_clean(self) -> bool:
        """Whether no file differs."""
        return self.unwrap().is_clean

    @property
    def has_changes(self) -> bool:
        """Whether any file differs."""
        return self.unwrap().has_changes

    @property
    def has_staged(self) -> bool:
        """Whether there are staged changes."""
        return self.unwrap().has_staged

    @property
    def has_untracked(self) -> bool:
        """Whether there are untracked files."""
        return self.unwrap().has_untracked

    @property
    def has_conflicts(self) -> bool:
        """Whether there are conflicts."""
        return self.unwrap().has_conflicts

    @property
    def staged_count(self) -> int:
        """The number of files with staged changes."""
        return self.unwrap().staged_count

    @property
    def unstaged_count(self) -> int:
        """The number of tracked files with changes that are not staged."""
        return self.unwrap().unstaged_count

    @property
    def untracked_count(self) -> int:
        """The number of untracked files."""
        return self.unwrap().untracked_count

    @property
    def conflict_count(self) -> int:
        """The number of files with conflicts."""
        return self.unwrap().conflict_count

    @property
    def total_count(self) -> int:
        """The number of files that differ."""
        return self.unwrap().total_count


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
        """The checked-out branch, or ``None``."""
        return self.unwrap().current
