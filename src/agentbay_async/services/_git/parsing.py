"""What git writes, as values; pure.

Everything that may hold a path is asked for with ``-z``: without it git quotes names and writes
their bytes as octal numbers.
"""

from __future__ import annotations

import re

from agentbay_async.errors import (
    GitAuthError,
    GitError,
    GitNotARepoError,
    GitNotFoundError,
)
from agentbay_async.models.git import (
    GitBranches,
    GitBranchInfo,
    GitFileStatus,
    GitLogEntry,
    GitStatus,
)

#: What ``git log -z`` is asked for; every field ends with NUL, and none can contain one.
LOG_FORMAT = "tformat:%H%x00%h%x00%an%x00%ae%x00%aI%x00%s%x00%b"
_LOG_FIELDS = 7

#: What ``git for-each-ref`` is asked for. No part of it can hold a line break.
BRANCH_FORMAT = "%(HEAD)%00%(objectname)%00%(refname)"
_HEADS = "refs/heads/"

DETACHED = "(detached)"
_HASH = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")

# Words that git itself puts at the start of a line. A path or a URL with such words in it stands
# further on, and what the other side says begins with "remote: ".
_NO_REPOSITORY = re.compile(r"^fatal: (?:not a git repository\b|cannot change to ')", re.MULTILINE)
_NOT_AUTHENTICATED = re.compile(
    r"^(?:"
    r"fatal: Authentication failed for '"
    r"|fatal: could not read (?:Username|Password) for '"
    r"|fatal: unable to access '[^']*': The requested URL returned error: 40[13]\b"
    r"|[^\s:]+: Permission denied \([a-z,-]+\)\.?\s*$"
    r")",
    re.MULTILINE,
)
_NO_REMOTE = re.compile(r"^(?:fatal|error): No such remote\b", re.MULTILINE)
# Up to the last @ of what may be a host, since passwords are written there as they are.
_CREDENTIALS = re.compile(r"(://)[^/\s']+@")


def status(output: str) -> GitStatus:
    """Read ``git status --porcelain=v2 --branch -z``.

    A branch may be called ``(detached)``, so ``detached`` holds for it here as well.
    """
    heads: dict[str, str] = {}
    files: list[GitFileStatus] = []
    fields = iter(output.split("\0"))
    for field in fields:
        if field.startswith("# "):
            name, _, value = field[2:].partition(" ")
            heads[name] = value
        elif field:
            # An entry that was renamed is followed by the name that it had.
            files.append(_file(field, next(fields, "") if field.startswith("2 ") else None))
    ahead, behind = _distance(heads.get("branch.ab", ""))
    branch = heads.get("branch.head")
    return GitStatus(
        None if branch == DETACHED else branch,
        heads.get("branch.upstream"),
        ahead,
        behind,
        branch == DETACHED,
        files,
    )


def _distance(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\+(\d{1,18}) -(\d{1,18})", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


# How many fields stand before the path of each kind of entry.
_BEFORE_PATH = {"1": 8, "2": 9, "u": 10, "?": 1, "!": 1}


def _file(entry: str, renamed_from: str | None) -> GitFileStatus:
    kind = entry[0]
    *fields, path = entry.split(" ", _BEFORE_PATH.get(kind, 1))
    letters = (fields[1] if len(fields) > 1 else kind * 2).replace(".", " ").ljust(2)
    return GitFileStatus(path, letters[0], letters[1], renamed_from, conflicted=kind == "u")


def log(output: str) -> list[GitLogEntry]:
    """Read ``git log -z --format=LOG_FORMAT``."""
    fields = iter(output.split("\0"))
    # Whole groups alone: what follows the last NUL is no field.
    return [_entry(*group) for group in zip(*[fields] * _LOG_FIELDS, strict=False)]


def _entry(*fields: str) -> GitLogEntry:
    commit, short, name, email, date, message, body = fields
    return GitLogEntry(commit, short, name, email, date, message, body.strip())


def branches(output: str) -> GitBranches:
    """Read ``git for-each-ref --format=BRANCH_FORMAT refs/heads``."""
    found: list[GitBranchInfo] = []
    for line in output.split("\n"):
        head, _, rest = line.partition("\0")
        commit, _, name = rest.partition("\0")
        if name:
            found.append(GitBranchInfo(name.removeprefix(_HEADS), head == "*", commit))
    current = next((branch.name for branch in found if branch.is_current), None)
    return GitBranches(found, current)


def last_hash(output: str) -> str:
    """Return the hash in the last line, or ``""``; hooks write before it what they like."""
    line = output.rstrip("\n").rpartition("\n")[2]
    return line if _HASH.match(line) else ""


def names(output: str) -> list[str]:
    """Read names that end with NUL, each of them once."""
    return list(dict.fromkeys(name for name in output.split("\0") if name))


def directory_of(url: str) -> str:
    """Return the directory that ``git clone`` makes for a URL when it is told none.

    Example:
        >>> directory_of("git@host:team/project.git")
        'project'
    """
    name = re.split(r"[/:\\]", re.sub(r"/+(?:\.git/*)?\Z", "", url.strip()))[-1]
    return name.removesuffix(".git").removesuffix(".bundle")


def masked(text: str) -> str:
    """Return `text` without the credentials in URLs."""
    return _CREDENTIALS.sub(r"\1***@", text)


def kind_of_failure(exit_code: int, stderr: str) -> type[GitError]:
    """Return which error a failed command is; conflicts are asked for and not guessed."""
    if exit_code == 127:
        return GitNotFoundError
    if _NO_REPOSITORY.search(stderr):
        return GitNotARepoError
    if _NOT_AUTHENTICATED.search(stderr):
        return GitAuthError
    return GitError


def is_missing_remote(stderr: str) -> bool:
    """Whether git said that there is no such remote."""
    return _NO_REMOTE.search(stderr) is not None
