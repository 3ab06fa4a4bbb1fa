"""Transfer of files and directories, through the file tools and through the store."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    BadAnswerError,
    ContextSyncError,
    FileError,
    HttpResponse,
    InvalidArgumentError,
    OperationTimeoutError,
    SessionNotFoundError,
    TransferError,
)
from agentbay_async.services._files import archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.http.scripted import Relay, Script

    from agentbay_async import AsyncSession, DirectoryEntry, HttpRequest, TransferProgress
    from agentbay_local import LocalService

_LARGE = bytes(range(256)) * 2048
_SMALL = b"\x00\xff" * 50_000


@pytest.fixture
def isolation() -> str:
    """Return the isolation of sessions in which files and commands have the same paths."""
    return "namespaces"


@pytest.fixture
def no_store(relay: Relay) -> None:
    """Let the service have no store for files."""
    _answer(relay, GetAndLoadInternalContext=HttpResponse.failure("InvalidAction.NotFound"))


def _answer(relay: Relay, **responses: HttpResponse) -> None:
    """Answer requests of the given actions without asking the service."""
    relay.intercept = lambda request: responses.get(request.action, request)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return a directory of this machine that is not the session's."""
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


async def _both_ways(
    local_session: AsyncSession, home: Path, here: Path, content: bytes, path: str
) -> list[TransferProgress]:
    """Upload a file, look at it, and download it again."""
    seen: list[TransferProgress] = []
    (here / "in").write_bytes(content)
    fs = local_session.file_system
    receipt = (await fs.upload_file(here / "in", path, progress=seen.append)).unwrap()
    assert (home / path).read_bytes() == content
    md5 = hashlib.md5(content).hexdigest()
    assert (receipt.path, receipt.size, receipt.verified) == (path, len(content), True)
    assert receipt.md5 == md5
    back = (await fs.download_file(path, here / "out", progress=seen.append)).unwrap()
    assert (here / "out").read_bytes() == content
    assert (back.path, back.size, back.verified, back.md5) == (path, len(content), True, md5)
    return seen


@pytest.mark.parametrize("content", [b"", b"x", _SMALL])
@pytest.mark.parametrize("path", ["f", 'new dir/it\'s\n"f"', "-f"])
async def test_small_file_is_transferred_by_the_tools(
    local_session: AsyncSession, home: Path, here: Path, content: bytes, path: str
) -> None:
    """Byte for byte, to any path, without looking up the store."""
    await _both_ways(local_session, home, here, content, path)


@pytest.mark.usefixtures("no_store")
async def test_large_file_is_transferred_by_the_tools_without_a_store(
    local_session: AsyncSession, home: Path, here: Path, relay: Relay
) -> None:
    """The store is looked up once."""
    await _both_ways(local_session, home, here, _LARGE, "d/f")
    assert relay.actions.count("GetAndLoadInternalContext") == 1
    assert await local_session.fs.get_file_transfer_context_path() is None


async def test_large_file_is_transferred_by_the_store(
    local_session: AsyncSession, home: Path, here: Path, relay: Relay
) -> None:
    """With one synchronization each way, progress for every chunk, and no leftovers."""
    seen = await _both_ways(local_session, home, here, _LARGE, "d/f")
    synced = relay.forms("SyncContext")
    assert [form["Mode"] for form in synced] == ["download", "upload"]
    assert relay.actions.count("GetAndLoadInternalContext") == 1
    assert relay.forms("GetAndLoadInternalContext")[0]["ContextTypes.1"] == "file_transfer"
    assert [progress.done for progress in seen if progress.done == len(_LARGE)] != []
    deleted = relay.forms("DeleteContextFile")
    assert sorted(form["FilePath"] for form in deleted) == sorted(form["Path"] for form in synced)
    assert os.listdir(home) == ["d"]
    assert await _list_store(local_session) == []


async def _list_store(session: AsyncSession) -> list[DirectoryEntry]:
    """List the directory of the store in the session."""
    path = await session.fs.get_file_transfer_context_path()
    assert path is not None
    return (await session.fs.ls(path)).entries


