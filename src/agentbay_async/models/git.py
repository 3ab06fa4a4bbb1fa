"""What git tells of a repository in a session: values without any I/O.

Paths are relative to the root of the repository, and are told exactly, whatever is in them.
"""

from __future__ import annotations

import attrs

from agentbay_async.models.results import Result


@attrs.frozen
class GitFileStatus:
    """A file that differs from the last commit, or that git does not know.

    Attributes:
        path: Where it is now.
        index_status: One letter for the index, as ``git status --short`` has it; ``" "`` for no
            change.
        work_tree_status: The same for the working tree.
        renamed_from: Where it was, if it was renamed or copied.
        conflicted: Whether it has conflicts that somebody must resolve.
    """

    path: str
    index_status: str = " "
    work_tree_status: str = " "
    renamed_from: str | None = None
    conflicted: bool = False

    @property
    def status(self) -> str:
        """What happened to it, in one word."""
        if self.conflicted:
            return "conflict"
        letter = self.index_status if self.staged else self.work_tree_status
        return _WORDS.get(letter, "unknown")

    @property
    def staged(self) -> bool:
        """Whether a change of it will be in the next commit."""
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
        current_branch: The branch, or ``None`` when none is checked out.
        upstream: The branch that it follows, such as ``"origin/main"``.
        ahead: Commits that the upstream does not have.
        behind: Commits that only the upstream has.
        detached: Whether a commit is checked out instead of a branch.
        files: What differs.
    """

    current_branch: str | None = None
    upstream: str | None = None
    ahead: int = 0
    behind: int = 0
    detached: bool = False
    files: list[GitFileStatus] = attrs.field(factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs."""
        return not self.files

    @property
    def has_changes(self) -> bool:
        """Whether anything differs."""
        return bool(self.files)

    @property
    def staged_count(self) -> int:
        """How many files have changes for the next commit."""
        return sum(file.staged for file in self.files)

    @property
    def unstaged_count(self) -> int:
        """How many known files have changes that are not staged."""
        return sum(
            file.work_tree_status not in " ?!" and not file.conflicted for file in self.files
        )

    @property
    def untracked_count(self) -> int:
        """How many files git does not know."""
        return sum(file.index_status == "?" for file in self.files)

    @property
    def conflict_count(self) -> int:
        """How many files have conflicts."""
        return sum(file.conflicted for file in self.files)

    @property
    def total_count(self) -> int:
        """How many files differ."""
        return len(self.files)

    @property
    def has_staged(self) -> bool:
        """Whether a commit would hold anything."""
        return self.staged_count > 0

    @property
    def has_untracked(self) -> bool:
        """Whether there are files that git does not know."""
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
    """The branches of a repository; ``current`` is ``None`` when none is checked out."""

    branches: list[GitBranchInfo] = attrs.field(factory=list)
    current: str | None = None


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
