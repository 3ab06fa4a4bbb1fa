"""Archives of foreign origin: what is unpacked, and what is refused."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_local.images.unpack import ArchiveError, Budget, Unpacker

from .archives import archive, files, member

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Return an empty layer."""
    (tmp_path / "layer").mkdir()
    return tmp_path / "layer"


def unpack(
    layer: Path, *contents: bytes, whiteouts: bool = False, budget: Budget | None = None
) -> Unpacker:
    """Unpack archives into a layer, one over the other."""
    unpacker = Unpacker(layer, budget or Budget())
    for content in contents:
        unpacker.unpack(io.BytesIO(content), whiteouts=whiteouts)
    return unpacker


def tree(layer: Path) -> dict[str, str]:
    """Return the files and links of a layer, with their content or target."""
    return {
        str(path.relative_to(layer)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in sorted(layer.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_files_links_and_directories_are_unpacked(layer: Path) -> None:
    """Those of the directories that layers have; the rest of a system is left out."""
    unpacked = unpack(
        layer,
        archive(
            member("./usr", tarfile.DIRTYPE),
            (member("./usr/bin/tool", mode=0o755), b"tool"),
            member("./usr/bin/link", tarfile.SYMTYPE, linkname="tool"),
            member("./usr/bin/hard", tarfile.LNKTYPE, linkname="./usr/bin/tool"),
            (member("opt/vendor/file"), b"vendor"),
            (member("etc/settings"), b"settings"),
            (member("root/.ssh/id"), b"secret"),
            (member("proc/1/environ"), b"x"),
            member("usr/empty", tarfile.DIRTYPE),
        ),
    )
    assert tree(layer) == {
        "usr/bin/tool": "tool",
        "usr/bin/link": "tool",
        "usr/bin/hard": "tool",
        "opt/vendor/file": "vendor",
        "etc/settings": "settings",
    }
    assert (layer / "usr/empty").is_dir()
    assert unpacked.dropped == 2


def test_directories_beside_usr_move_into_it(layer: Path) -> None:
    """As on the machine, where they are links; relative links still lead where they led."""
    unpack(
        layer,
        archive(
            (member("lib/x86/libz.so.1"), b"z"),
            (member("bin/tool"), b"t"),
            member("bin/up", tarfile.SYMTYPE, linkname="../etc/up"),
            member("bin/beside", tarfile.SYMTYPE, linkname="tool"),
            member("lib64", tarfile.SYMTYPE, linkname="usr/lib64"),
            member("sbin", tarfile.DIRTYPE),
        ),
    )
    assert tree(layer) == {
        "usr/lib/x86/libz.so.1": "z",
        "usr/bin/tool": "t",
        "usr/bin/up": "/etc/up",
        "usr/bin/beside": "tool",
    }


def test_everybody_may_read_what_is_unpacked_and_nobody_else_write(layer: Path) -> None:
    """Whatever the archive and the umask say; no bit makes a program run as somebody else."""
    previous = os.umask(0o077)
    try:
        unpack(
            layer,
            archive(
                member("usr/secret", tarfile.DIRTYPE, mode=0o700),
                (member("usr/secret/su", mode=0o6711), b"su"),
                (member("usr/secret/open", mode=0o666), b"open"),
                (member("usr/deep/er/file", mode=0o000), b"file"),
            ),
        )
    finally:
        os.umask(previous)
    modes = {
        str(path.relative_to(layer)): stat.S_IMODE(path.stat().st_mode) for path in layer.rglob("*")
    }
    assert modes == {
        "usr": 0o755,
        "usr/secret": 0o755,
        "usr/secret/su": 0o755,
        "usr/secret/open": 0o644,
        "usr/deep": 0o755,
        "usr/deep/er": 0o755,
        "usr/deep/er/file": 0o644,
    }


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_left_out(layer: Path, kind: bytes) -> None:
    """They would be the machine's own."""
    unpacked = unpack(layer, archive(member("usr/device", kind, devmajor=1, devminor=3)))
    assert not (layer / "usr/device").exists()
    assert unpacked.dropped == 1


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../outside", "usr/../../outside", "usr/./../../outside", "./../outside", ".."],
)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_a_name_that_leads_out_is_refused(layer: Path, name: str, kind: bytes) -> None:
    """Nothing is made outside."""
    with pytest.raises(ArchiveError, match="leads out of the archive"):
        unpack(layer, archive((member(name, kind, linkname="x"), b"")))
    assert not (layer.parent / "outside").exists()


@pytest.mark.parametrize("target", ["../../../outside", "/proc/self/root/{}/outside", "{}/outside"])
def test_nothing_is_written_through_a_link(layer: Path, target: str) -> None:
    """A link leads within the layer, wherever it pretends to lead; or nowhere, and is refused."""
    outside = layer.parent / "outside"
    outside.mkdir()
    link = member("usr/way", tarfile.SYMTYPE, linkname=target.format(layer.parent))
    with contextlib.suppress(ArchiveError):
        unpack(layer, archive(link, (member("usr/way/file"), b"x")))
    assert not list(outside.iterdir())


def test_a_link_is_replaced_and_not_followed(layer: Path) -> None:
    """By a file of its own name."""
    outside = layer.parent / "outside"
    outside.write_text("as it was")
    link = member("usr/way", tarfile.SYMTYPE, linkname=str(outside))
    unpack(layer, archive(link, (member("usr/way"), b"x")))
    assert outside.read_text() == "as it was"
    assert tree(layer) == {"usr/way": "x"}


def test_a_linked_directory_of_the_archive_is_filled(layer: Path) -> None:
    """As package managers do."""
    unpack(
        layer,
        archive(
            member("usr/real", tarfile.DIRTYPE),
            member("usr/alias", tarfile.SYMTYPE, linkname="/usr/real"),
            member("usr/alias", tarfile.DIRTYPE),
            (member("usr/alias/file"), b"x"),
        ),
    )
    assert tree(layer) == {"usr/alias": "/usr/real", "usr/real/file": "x"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "root/x", "usr/missing"])
def test_a_hard_link_to_something_else_is_refused(layer: Path, target: str) -> None:
    """It could be a file of the machine."""
    with pytest.raises(ArchiveError):
        unpack(layer, archive(member("usr/hard", tarfile.LNKTYPE, linkname=target)))
    assert not (layer / "usr/hard").exists()


def test_a_hard_link_does_not_follow_a_link(layer: Path) -> None:
    """The link itself gets a second name."""
    outside = layer.parent / "outside"
    outside.write_text("secret")
    unpack(
        layer,
        archive(
            member("usr/soft", tarfile.SYMTYPE, linkname=str(outside)),
            member("usr/hard", tarfile.LNKTYPE, linkname="usr/soft"),
        ),
    )
    assert (layer / "usr/hard").is_symlink()
    assert outside.stat().st_nlink == 1


def test_more_than_the_budget_is_refused(layer: Path) -> None:
    """In bytes, in files, and of all archives together."""
    big = archive((member("usr/big"), b"x" * 1000))
    with pytest.raises(ArchiveError, match="more than 999 bytes"):
        unpack(layer, big, budget=Budget(most_bytes=999))
    many = files(**{f"usr/{number}": "" for number in range(20)})
    with pytest.raises(ArchiveError, match="more than 30 files"):
        unpack(layer, many, many, budget=Budget(most_entries=30))


def test_what_is_left_out_counts_too(layer: Path) -> None:
    """Its content has to be read."""
    with pytest.raises(ArchiveError, match="more than 999 bytes"):
        unpack(layer, archive((member("root/big"), b"x" * 1000)), budget=Budget(most_bytes=999))


def test_headers_that_would_fill_the_memory_are_refused(layer: Path) -> None:
    """Long names, and the maps of sparse files."""
    long = member("usr/x", tarfile.XHDTYPE)
    long.size = 2 * 1024 * 1024 * 1024
    with pytest.raises(ArchiveError, match="header that is too long"):
        unpack(layer, long.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 512)
    sparse = member("usr/x", tarfile.GNUTYPE_SPARSE)
    with pytest.raises(ArchiveError, match="sparse"):
        unpack(layer, sparse.tobuf(tarfile.GNU_FORMAT) + b"\0" * 512)
    for version in (("0", "0"), ("0", "1"), ("1", "0")):
        headers = {
            "GNU.sparse.major": version[0],
            "GNU.sparse.minor": version[1],
            "GNU.sparse.map": "0,1",
            "GNU.sparse.size": "5",
        }
        content = archive(
            (member("usr/x", pax_headers=headers), b"1\n0\n1\n"), format=tarfile.PAX_FORMAT
        )
        with pytest.raises(ArchiveError, match=r"sparse|damaged"):
            unpack(layer, content)


def test_headers_of_headers_without_end_are_refused(layer: Path) -> None:
    """They are read one within the other."""
    header = member("usr/x", tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(layer, header * 5000)


@pytest.mark.parametrize("name", ["usr/" + "x" * 300, "usr/" + "d/" * 200 + "f", "usr/a\0b"])
def test_a_name_that_no_file_can_have_is_refused(layer: Path, name: str) -> None:
    """As a damaged archive, not as an error of this program."""
    headers = {"path": name}
    with pytest.raises(ArchiveError):
        unpack(
            layer, archive((member("usr/x", pax_headers=headers), b"x"), format=tarfile.PAX_FORMAT)
        )


def test_an_archive_that_ends_too_early_is_refused(layer: Path) -> None:
    """Half a file is not a file."""
    whole = archive((member("usr/file"), b"x" * 5000))
    with pytest.raises(ArchiveError):
        unpack(layer, whole[:3000])


def test_dates_that_files_cannot_have_are_changed(layer: Path) -> None:
    """Before 1970, or thousands of years from now."""
    unpack(
        layer, archive((member("usr/old", mtime=-5.0), b""), (member("usr/new", mtime=1e15), b""))
    )
    assert (layer / "usr/old").stat().st_mtime == 0


def test_whiteouts_remove_what_lower_archives_have(layer: Path) -> None:
    """One name, or all in a directory; what the same archive has stays."""
    lower = files(
        **{
            "usr/a/one": "1",
            "usr/a/two": "2",
            "usr/b/one": "1",
            "usr/c": "c",
            "usr/d/e": "e",
            "usr/b/deep/old": "1",
        }
    )
    upper = archive(
        (member("usr/b/new"), b"new"),
        (member("usr/b/deep/new"), b"new"),
        (member("usr/b/.wh..wh..opq"), b""),
        (member("usr/a/.wh.one"), b""),
        (member("usr/.wh.d"), b""),
        (member("usr/.wh.missing"), b""),
    )
    unpack(layer, lower, upper, whiteouts=True)
    assert tree(layer) == {
        "usr/a/two": "2",
        "usr/b/new": "new",
        "usr/b/deep/new": "new",
        "usr/c": "c",
    }


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        (".wh.opt", {"usr/bin/tool": "t", "etc/file": "f"}),
        (".wh.bin", {"opt/x/y": "y", "etc/file": "f"}),
        (".wh..wh..opq", {}),
        (".wh.home", {"opt/x/y": "y", "usr/bin/tool": "t", "etc/file": "f"}),
    ],
)
def test_a_whole_directory_of_the_system_can_be_gone(
    layer: Path, gone: str, left: dict[str, str]
) -> None:
    """As any other; what the archive itself has stays."""
    lower = files(**{"opt/x/y": "y", "bin/tool": "t", "etc/file": "f"})
    upper = archive((member("etc/new"), b"n"), (member(f"./{gone}"), b""))
    unpack(layer, lower, upper, whiteouts=True)
    assert tree(layer) == {**left, "etc/new": "n"}