async def test_a_file_is_transferred_with_the_official_keywords(
    local_session: AsyncSession, home: Path, here: Path
) -> None:
    """The callback gets numbers, and the result has the official names."""
    (here / "in").write_bytes(_LARGE)
    seen: list[int] = []
    fs = local_session.file_system
    sent = await fs.upload_file(
        str(here / "in"),
        "f",
        content_type="text/plain",
        wait=True,
        wait_timeout=30,
        poll_interval=0.1,
        progress_cb=seen.append,
    )
    got = await fs.download_file("f", str(here / "out"), wait_timeout=30, progress_cb=seen.append)

    assert (home / "f").read_bytes() == (here / "out").read_bytes() == _LARGE
    assert sorted(set(seen))[-1] == len(_LARGE)
    assert (sent.bytes_sent, sent.http_status, sent.path) == (len(_LARGE), 200, "f")
    assert sent.local_path == str(here / "in")
    assert (got.bytes_received, got.http_status, got.local_path) == (
        len(_LARGE),
        200,
        str(here / "out"),
    )
    assert sent.request_id_upload_url
    assert sent.request_id_sync != got.request_id_sync != ""


async def test_a_transfer_that_is_not_waited_for_moves_the_file_itself(
    local_session: AsyncSession, here: Path, relay: Relay
) -> None:
    """The store is told the path of the file, and is not asked whether it is done."""
    fs = local_session.file_system
    place = f"{await fs.get_file_transfer_context_path()}/f"
    sent = await fs.upload_file(_SMALL, place, wait=False)

    assert (sent.bytes_sent, sent.http_status) == (len(_SMALL), 200)
    assert [(form["Path"], form["Mode"]) for form in relay.forms("SyncContext")] == [
        (place, "download")
    ]
    assert "GetContextInfo" not in relay.actions
    assert (await fs.download_file(place, here / "out", wait=False)).success
    assert (here / "out").read_bytes() == _SMALL


async def test_an_existing_target_can_be_kept(local_session: AsyncSession, here: Path) -> None:
    """Then the download fails before anything is read."""
    (here / "out").write_text("mine")
    (await local_session.fs.write("f", "theirs")).unwrap()
    result = await local_session.fs.download_file("f", here / "out", overwrite=False)

    assert isinstance(result.error, TransferError)
    assert "exists" in result.error_message
    assert (here / "out").read_text() == "mine"


async def test_two_callbacks_for_progress_are_rejected(local_session: AsyncSession) -> None:
    """One of them is another name of the other."""
    with pytest.raises(InvalidArgumentError, match="progress_cb"):
        await local_session.fs.upload_file(
            b"", "f", progress=lambda _: None, progress_cb=lambda _: None
        )


async def test_bytes_can_be_uploaded(local_session: AsyncSession, home: Path) -> None:
    """No local file is needed."""
    assert (await local_session.fs.upload_file(b"abc", "f")).size == 3
    assert (home / "f").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ({"status": "Failed", "errorMessage": "disk full"}, ContextSyncError),
        ({"status": "Running", "errorMessage": "disk full"}, ContextSyncError),
        ({"status": "Running"}, OperationTimeoutError),
    ],
)
async def test_failed_synchronization_fails_the_transfer(
    local_session: AsyncSession,
    home: Path,
    here: Path,
    relay: Relay,
    outcome: dict[str, str],
    kind: type[Exception],
) -> None:
    """The targets stay as they were."""

    def answer(request: HttpRequest) -> HttpRequest | HttpResponse:
        if request.action == "SyncContext":
            return HttpResponse.success()
        return _tasks(request, outcome) if request.action == "GetContextInfo" else request

    (here / "f").write_bytes(b"precious")
    (home / "f").write_bytes(_LARGE)
    relay.intercept = answer
    up = await local_session.fs.upload_file(_LARGE[::-1], "f", timeout=60)
    assert isinstance(up.error, kind)
    assert (home / "f").read_bytes() == _LARGE
    down = await local_session.fs.download_file("f", here / "f", timeout=60)
    assert isinstance(down.error, kind)
    assert (here / "f").read_bytes() == b"precious"
    assert os.listdir(here) == ["f"]
    assert await _list_store(local_session) == []


def _tasks(request: HttpRequest, outcome: dict[str, str]) -> HttpResponse:
    """List a failed earlier task of the directory, and the requested task."""
    form = request.form
    task = {"contextId": form["ContextId"], "path": form["Path"], "taskType": form["TaskType"]}
    earlier = {**task, "path": os.path.dirname(form["Path"]), "status": "Failed"}
    tasks = json.dumps([earlier, {**task, **outcome}])
    return HttpResponse.success({"ContextStatus": json.dumps([{"type": "data", "data": tasks}])})


