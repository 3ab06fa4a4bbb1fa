"""Files of a session that is not running, accessed from the host."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.sandbox.host import openat
from agentbay_local.sandbox.host.offline_files import OfflineFiles
from agentbay_local.trees.budget import Budget
from agentbay_local.trees.copying import copy_content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRIES = 3000


@pytest.fixture(params=["kernel", "walk"])
def files(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OfflineFiles]:
    """Return the files of a root, with openat2 and with its replacement on old kernels."""
    if request.param == "walk":
        monkeypatch.setattr(openat, "kernel_resolves", lambda: False)
    elif not openat.kernel_resolves():
        pytest.skip("this kernel has no openat2")
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("host")
    with OfflineFiles(tmp_path / "root") as one:
        yield one


def write(files: OfflineFiles, path: str, data: bytes) -> None:
    """Write a file."""
    with open(files.open(path, "w"), "wb") as file:
        file.write(data)


def test_written_file_has_the_path_of_the_session(files: OfflineFiles, tmp_path: Path) -> None:
    """The path on disk is the session's path below the root; parents are created."""
    write(files, "/mnt/data/deep/f", b"1")
    write(files, "/mnt/data/deep/f", b"2")

    assert (tmp_path / "root/mnt/data/deep/f").read_bytes() == b"2"
    assert files.stat("/mnt/data/deep/f").st_size == 1


def test_walk_yields_directories_before_content_and_follows_no_link(
    files: OfflineFiles, tmp_path: Path
) -> None:
    """Every name comes once; links are not followed."""
    write(files, "/d/b/f", b"")
    write(files, "/d/a", b"")
    os.symlink(tmp_path, tmp_path / "root/d/out")
    found = list(files.walk("/d"))

    assert [one.path for one in found] == ["a", "b", "out", "b/f"]
    assert [one.is_file for one in found] == [True, False, False, True]
    assert [one.is_dir for one in found] == [False, True, False, False]


@pytest.mark.parametrize("path", ["abs", "rel", "up/secret", "../../secret", "magic/secret"])
def test_no_path_leads_out_of_the_root(files: OfflineFiles, tmp_path: Path, path: str) -> None:
    """Absolute links, climbing links, `..` and links of /proc stay inside or fail."""
    root = tmp_path / "root"
    os.symlink(tmp_path / "secret", root / "abs")
    os.symlink("../secret", root / "rel")
    os.symlink("..", root / "up")
    os.symlink(f"/proc/{os.getpid()}/root{tmp_path}", root / "magic")

    with pytest.raises(SandboxOSError) as caught:
        files.open(path)
    assert caught.value.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)


def test_writing_through_a_link_stays_inside(files: OfflineFiles, tmp_path: Path) -> None:
    """The file of the host is never changed."""
    os.symlink(tmp_path / "secret", tmp_path / "root/abs")
    os.symlink("..", tmp_path / "root/up")
    for path in ("abs", "up/secret", "up/new"):
        with contextlib.suppress(SandboxOSError):
            write(files, path, b"changed")

    assert (tmp_path / "secret").read_text() == "host"
    assert not (tmp_path / "new").exists()


def test_directories_and_fifos_are_rejected_without_waiting(
    files: OfflineFiles, tmp_path: Path
) -> None:
    """Only regular files are opened."""
    os.mkfifo(tmp_path / "root/fifo")
    files.make_directory("/d")
    for path in ("fifo", "/d"):
        with pytest.raises(SandboxOSError) as caught:
            files.open(path)
        assert caught.value.errno in (errno.EINVAL, errno.EISDIR)


def test_flipping_link_never_opens_a_file_outside(files: OfflineFiles, tmp_path: Path) -> None:
    """A directory that becomes a link and back during a walk reveals nothing."""
    root = tmp_path / "root"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("host")
    write(files, "/real/f", b"session")
    os.symlink(outside, root / "link")
    (root / "flip").mkdir()
    stop = threading.Event()

    def flip() -> None:
        while not stop.is_set():
            for source in ("real", "link"):
                os.rename(root / source, root / "now")
                os.rename(root / "now", root / source)

    flipper = threading.Thread(target=flip)
    flipper.start()
    seen = set()
    try:
        for _ in range(TRIES):
            try:
                with open(files.open("/now/f"), "rb") as file:
                    seen.add(file.read())
            except SandboxOSError:
                continue
    finally:
        stop.set()
        flipper.join()

    assert seen <= {b"session"}


def test_copy_keeps_every_byte(files: OfflineFiles, tmp_path: Path) -> None:
    """Content is copied from a root to a file of the host and back."""
    data = os.urandom(300_000)
    write(files, "/f", data)
    source = files.open("/f")
    target = os.open(tmp_path / "copy", os.O_WRONLY | os.O_CREAT)
    try:
        assert len(data) == copy_content(source, target, Budget(None))
    finally:
        os.close(source)
        os.close(target)
    assert data == (tmp_path / "copy").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_created_files_belong_to_the_session_user(tmp_path: Path) -> None:
    """The session can change files that the service has created in it."""
    os.chown(tmp_path, 1_900_000_001, 1_900_000_001)
    with OfflineFiles(tmp_path, uid=1_900_000_001) as files:
        write(files, "/a/b/f", b"")

    for name in ("a", "a/b", "a/b/f"):
        assert (tmp_path / name).stat().st_uid == 1_900_000_001
