"""Root file systems from elsewhere: OCI layouts, and archives of all files."""

from __future__ import annotations

import gzip
import json
import lzma
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.images import decompression
from agentbay_local.images.rootfs_archive import open_archives
from agentbay_local.images.unpack import ArchiveError, Budget, Unpacker

from .archives import MACHINE, archive, files, layout, member, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def unpacked(source: Path, layer: Path) -> dict[str, str]:
    """Unpack a root file system; return its files."""
    layer.mkdir()
    unpacker = Unpacker(layer, Budget())
    with open_archives(source) as archives:
        for stream in archives.streams:
            unpacker.unpack(stream, whiteouts=archives.whiteouts)
    return {
        str(path.relative_to(layer)): path.read_text()
        for path in layer.rglob("*")
        if path.is_file()
    }


LAYERS = (
    files(**{"usr/bin/tool": "1", "usr/bin/gone": "1"}),
    archive((member("usr/bin/.wh.gone"), b""), (member("usr/bin/tool"), b"2")),
)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("packed", ["directory", "tar", "tar.gz"])
def test_the_layers_of_a_layout_lie_over_each_other(
    tmp_path: Path, packed: str, compressed: bool
) -> None:
    """Of a directory, or of an archive of it."""
    source = layout(tmp_path / "layout", *LAYERS, compressed=compressed)
    if packed != "directory":
        source = pack(source, tmp_path / "layout.tar")
    if packed == "tar.gz":
        source = tmp_path / "layout.tar.gz"
        source.write_bytes(gzip.compress((tmp_path / "layout.tar").read_bytes()))
    assert unpacked(source, tmp_path / "layer") == {"usr/bin/tool": "2"}


@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_of_all_files_is_unpacked(tmp_path: Path, compressed: bool) -> None:
    """Its names are names, even those of whiteouts."""
    content = files(**{".dockerenv": "", "usr/bin/tool": "1", "usr/.wh.file": "kept"})
    source = tmp_path / "export.tar"
    source.write_bytes(gzip.compress(content) if compressed else content)
    assert unpacked(source, tmp_path / "layer") == {"usr/bin/tool": "1", "usr/.wh.file": "kept"}


def zstd(content: bytes) -> bytes:
    """Compress with the program; skip the test without it."""
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed here")
    return subprocess.run(["zstd", "-cq"], input=content, stdout=subprocess.PIPE, check=True).stdout


def two_streams(content: bytes) -> bytes:
    """Compress the halves of a content apart, and fill up the first one."""
    half = len(content) // 2
    return lzma.compress(content[:half]) + b"\0" * 8 + lzma.compress(content[half:])


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "xz in parts": two_streams,
    "zstd": zstd,
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_xz_and_zstd_are_read(tmp_path: Path, compression: str) -> None:
    """As an archive of all files, and as layers of a layout within an archive."""
    compress = COMPRESSIONS[compression]
    source = tmp_path / "export.tar"
    source.write_bytes(compress(files(**{"usr/bin/tool": "x" * 3_000_000})))
    assert list(unpacked(source, tmp_path / "first").values()) == ["x" * 3_000_000]
    packed = layout(tmp_path / "layout", *map(compress, LAYERS), compressed=False)
    source = pack(packed, tmp_path / "layout.tar")
    assert unpacked(source, tmp_path / "second") == {"usr/bin/tool": "2"}
    source.write_bytes(compress(source.read_bytes()))
    assert unpacked(source, tmp_path / "third") == {"usr/bin/tool": "2"}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("spoil_it", [lambda data: data[:-9], lambda data: data[:40] + b"xxxxxxxx"])