async def test_corrupted_transfer_is_detected(
    local_service: LocalService,
    local_session: AsyncSession,
    home: Path,
    here: Path,
    relay: Relay,
) -> None:
    """In both directions, by the checksum."""

    def damage(request: HttpRequest) -> HttpRequest:
        # The file is in the store now, during an upload or a download.
        downloads = request.action == "SyncContext" and request.form["Mode"] == "download"
        if downloads or request.action == "GetContextFileDownloadUrl":
            _damage_contexts(local_service)
        return request

    (home / "f").write_bytes(_LARGE)
    (here / "f").write_bytes(b"precious")
    relay.intercept = damage
    up = await local_session.fs.upload_file(_LARGE[::-1], "f")
    assert isinstance(up.error, FileError)
    assert "checksum" in up.error_message
    assert (home / "f").read_bytes() == _LARGE
    down = await local_session.fs.download_file("f", here / "f")
    assert isinstance(down.error, TransferError)
    assert "checksum" in down.error_message
    assert (here / "f").read_bytes() == b"precious"


def _damage_contexts(service: LocalService) -> None:
    """Change the last byte of every file in a context."""
    trees = (service.home / "contexts").glob("*/versions/*/tree")
    files = [path for tree in trees for path in tree.rglob("*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:-1] + b"!")


async def test_download_of_a_missing_file_fails(
    local_session: AsyncSession, home: Path, here: Path
) -> None:
    """No empty file is left; a directory is not a file either."""
    (home / "d").mkdir()
    for path in ("missing", "d"):
        result = await local_session.fs.download_file(path, here / "f")
        assert isinstance(result.error, FileError)
        assert result.error.path == path
    assert os.listdir(here) == []


async def test_missing_session_keeps_its_error(session: AsyncSession, scripted: Script) -> None:
    """It is neither a file error nor a missing feature."""
    scripted.fail("GetAndLoadInternalContext", "InvalidMcpSession.NotFound", "gone")
    result = await session.fs.upload_file(_LARGE, "f")
    assert isinstance(result.error, SessionNotFoundError)


@pytest.mark.usefixtures("no_store")
async def test_directory_is_transferred_with_all_its_content(
    local_session: AsyncSession, home: Path, here: Path
) -> None:
    """Names, permissions, links, empty directories and large files."""
    tree = here / "tree"
    (tree / "sub" / "empty").mkdir(parents=True)
    (tree / "sub" / "new\nline 汉字").write_bytes(_LARGE)
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    (tree / "sub" / "link").symlink_to("../run")
    (tree / "twin").hardlink_to(tree / "run")
    receipt = (await local_session.fs.upload_directory(tree, "there/tree")).unwrap()
    assert receipt.verified
    assert _facts(home / "there" / "tree") == _facts(tree)
    (here / "back").mkdir()
    (here / "back" / "kept").touch()
    (await local_session.fs.download_dir("there/tree", here / "back")).unwrap()
    (here / "back" / "kept").unlink()
    assert _facts(here / "back") == _facts(tree)


def _facts(root: Path) -> dict[str, object]:
    return {
        str(path.relative_to(root)): os.readlink(path)
        if path.is_symlink()
        else (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
    }


async def test_download_of_a_missing_directory_fails(
    local_session: AsyncSession, home: Path, here: Path
) -> None:
    """Nothing is written."""
    result = await local_session.fs.download_directory("missing", here)
    assert isinstance(result.error, FileError)
    assert os.listdir(here) == []
    assert os.listdir(home) == []


def _archive(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """Write an archive of entries: name, type, and where a link leads."""
    with tarfile.open(path, "x") as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            content = b"evil" if kind == tarfile.REGTYPE else b""
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


_FILE, _LINK, _HARD, _DIR = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", _FILE, "")],
        [("/tmp/evil", _FILE, "")],
        [("a/../../evil", _FILE, "")],
        [("link", _LINK, "/etc")],
        [("link", _LINK, "..")],
        [("d", _DIR, ""), ("d/link", _LINK, "../..")],
        [("a", _LINK, "."), ("b", _LINK, "a/..")],
        [("passwd", _HARD, "/etc/passwd")],
        [("up", _HARD, "../secret")],
        [("other", _HARD, "not-in-the-archive")],
        [("null", tarfile.CHRTYPE, "")],
        [("pipe", tarfile.FIFOTYPE, "")],
    ],
)
def test_archive_with_unsafe_entries_is_rejected(
    here: Path, members: list[tuple[str, bytes, str]]
) -> None:
    """Nothing is written outside the target, and no link to the outside."""
    (here / "secret").write_text("secret")
    target = here / "target"
    target.mkdir()
    (target / "not-in-the-archive").write_text("mine")
    tar = _archive(here / "a.tar", ("first", _FILE, ""), *members)
    with pytest.raises(archive.UnsafeArchiveError):
        archive.unpack(tar, target)
    assert sorted(os.listdir(here)) == ["a.tar", "secret", "target"]
    assert not any(path.is_symlink() for path in target.rglob("*"))


def test_archive_does_not_write_through_existing_links(here: Path) -> None:
    """The entry of the archive replaces the link."""
    (here / "outside").mkdir()
    (here / "outside" / "f").write_text("precious")
    target = here / "target"
    target.mkdir()
    (target / "d").symlink_to(here / "outside")
    (target / "g").symlink_to(here / "outside" / "f")
    archive.unpack(_archive(here / "a.tar", ("d/f", _FILE, ""), ("g", _FILE, "")), target)
    assert (here / "outside" / "f").read_text() == "precious"
    assert (target / "d" / "f").read_text() == (target / "g").read_text() == "evil"


def test_an_archive_does_not_write_through_its_own_links(here: Path) -> None:
    """A link and a file below it exclude each other."""
    target = here / "target"
    (target / "inner").mkdir(parents=True)
    tar = _archive(here / "a.tar", ("l", _LINK, "inner"), ("l/f", _FILE, ""))
    with pytest.raises(OSError, match="l"):
        archive.unpack(tar, target)
    assert list((target / "inner").iterdir()) == []


async def test_unsafe_archive_of_a_session_fails_the_transfer(
    local_session: AsyncSession, home: Path, here: Path
) -> None:
    """The error names the directory."""
    (home / "d").mkdir()
    (home / "d" / "link").symlink_to("/etc")
    result = await local_session.fs.download_directory("d", here)
    assert isinstance(result.error, TransferError)
    assert "link points to /etc" in result.error_message
    assert result.error.path == "d"
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda fs: fs.upload_file("/missing", "f"), InvalidArgumentError),
        (lambda fs: fs.upload_file(5, "f"), ArgumentTypeError),
        (lambda fs: fs.upload_file(b"", ""), InvalidArgumentError),
        (lambda fs: fs.upload_file(b"", "f", timeout=0), InvalidArgumentError),
        (lambda fs: fs.download_file("f", "/missing/f"), InvalidArgumentError),
        (lambda fs: fs.download_file("", "f"), InvalidArgumentError),
        (lambda fs: fs.upload_directory("/missing", "d"), InvalidArgumentError),
        (lambda fs: fs.upload_directory(None, "d"), ArgumentTypeError),
        (lambda fs: fs.download_directory("d", "/missing"), InvalidArgumentError),
    ],
)
async def test_invalid_arguments_of_a_transfer_are_rejected(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[Any], Any],
    kind: type[Exception],
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind):
        await call(session.fs)
    assert scripted.requests == []


