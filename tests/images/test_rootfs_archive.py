"""Root file systems from elsewhere: OCI layouts, and archives of all files."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.images.rootfs_archive import open_archives
from agentbay_local.images.unpack import ArchiveError, Budget, Unpacker

from .archives import MACHINE, archive, files, layout, member, pack

if TYPE_CHECKING:
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
