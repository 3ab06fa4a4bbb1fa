"""Transfer of files and directories, through the file tools and through the store."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from agentbay_async import (
    ArgumentTypeError,
    BadAnswerError,
    ContextSyncError,
    FileError,
    InvalidArgumentError,
    OperationTimeoutError,
    SessionNotFoundError,
    TransferError,
)
from agentbay_async.services._files import archive

from .toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.scripted import Script

    from agentbay_async import AsyncSession, TransferProgress

pytestmark = pytest.mark.usefixtures("over_http")

_LARGE = bytes(range(256)) * 2048
_SMALL = b"\x00\xff" * 50_000


class Store:
    """The service's store for files: what is put, fetched, synchronised and deleted."""

    def __init__(self, scripted: Script, home: Path) -> None:
        self.directory = home / "file-transfer"
        self.directory.mkdir()
        self.objects: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.synced: list[tuple[str, str]] = []
        self.outcome: dict[str, Any] = {"status": "Success"}
        self.damages = False
        self._endpoint = scripted.endpoint
        described = {"ContextId": "c-9", "ContextPath": str(self.directory)}
        scripted.ok("GetAndLoadInternalContext", [described])
        scripted.ok_from("GetContextFileUploadUrl", self._url)
        scripted.ok_from("GetContextFileDownloadUrl", self._url)
        scripted.ok_from("SyncContext", self._sync)
        scripted.ok_from("GetContextInfo", self._tasks)
        scripted.ok_from("DeleteContextFile", lambda form: self.deleted.append(form["FilePath"]))
        scripted.blob = self._blob

    def _url(self, form: dict[str, str]) -> dict[str, str]:
        assert form["ContextId"] == "c-9"
        return {"Url": f"{self._endpoint}/blob{form['FilePath']}?signature=s"}

    async def _blob(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/blob")
        if request.method == "PUT":
            self.objects[path] = self._kept(await request.read())
            return web.Response()
        return web.Response(body=self._kept(self.objects[path]))

    def _kept(self, content: bytes) -> bytes:
        return content[:-1] + b"!" if self.damages else content

    def _sync(self, form: dict[str, str]) -> None:
        path, mode = form["Path"], form["Mode"]
        self.synced.append((mode, path))
        if self.outcome["status"] != "Success":
            return
        if mode == "download":
            Path(path).write_bytes(self.objects[path])
        else:
            self.objects[path] = Path(path).read_bytes()

    def _tasks(self, form: dict[str, str]) -> dict[str, str]:
        past = {"contextId": "c-9", "path": str(self.directory), "taskType": form["TaskType"]}
        task = {"contextId": "c-9", "path": form["Path"], "taskType": form["TaskType"]}
        tasks = [{**past, "status": "Failed"}, {**task, **self.outcome}]
        return {"ContextStatus": json.dumps([{"type": "data", "data": json.dumps(tasks)}])}


@pytest.fixture
def store(scripted: Script, toolbox: Toolbox) -> Store:
    """Give the service a store for files."""
    return Store(scripted, toolbox.home)


@pytest.fixture
def no_store(over_http: None, scripted: Script, toolbox: Toolbox) -> None:
    """Let the service have no store for files."""
    scripted.fail("GetAndLoadInternalContext", "InvalidAction.NotFound", "no such action")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Give a directory of this machine that is not the session's."""
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


async def _both_ways(
    session: AsyncSession, toolbox: Toolbox, here: Path, content: bytes, path: str
) -> list[TransferProgress]:
    """Upload a file, look at it, and download it again."""
    seen: list[TransferProgress] = []
    (here / "in").write_bytes(content)
    fs = session.file_system
    receipt = (await fs.upload_file(here / "in", path, progress=seen.append)).unwrap()
    assert toolbox.content(path) == content
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
    session: AsyncSession, toolbox: Toolbox, here: Path, content: bytes, path: str
) -> None:
    """Byte for byte, to any path, without looking up the store."""
    await _both_ways(session, toolbox, here, content, path)


@pytest.mark.usefixtures("no_store")
async def test_large_file_is_transferred_by_the_tools_without_a_store(
    session: AsyncSession, toolbox: Toolbox, here: Path, scripted: Script
) -> None:
    """The store is looked up once."""
    await _both_ways(session, toolbox, here, _LARGE, "d/f")
    assert scripted.actions.count("GetAndLoadInternalContext") == 1
    assert (await session.fs.get_file_transfer_context_path()).data is None


async def test_large_file_is_transferred_by_the_store(
    session: AsyncSession, toolbox: Toolbox, here: Path, store: Store, scripted: Script
) -> None:
    """With one synchronization each way, progress for every chunk, and no leftovers."""
    seen = await _both_ways(session, toolbox, here, _LARGE, "d/f")
    assert [mode for mode, _ in store.synced] == ["download", "upload"]
    assert scripted.actions.count("GetAndLoadInternalContext") == 1
    assert scripted.forms("GetAndLoadInternalContext")[0]["ContextTypes.1"] == "file_transfer"
    assert [progress.done for progress in seen if progress.done == len(_LARGE)] != []
    assert list(store.directory.iterdir()) == []
    assert sorted(store.deleted) == sorted(path for _, path in store.synced)
    assert toolbox.names() == ["d", "file-transfer"]
    path = (await session.fs.get_file_transfer_context_path()).data
    assert path == str(store.directory)