async def test_missing_url_of_the_store_is_a_bad_answer(
    session: AsyncSession, scripted: Script
) -> None:
    """A copy that cannot be deleted does not fail the transfer."""
    scripted.ok("GetAndLoadInternalContext", [{}, {"ContextId": "c", "ContextPath": "/s"}])
    scripted.ok("GetContextFileUploadUrl", {})
    scripted.fail("DeleteContextFile", "NotAllowed")
    scripted.ok("CallMcpTool", {"content": [], "isError": False})
    assert isinstance((await session.fs.upload_file(_LARGE, "f")).error, BadAnswerError)


async def test_store_without_an_id_is_not_used(
    local_session: AsyncSession, home: Path, relay: Relay
) -> None:
    """The tools transfer the file."""
    listed = HttpResponse.success([{"ContextType": "file_transfer"}])
    _answer(relay, GetAndLoadInternalContext=listed)
    assert (await local_session.fs.upload_file(_LARGE, "f")).success
    assert (home / "f").read_bytes() == _LARGE


async def test_file_that_changes_during_a_download_fails(
    local_session: AsyncSession, home: Path, here: Path, relay: Relay
) -> None:
    """A mixture of old and new content is wrong."""

    def change(request: HttpRequest) -> HttpRequest:
        if request.form.get("Name") == "read_file":
            (home / "f").write_bytes(b"x" * len(_SMALL))
        return request

    (home / "f").write_bytes(_SMALL)
    relay.intercept = change
    result = await local_session.fs.download_file("f", here / "f")
    assert isinstance(result.error, TransferError)
    assert "checksum" in result.error_message
    assert os.listdir(here) == []