def test_a_whiteout_leads_nowhere_else(layer: Path) -> None:
    """Neither by its name, nor through a link."""
    outside = layer.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    for name in ("usr/.wh...", "usr/.wh.", "usr/.wh..", "usr/way/.wh.file", "usr/way/.wh..wh..opq"):
        link = member("usr/way", tarfile.SYMTYPE, linkname=str(outside))
        with contextlib.suppress(ArchiveError):
            unpack(layer, archive(link, (member(name), b"")), whiteouts=True)
        assert (outside / "file").exists()
        assert layer.is_dir()


@given(st.binary(max_size=3000), st.integers(0, 2000), st.binary(min_size=1, max_size=40))
def test_any_bytes_are_unpacked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int, patch: bytes
) -> None:
    """By the one error, and nothing is written beside the layer. Fuzzed."""
    whole = archive(
        member("usr/way", tarfile.SYMTYPE, linkname="/tmp"),
        (member("usr/file"), b"content"),
        member("usr/hard", tarfile.LNKTYPE, linkname="usr/file"),
    )
    for content in (noise, whole[:place] + patch + whole[place + len(patch) :]):
        top = tmp_path_factory.mktemp("fuzz")
        (top / "layer").mkdir()
        with contextlib.suppress(ArchiveError):
            unpack(top / "layer", content, whiteouts=True)
        assert [path.name for path in top.iterdir()] == ["layer"]