async def test_bytes_can_be_uploaded(session: AsyncSession, toolbox: Toolbox) -> None:
    """No local file is needed."""
    assert (await session.fs.upload_file(b"abc", "f")).size == 3
    assert toolbox.content("f") == b"abc"


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ({"status": "Failed", "errorMessage": "disk full"}, ContextSyncError),
        ({"status": "Running", "errorMessage": "disk full"}, ContextSyncError),
        ({"status": "Running"}, OperationTimeoutError),
    ],
)
async def test_failed_synchronization_fails_the_transfer(
    session: AsyncSession,
    toolbox: Toolbox,
    here: Path,
    store: Store,
    outcome: dict[str, str],
    kind: type[Exception],
) -> None:
    """The targets stay as they were."""
    (here / "f").write_bytes(b"precious")
    (toolbox.home / "f").write_bytes(_LARGE)
    store.outcome = outcome
    up = await session.fs.upload_file(_LARGE[::-1], "f", timeout=60)
    assert isinstance(up.error, kind)
    assert toolbox.content("f") == _LARGE
    down = await session.fs.download_file("f", here / "f", timeout=60)
    assert isinstance(down.error, kind)
    assert (here / "f").read_bytes() == b"precious"
    assert os.listdir(here) == ["f"]
    assert list(store.directory.iterdir()) == []


async def test_corrupted_transfer_is_detected(
    session: AsyncSession, toolbox: Toolbox, here: Path, store: Store
) -> None:
    """In both directions, by the checksum."""
    (toolbox.home / "f").write_bytes(_LARGE)
    (here / "f").write_bytes(b"precious")
    store.damages = True
    up = await session.fs.upload_file(_LARGE[::-1], "f")
    assert isinstance(up.error, FileError)
    assert "checksum" in up.error_message
    assert toolbox.content("f") == _LARGE
    down = await session.fs.download_file("f", here / "f")
    assert isinstance(down.error, TransferError)
    assert "checksum" in down.error_message
    assert (here / "f").read_bytes() == b"precious"


async def test_download_of_a_missing_file_fails(
    session: AsyncSession, toolbox: Toolbox, here: Path
) -> None:
    """No empty file is left; a directory is not a file either."""
    (toolbox.home / "d").mkdir()
    for path in ("missing", "d"):
        result = await session.fs.download_file(path, here / "f")
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
    session: AsyncSession, toolbox: Toolbox, here: Path
) -> None:
    """Names, permissions, links, empty directories and large files."""
    tree = here / "tree"
    (tree / "sub" / "empty").mkdir(parents=True)
    (tree / "sub" / "new\nline 汉字").write_bytes(_LARGE)
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    (tree / "sub" / "link").symlink_to("../run")
    (tree / "twin").hardlink_to(tree / "run")
    receipt = (await session.fs.upload_directory(tree, "there/tree")).unwrap()
    assert receipt.verified
    assert _facts(toolbox.home / "there" / "tree") == _facts(tree)
    (here / "back").mkdir()
    (here / "back" / "kept").touch()
    (await session.fs.download_dir("there/tree", here / "back")).unwrap()
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
    session: AsyncSession, toolbox: Toolbox, here: Path
) -> None:
    """Nothing is written."""
    result = await session.fs.download_directory("missing", here)
    assert isinstance(result.error, FileError)
    assert os.listdir(here) == []
    assert toolbox.names() == []


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
    session: AsyncSession, toolbox: Toolbox, here: Path
) -> None:
    """The error names the directory."""
    (toolbox.home / "d").mkdir()
    (toolbox.home / "d" / "link").symlink_to("/etc")
    result = await session.fs.download_directory("d", here)
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
    session: AsyncSession, store: Store, scripted: Script
) -> None:
    """A copy that cannot be deleted does not fail the transfer."""
    scripted.clear()
    scripted.ok("GetAndLoadInternalContext", [{}, {"ContextId": "c", "ContextPath": "/s"}])
    scripted.ok("GetContextFileUploadUrl", {})
    scripted.fail("DeleteContextFile", "NotAllowed")
    scripted.ok("CallMcpTool", {"content": [], "isError": False})
    assert isinstance((await session.fs.upload_file(_LARGE, "f")).error, BadAnswerError)


async def test_store_without_an_id_is_not_used(
    session: AsyncSession, toolbox: Toolbox, scripted: Script
) -> None:
    """The tools transfer the file."""
    scripted.ok("GetAndLoadInternalContext", [{"ContextType": "file_transfer"}])
    assert (await session.fs.upload_file(_LARGE, "f")).success
    assert toolbox.content("f") == _LARGE


async def test_file_that_grows_during_a_download_fails(
    session: AsyncSession, toolbox: Toolbox, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mixture of old and new content is wrong."""

    async def grows(args: dict[str, Any]) -> str:
        (toolbox.home / "f").write_bytes(_SMALL * 2)
        return await Toolbox.read_file(toolbox, args)

    (toolbox.home / "f").write_bytes(_SMALL)
    monkeypatch.setattr(toolbox, "read_file", grows)
    result = await session.fs.download_file("f", here / "f")
    assert isinstance(result.error, TransferError)
    assert "changed while it was read" in result.error_message
    assert os.listdir(here) == []
