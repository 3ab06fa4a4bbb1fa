"""Parse the output of git; no I/O.

Every command whose output may hold a path runs with ``-z``: without it git quotes names and writes
their bytes as octal escapes.
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

#: Format for ``git log -z``: every field ends with NUL, and no field can contain one.
LOG_FORMAT = "tformat:%H%x00%h%x00%an%x00%ae%x00%aI%x00%s%x00%b"
_LOG_FIELDS = 7

#: Format for ``git for-each-ref``. No field can contain a line break.
BRANCH_FORMAT = "%(HEAD)%00%(objectname)%00%(refname)"
_HEADS = "refs/heads/"

DETACHED = "(detached)"
_HASH = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")

# Git's own messages begin a line. A path or URL that holds the same words comes later in the line,
# and messages of the remote begin with "remote: ".
_NO_REPOSITORY = re.compile(r"^fatal: (?:not a git repository\b|cannot change to ')", re.MULTILINE)
_AUTHENTICATION_FAILED = re.compile(
    r"^(?:"
    r"fatal: Authentication failed for '"
    r"|fatal: could not read (?:Username|Password) for '"
    r"|fatal: unable to access '[^']*': The requested URL returned error: 40[13]\b"
    r"|[^\s:]+: Permission denied \([a-z,-]+\)\.?\s*$"
    r")",
    re.MULTILINE,
)
_NO_REMOTE = re.compile(r"^(?:fatal|error): No such remote\b", re.MULTILINE)
# Up to the last "@" before the path: a password may itself contain an unescaped "@".
_CREDENTIALS = re.compile(r"(://)[^/\s']+@")


def parse_status(output: str) -> GitStatus:
    """Read ``git status --porcelain=v2 --branch -z``.

    A branch may be named ``(detached)``; it cannot be told from a detached HEAD here.
    """
    heads: dict[str, str] = {}
    files: list[GitFileStatus] = []
    fields = iter(output.split("\0"))
    for field in fields:
        if field.startswith("# "):
            name, _, value = field[2:].partition(" ")
            heads[name] = value
        elif field:
            # A renamed entry ("2") is followed by a field with its old name.
            files.append(_parse_file(field, next(fields, "") if field.startswith("2 ") else None))
    ahead, behind = _parse_distance(heads.get("branch.ab", ""))
    branch = heads.get("branch.head")
    return GitStatus(
        None if branch == DETACHED else branch,
        heads.get("branch.upstream"),
        ahead,
        behind,
        branch == DETACHED,
        files,
    )


def _parse_distance(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\+(\d{1,18}) -(\d{1,18})", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


# Number of fields before the path, by kind of entry.
_BEFORE_PATH = {"1": 8, "2": 9, "u": 10, "?": 1, "!": 1}


def _parse_file(entry: str, renamed_from: str | None) -> GitFileStatus:
    kind = entry[0]
    *fields, path = entry.split(" ", _BEFORE_PATH.get(kind, 1))
    letters = (fields[1] if len(fields) > 1 else kind * 2).replace(".", " ").ljust(2)
    return GitFileStatus(path, letters[0], letters[1], renamed_from, conflicted=kind == "u")


def parse_log(output: str) -> list[GitLogEntry]:
    """Read ``git log -z --format=LOG_FORMAT``."""
    fields = iter(output.split("\0"))
    # zip() drops the incomplete last group: the text after the last NUL is not a field.
    return [_parse_log_entry(*group) for group in zip(*[fields] * _LOG_FIELDS, strict=False)]


def _parse_log_entry(*fields: str) -> GitLogEntry:
    commit, short, name, email, date, message, body = fields
    return GitLogEntry(commit, short, name, email, date, message, body.strip())


def parse_branches(output: str) -> GitBranches:
    """Read ``git for-each-ref --format=BRANCH_FORMAT refs/heads``."""
    found: list[GitBranchInfo] = []
    for line in output.split("\n"):
        head, _, rest = line.partition("\0")
        commit, _, name = rest.partition("\0")
        if name:
            found.append(GitBranchInfo(name.removeprefix(_HEADS), head == "*", commit))
    current = next((branch.name for branch in found if branch.is_current), None)
    return GitBranches(found, current)


def parse_last_hash(output: str) -> str:
    """Return the hash in the last line, or ``""``; the output of hooks comes before it."""
    line = output.rstrip("\n").rpartition("\n")[2]
    return line if _HASH.match(line) else ""


def parse_names(output: str) -> list[str]:
    """Read names that end with NUL, without duplicates."""
    return list(dict.fromkeys(name for name in output.split("\0") if name))


def clone_directory(url: str) -> str:
    """Return the directory that ``git clone`` creates for a URL by default.

    Example:
        >>> clone_directory("git@host:team/project.git")
        'project'
    """
    name = re.split(r"[/:\\]", re.sub(r"/+(?:\.git/*)?\Z", "", url.strip()))[-1]
    return name.removesuffix(".git").removesuffix(".bundle")


def mask_credentials(text: str) -> str:
    """Return `text` without the credentials in URLs."""
    return _CREDENTIALS.sub(r"\1***@", text)


def classify_failure(exit_code: int, stderr: str) -> type[GitError]:
    """Return the error class of a failed command; conflicts are not detected here."""
    if exit_code == 127:
        return GitNotFoundError
    if _NO_REPOSITORY.search(stderr):
        return GitNotARepoError
    if _AUTHENTICATION_FAILED.search(stderr):
        return GitAuthError
    return GitError


def is_missing_remote(stderr: str) -> bool:
    """Return whether git reported that there is no such remote."""
    return _NO_REMOTE.search(stderr) is not None