def test_damaged_compression_is_refused(tmp_path: Path, compression: str, spoil_it: Any) -> None:
    """At its end too: what is missing there is part of a file."""
    source = tmp_path / "export.tar"
    source.write_bytes(spoil_it(COMPRESSIONS[compression](files(**{"usr/bin/tool": "1"}))))
    with pytest.raises(ArchiveError, match="damaged"):
        unpacked(source, tmp_path / "layer")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_is_too_much_is_not_unpacked(
    tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary file is no way around the budget."""
    monkeypatch.setattr(decompression, "MOST_BYTES", 1_000_000)
    source = tmp_path / "export.tar"
    source.write_bytes(COMPRESSIONS[compression](files(**{"usr/bin/tool": "x" * 3_000_000})))
    with pytest.raises(ArchiveError, match="more than 1000000 bytes"):
        unpacked(source, tmp_path / "layer")


def test_zstd_without_its_program_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python reads it since 3.14."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(decompression, "find_spec", lambda _: None)
    source = tmp_path / "export.tar"
    source.write_bytes(b"\x28\xb5\x2f\xfd and more")
    with pytest.raises(ArchiveError, match="install zstd, or save the archive with gzip"):
        unpacked(source, tmp_path / "layer")


def spoil(path: str, text: str) -> Any:
    """Return a function that replaces the value at a path of the index."""

    def change(index: dict[str, Any]) -> None:
        if path == "index":
            index.clear()
            index["manifests"] = json.loads(text)
        else:
            index["manifests"][0][path] = json.loads(text)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil("digest", '"sha256:../../../etc/passwd"'), "otherwise than by its SHA-256"),
        (
            spoil("digest", '"md5:d41d8cd98f00b204e9800998ecf8427e"'),
            "otherwise than by its SHA-256",
        ),
        (spoil("digest", "7"), "otherwise than by its SHA-256"),
        (spoil("digest", f'"sha256:{"0" * 64}"'), "no blobs/sha256/000"),
        (spoil("platform", '{"os": "windows", "architecture": "amd64"}'), "has 0 images"),
        (spoil("index", "[]"), "has 0 images"),
        (spoil("index", "7"), "has 0 images"),
        (spoil("index", "[7, null]"), "has 0 images"),
        (spoil("index", '[{"digest": "x"}, {"digest": "y"}]'), "has 2 images"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_an_index_that_names_something_else_is_refused(
    tmp_path: Path, change: Any, message: str, packed: bool
) -> None:
    """With what is wrong."""
    source = layout(tmp_path / "layout", *LAYERS, change=change)
    if packed:
        source = pack(source, tmp_path / "layout.tar")
    with pytest.raises(ArchiveError, match=message):
        unpacked(source, tmp_path / "layer")


def test_a_blob_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    """Nothing of it is unpacked."""
    source = layout(tmp_path / "layout", *LAYERS)
    for blob in (source / "blobs/sha256").iterdir():
        if blob.read_bytes().startswith(b"\x1f\x8b"):
            blob.write_bytes(gzip.compress(files(**{"usr/bin/evil": "x"})))
    with pytest.raises(ArchiveError, match="is damaged"):
        unpacked(source, tmp_path / "layer")
    assert not list((tmp_path / "layer").iterdir())


def test_links_of_a_layout_lead_nowhere(tmp_path: Path) -> None:
    """A blob may be a link to a file of the machine."""
    secret = tmp_path / "secret"
    secret.write_text('{"manifests": []}')
    source = layout(tmp_path / "layout", *LAYERS)
    (source / "index.json").unlink()
    (source / "index.json").symlink_to(secret)
    with pytest.raises(ArchiveError, match=r"has no index\.json"):
        unpacked(source, tmp_path / "layer")


@pytest.mark.parametrize("text", ["", "7", "[", "[" * 100_000, "x" * (5 * 1024 * 1024)])
def test_a_document_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """Damaged, nested without end, or too long."""
    source = layout(tmp_path / "layout", *LAYERS)
    (source / "index.json").write_text(text)
    with pytest.raises(ArchiveError, match="damaged or too long"):
        unpacked(source, tmp_path / "layer")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"x" * 5000, b"\x1f\x8b", b"\x1f\x8bxxxxxxxxxxxxxxxxx"]
)
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """As such, and not by an error of the modules that read it."""
    source = tmp_path / "file.tar"
    source.write_bytes(content)
    with pytest.raises(ArchiveError):
        unpacked(source, tmp_path / "layer")


def test_a_compressed_bomb_ends_at_the_budget(tmp_path: Path) -> None:
    """A few bytes of it are much when they are unpacked."""
    source = tmp_path / "bomb.tar"
    source.write_bytes(gzip.compress(archive((member("usr/bomb"), bytes(20_000_000)))))
    assert source.stat().st_size < 100_000
    (tmp_path / "layer").mkdir()
    unpacker = Unpacker(tmp_path / "layer", Budget(most_bytes=1_000_000))
    with open_archives(source) as archives, pytest.raises(ArchiveError, match="more than 1000000"):
        unpacker.unpack(next(archives.streams))


def test_an_image_for_other_processors_is_not_taken(tmp_path: Path) -> None:
    """Its programs would not run."""

    def change(index: dict[str, Any]) -> None:
        index["manifests"][0]["platform"] = {"os": "linux", "architecture": f"not-{MACHINE}"}

    source = layout(tmp_path / "layout", *LAYERS, change=change)
    with pytest.raises(ArchiveError, match=f"has 0 images for Linux on {MACHINE}"):
        unpacked(source, tmp_path / "layer")
