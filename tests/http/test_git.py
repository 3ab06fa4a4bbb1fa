"""Git: the git of this machine, in sessions of the local service."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AgentBayError,
    ArgumentTypeError,
    GitAuthError,
    GitConflictError,
    GitError,
    GitNotARepoError,
    GitNotFoundError,
    InvalidArgumentError,
    SessionNotFoundError,
)
from agentbay_async.services._git import parsing

from .scripted import tool_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.http.scripted import Script

    from agentbay_async import AsyncSession
    from agentbay_async.services.git import AsyncGit


_REAL = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")

#: Names that git quotes, cuts or takes for something else unless it is asked the right way.
_NAMES = ["a b", "汉字", 'quo"te', "tab\there", "new\nline", "-x", "back\\slash", "*", "R  a -> b"]


@pytest.fixture
async def git(local_session: AsyncSession) -> AsyncGit:
    """Return git in a session, configured, with an empty repository ``r``."""
    git = local_session.git
    await git.init("r", initial_branch="main")
    (await git.configure_user("r", "Me", "me@example.com")).unwrap()
    return git


def _write(home: Path, name: str, content: str = "x\n", repo: str = "r") -> None:
    (home / repo / name).write_text(content)


async def _committed(git: AsyncGit, home: Path, name: str = "f", text: str = "x\n") -> str:
    _write(home, name, text)
    (await git.add("r")).unwrap()
    return (await git.commit("r", f"Write {name}")).commit_hash


async def _conflict(git: AsyncGit, home: Path, name: str) -> None:
    """Let ``main`` and ``topic`` disagree on a file; ``main`` is checked out."""
    await _committed(git, home, name, "base\n")
    await git.create_branch("r", "topic")
    await _committed(git, home, name, "theirs\n")
    await git.checkout_branch("r", "main")
    await _committed(git, home, name, "ours\n")


@_REAL
async def test_status_returns_exact_file_names(git: AsyncGit, home: Path) -> None:
    """Names of untracked, staged, changed and renamed files are neither quoted nor escaped."""
    for name in _NAMES:
        _write(home, name)
    status = (await git.status("r")).unwrap()
    assert {file.path for file in status.files} == set(_NAMES)
    assert status.untracked_count == len(_NAMES)
    assert {file.status for file in status.files} == {"untracked"}
    (await git.add("r", files=_NAMES)).unwrap()
    assert (await git.status("r")).status.staged_count == len(_NAMES)
    (await git.commit("r", "All")).unwrap()
    assert (await git.status("r")).is_clean
    (home / "r" / "R  a -> b").rename(home / "r" / "to\nthere")
    _write(home, "汉字", "changed")
    await git.add("r", files=["to\nthere", "R  a -> b"])
    files = {file.path: file for file in (await git.status("r")).files}
    assert files["to\nthere"].renamed_from == "R  a -> b"
    assert (files["to\nthere"].status, files["to\nthere"].staged) == ("renamed", True)
    assert (files["汉字"].status, files["汉字"].staged) == ("modified", False)


@_REAL
async def test_files_are_taken_literally(git: AsyncGit, home: Path) -> None:
    """A file named ``*`` is one file, not a pattern."""
    for name in ("*", "a"):
        _write(home, name)
    await git.add("r", files=["*"])
    files = {file.path: file.staged for file in (await git.status("r")).files}
    assert files == {"*": True, "a": False}
    await git.add("r")
    (await git.commit("r", "Both")).unwrap()
    for name in ("*", "a"):
        _write(home, name, "changed\n")
    (await git.restore("r", ["*"])).unwrap()
    assert [file.path for file in (await git.status("r")).files] == ["a"]
    assert (await git.diff("r", paths=["*"])).data == ""
    assert type(await _error(git.restore("r", ["?"]))) is GitError
    assert (home / "r" / "a").read_text() == "changed\n"


@pytest.mark.parametrize("branch", ["fix#1", "a+b", "x@y", "detached", "(detached)", "汉字"])
@_REAL
async def test_commit_returns_its_hash_on_any_branch(
    git: AsyncGit, home: Path, branch: str
) -> None:
    """An unusual branch name does not change the result."""
    await _committed(git, home)
    (await git.create_branch("r", branch)).unwrap()
    commit = await _committed(git, home, "g")
    assert commit == _git(home, "rev-parse", "HEAD")
    status = (await git.status("r")).unwrap()
    assert (status.current_branch, status.detached) == (branch, False)
    listed = (await git.list_branches("r")).unwrap()
    assert (listed.current, {entry.name for entry in listed.branches}) == (branch, {"main", branch})


@_REAL
async def test_commit_returns_its_hash_on_a_detached_head(git: AsyncGit, home: Path) -> None:
    """The status reports the detached HEAD as well."""
    first = await _committed(git, home)
    (await git.checkout_branch("r", first)).unwrap()
    assert await _committed(git, home, "g") == _git(home, "rev-parse", "HEAD")
    status = (await git.status("r")).unwrap()
    assert (status.current_branch, status.detached) == (None, True)
    assert (await git.list_branches("r")).current is None


@_REAL
async def test_commit_returns_its_hash_despite_output_of_a_hook(git: AsyncGit, home: Path) -> None:
    """The output of the hook comes before the hash."""
    hook = home / "r" / ".git" / "hooks" / "post-commit"
    hook.write_text("#!/bin/sh\necho 0123456789012345678901234567890123456789\n")
    hook.chmod(0o755)
    assert await _committed(git, home) == _git(home, "rev-parse", "HEAD")


@_REAL
async def test_log_returns_every_field_of_a_commit(git: AsyncGit, home: Path) -> None:
    """Messages may have several lines; the newest commit comes first."""
    await _committed(git, home)
    _write(home, "g")
    await git.add("r")
    message = "Say 'it' | \x01 汉字\n\nfirst\n\nlast"
    made = await git.commit("r", message, author_name='A "B" C', author_email="a@b.c")
    newest, oldest = (await git.log("r")).entries
    assert (newest.hash, newest.message) == (made.commit_hash, "Say 'it' | \x01 汉字")
    assert newest.body == "first\n\nlast"
    assert (newest.author_name, newest.author_email) == ('A "B" C', "a@b.c")
    assert made.commit_hash.startswith(newest.short_hash)
    assert (oldest.message, oldest.body) == ("Write f", "")
    assert "T" in oldest.date
    assert [entry.hash for entry in (await git.log("r", max_count=1)).entries] == [newest.hash]


@_REAL
async def test_a_repository_without_commits_has_an_empty_log(git: AsyncGit) -> None:
    """It is not a failure; a missing repository is."""
    assert (await git.log("r")).entries == []
    assert isinstance(await _error(git.log(".")), GitNotARepoError)


@pytest.mark.parametrize("name", ["f", "401 403 permission denied", "new\nline"])
@_REAL
async def test_merge_conflict_lists_its_files(git: AsyncGit, home: Path, name: str) -> None:
    """The index is asked, not the text of git; the merge can be aborted."""
    await _conflict(git, home, name)
    error = await _error(git.merge("r", "topic"))
    assert isinstance(error, GitConflictError)
    assert error.files == (name,)
    assert error.exit_code == 1
    status = (await git.status("r")).unwrap()
    assert [(file.path, file.status) for file in status.files] == [(name, "conflict")]
    assert (status.has_conflicts, status.has_staged, status.unstaged_count) == (True, False, 0)
    assert isinstance(await _error(git.commit("r", "No")), GitConflictError)
    (await git.merge_abort("r")).unwrap()
    assert (await git.status("r")).is_clean


@pytest.mark.parametrize("rebase", [True, False])
@_REAL
async def test_pull_conflict_is_a_conflict_error(git: AsyncGit, home: Path, rebase: bool) -> None:
    """Git reports them on its standard output."""
    await _conflict(git, home, "f")
    error = await _error(git.pull("r", remote=".", branch="topic", rebase=rebase))
    assert isinstance(error, GitConflictError)
    assert error.files == ("f",)


@_REAL
async def test_merge_without_conflicts_creates_a_commit(git: AsyncGit, home: Path) -> None:
    """The commit has the given message."""
    await _committed(git, home)
    await git.create_branch("r", "topic")
    await _committed(git, home, "g")
    await git.checkout_branch("r", "main")
    (await git.merge("r", "topic", message="Bring g", no_ff=True)).unwrap()
    assert (await git.log("r", max_count=1)).entries[0].message == "Bring g"
    assert (await git.delete_branch("r", "topic")).success


@_REAL
async def test_commits_are_pushed_cloned_fetched_and_pulled(git: AsyncGit, home: Path) -> None:
    """The status counts the commits ahead and behind."""
    (await git.init("hub.git", bare=True, initial_branch="main")).unwrap()
    first = await _committed(git, home)
    hub = str(home / "hub.git")
    (await git.remote_add("r", "origin", hub)).unwrap()
    (await git.push("r", remote="origin", branch="main", set_upstream=True)).unwrap()
    clone = await git.clone(hub)
    assert clone.path == "hub"
    assert (await git.log("hub")).entries[0].hash == first
    second = await _committed(git, home, "g")
    status = (await git.status("r")).unwrap()
    assert (status.upstream, status.ahead, status.behind) == ("origin/main", 1, 0)
    (await git.push("r")).unwrap()
    (await git.fetch("hub", remote="origin", prune=True, tags=True)).unwrap()
    assert (await git.status("hub")).status.behind == 1
    (await git.pull("hub")).unwrap()
    assert (await git.log("hub")).entries[0].hash == second


@_REAL
async def test_rejected_push_is_a_failure(git: AsyncGit, home: Path) -> None:
    """The message has the reason."""
    await _committed(git, home)
    error = await _error(git.push("r", remote="nowhere", branch="main"))
    assert type(error) is GitError
    assert "nowhere" in str(error)


@_REAL
async def test_remote_is_added_once_and_overwritten_on_request(git: AsyncGit, home: Path) -> None:
    """A missing remote has no URL, which is not a failure."""
    assert await git.remote_get("r", "o") is None
    (await git.remote_add("r", "o", "https://one.invalid/a b")).unwrap()
    await _error(git.remote_add("r", "o", "https://two.invalid"))
    assert await git.remote_get("r", "o") == "https://one.invalid/a b"
    (await git.remote_add("r", "o", "https://two.invalid", overwrite=True)).unwrap()
    assert await git.remote_get("r", "o") == "https://two.invalid"
    (await git.remote_add("r", "p", "https://p.invalid", overwrite=True)).unwrap()
    assert isinstance(await _error(git.remote_get(".", "o")), GitNotARepoError)


@_REAL
async def test_changes_are_reset_and_restored(git: AsyncGit, home: Path) -> None:
    """Only the named files change; a hard reset drops all changes."""
    first = await _committed(git, home)
    _write(home, "f", "changed\n")
    _write(home, "g")
    await git.add("r")
    (await git.reset("r", paths=["g"])).unwrap()
    files = {file.path: file.status for file in (await git.status("r")).files}
    assert files == {"f": "modified", "g": "untracked"}
    assert "+changed" in (await git.diff("r", staged=True)).data
    (await git.restore("r", ["f"], staged=True)).unwrap()
    assert (await git.diff("r", staged=True)).data == ""
    assert "+changed" in (await git.diff("r", paths=["f"])).data
    assert (await git.diff("r", target="HEAD", paths=["g"])).data == ""
    (await git.restore("r", ["f"])).unwrap()
    assert (home / "r" / "f").read_text() == "x\n"
    await _committed(git, home, "f", "second\n")
    (await git.restore("r", ["f"], source=first)).unwrap()
    assert (home / "r" / "f").read_text() == "x\n"
    (await git.reset("r", mode="hard", target=first)).unwrap()
    assert [entry.hash for entry in (await git.log("r")).entries] == [first]


@_REAL
async def test_commits_are_tagged(git: AsyncGit, home: Path) -> None:
    """A tag may have a message, and moves only with ``force``."""
    first = await _committed(git, home)
    (await git.tag("r", "v1")).unwrap()
    await _committed(git, home, "g")
    await _error(git.tag("r", "v1"))
    (await git.tag("r", "v1", force=True)).unwrap()
    (await git.tag("r", "v0", message="The first", target=first)).unwrap()
    assert (await git.list_tags("r")).data == ["v0", "v1"]
    (await git.delete_tag("r", "v1")).unwrap()
    assert (await git.list_tags("r")).data == ["v0"]


@_REAL
async def test_options_are_set_and_read(git: AsyncGit) -> None:
    """In both scopes; an unset option is ``None``, an invalid key is an error."""
    assert await git.get_config("r", "user.name") == "Me"
    (await git.set_config("r", "user.name", "lines\nof two", scope="local")).unwrap()
    assert await git.get_config("r", "user.name", scope="local") == "lines\nof two"
    assert await git.get_config("r", "user.name") == "Me"
    assert await git.get_config("r", "user.nothing") is None
    assert type(await _error(git.get_config("r", "nodot"))) is GitError


@_REAL
async def test_checkout_never_restores_a_file_of_that_name(git: AsyncGit, home: Path) -> None:
    """A change to a file with the name of the branch is not lost."""
    await _committed(git, home, "topic")
    _write(home, "topic", "precious\n")
    error = await _error(git.checkout_branch("r", "topic"))
    assert type(error) is GitError
    assert (home / "r" / "topic").read_text() == "precious\n"


@pytest.mark.parametrize("path", [".", "missing"])
@_REAL
async def test_directory_without_repository_has_its_own_error(git: AsyncGit, path: str) -> None:
    """A missing directory has it as well."""
    assert isinstance(await _error(git.status(path)), GitNotARepoError)


@_REAL
async def test_commit_without_changes_is_an_error(git: AsyncGit, home: Path) -> None:
    """Git reports it on its standard output; ``allow_empty`` permits it."""
    await _committed(git, home)
    error = await _error(git.commit("r", "Nothing"))
    assert "nothing to commit" in str(error)
    assert (await git.commit("r", "Nothing", allow_empty=True)).success


async def _error(call: Awaitable[object]) -> AgentBayError:
    """Return what a method of git raises."""
    with pytest.raises(AgentBayError) as caught:
        await call
    return caught.value


def _git(home: Path, *args: str) -> str:
    command = ["git", "-C", str(home / "r"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _fails(scripted: Script, stderr: str, exit_code: int = 128, stdout: str = "") -> None:
    answer = {"stdout": stdout, "stderr": stderr, "exit_code": exit_code}
    scripted.ok("CallMcpTool", tool_answer(json.dumps(answer)))


@pytest.mark.parametrize(
    ("stderr", "exit_code", "kind"),
    [
        ("sh: 1: git: not found", 127, GitNotFoundError),
        ("fatal: not a git repository (or any of the parent directories): .git", 128, None),
        ("remote: Denied\nfatal: Authentication failed for 'https://h/p/'", 128, GitAuthError),
        (
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            128,
            GitAuthError,
        ),
        (
            "fatal: unable to access 'https://h/p/': The requested URL returned error: 403",
            128,
            GitAuthError,
        ),
        ("git@h: Permission denied (publickey).\nfatal: Could not read", 128, GitAuthError),
        ("fatal: unable to access 'https://h/403/': Could not resolve host: h", 128, GitError),
        ("fatal: could not create work tree dir '403': Permission denied", 128, GitError),
        ("fatal: path 'not a git repository' does not exist", 128, GitError),
        ("error: pathspec 'conflict' did not match any file(s) known to git", 1, GitError),
    ],
)
async def test_failures_are_classified_by_messages_of_git_and_not_by_paths(
    session: AsyncSession,
    scripted: Script,
    stderr: str,
    exit_code: int,
    kind: type[GitError] | None,
) -> None:
    """A number in a path or host does not matter."""
    _fails(scripted, stderr, exit_code)
    error = await _error(session.git.add("r"))
    assert type(error) is (kind or GitNotARepoError)
    assert (error.exit_code, error.stderr, error.session_id) == (exit_code, stderr, "s-1")
    assert error.request_id == "REQ-CallMcpTool"


async def test_errors_do_not_show_credentials_of_a_url(
    session: AsyncSession, scripted: Script
) -> None:
    """Neither in the message nor in the streams."""
    url = "https://user:s3cret@h.invalid/p.git"
    _fails(scripted, f"fatal: unable to access '{url}/': Could not resolve host")
    error = await _error(session.git.clone(url))
    assert isinstance(error, GitError)
    assert "s3cret" not in f"{error} {error.stderr} {error.stdout}"
    assert "https://***@h.invalid" in error.stderr


async def test_other_failures_are_not_git_errors(session: AsyncSession, scripted: Script) -> None:
    """A session that is gone keeps its own error."""
    scripted.fail("CallMcpTool", "InvalidMcpSession.NotFound", "gone")
    assert isinstance(await _error(session.git.status("r")), SessionNotFoundError)


async def test_git_runs_with_a_quoted_line_an_environment_and_a_time_limit(
    session: AsyncSession, scripted: Script
) -> None:
    """Git never prompts; a clone has five minutes by default."""
    _fails(scripted, "", 0)
    await session.git.clone("https://h/p.git", path="it's", branch="b", depth=1)
    await session.git.clone("https://h/p.git", timeout_ms=1500)
    await session.git.status("-r", timeout=2)
    args = [json.loads(form["Args"]) for form in scripted.forms("CallMcpTool")]
    assert args[0]["command"] == (
        """git clone --branch=b --single-branch --depth=1 -- https://h/p.git 'it'"'"'s'"""
    )
    assert [arg["timeout_ms"] for arg in args] == [300_000, 1500, 2000]
    assert args[1]["command"].endswith("-- https://h/p.git p")
    assert args[2]["command"].startswith("git -C ./-r status ")
    assert args[0]["envs"]["GIT_TERMINAL_PROMPT"] == "0"


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("https://h/team/p.git", "p"),
        ("https://h/team/p.git/", "p"),
        ("git@h:p.git", "p"),
        ("/srv/p/.git", "p"),
        ("p.bundle", "p"),
    ],
)
def test_clone_directory_is_named_after_the_source(url: str, directory: str) -> None:
    """As git itself would name it."""
    assert parsing.clone_directory(url) == directory


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda git: git.clone(""), InvalidArgumentError),
        (lambda git: git.clone("u", depth=0), InvalidArgumentError),
        (lambda git: git.init(5), ArgumentTypeError),
        (lambda git: git.status(""), InvalidArgumentError),
        (lambda git: git.add("r", files=[]), InvalidArgumentError),
        (lambda git: git.add("r", files="f"), ArgumentTypeError),
        (lambda git: git.commit("r", " "), InvalidArgumentError),
        (lambda git: git.checkout_branch("r", "--force"), InvalidArgumentError),
        (lambda git: git.merge("r", "-s"), InvalidArgumentError),
        (lambda git: git.reset("r", mode="firm"), InvalidArgumentError),
        (lambda git: git.reset("r", mode="hard", paths=["f"]), InvalidArgumentError),
        (lambda git: git.restore("r", ["f"], worktree=False), InvalidArgumentError),
        (lambda git: git.restore("r", []), InvalidArgumentError),
        (lambda git: git.pull("r", branch="main"), InvalidArgumentError),
        (lambda git: git.push("r", remote="--all"), InvalidArgumentError),
        (lambda git: git.set_config("r", "k", "v", scope="system"), InvalidArgumentError),
        (lambda git: git.log("r", timeout=1, timeout_ms=1), InvalidArgumentError),
    ],
)
async def test_invalid_arguments_of_git_are_rejected(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[AsyncGit], Any],
    kind: type[Exception],
) -> None:
    """Nothing is sent, and no argument is read as an option."""
    with pytest.raises(kind):
        await call(session.git)
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://user:p@ss@host/r.git", "https://***@host/r.git"),
        ("'https://token@host/r.git' not found", "'https://***@host/r.git' not found"),
        ("0https://u:p@h/", "0https://***@h/"),
        ("git@host:r.git", "git@host:r.git"),
        ("https://host/a@b", "https://host/a@b"),
    ],
)
def test_credentials_in_urls_are_masked(text: str, masked: str) -> None:
    """Also in the middle of a word, and if a password has an ``@``."""
    assert parsing.mask_credentials(text) == masked
