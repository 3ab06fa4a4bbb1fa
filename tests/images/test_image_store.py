"""The images of this machine: how they get there, and what is removed when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentbay_local import Image, Limits
from agentbay_local.commands import images
from agentbay_local.images import Images, ImageStore, rootfs_archive

from .archives import files

if TYPE_CHECKING:
    from pathlib import Path

    from agentbay_local.images.unpack import Unpacker


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """Return an empty store."""
    return ImageStore(tmp_path / "images")


def make(store: ImageStore, name: str, base: Image | None = None) -> Image:
    """Put an image with a layer of its own into a store."""
    with store.staging() as directory:
        (directory / "layer" / "usr").mkdir(parents=True)
        (directory / "layer" / "usr" / name).write_text(name)
        image = Image(name, layers=base.layers if base else ())
        return store.publish(image, directory / "layer", {"made": "today"})


def layers(store: ImageStore) -> list[str]:
    """Return the names of the images whose layers the store has, one for each layer."""
    place = store.directory / "layers"
    return (
        sorted(path.name.rpartition("-")[0] for path in place.iterdir()) if place.exists() else []
    )


def test_what_was_published_is_found(store: ImageStore) -> None:
    """With features, limits, services and layers; the record says what it was made of."""
    limits = Limits(processes=7, cpus=1.5)
    image = Image("x", features={"shell"}, limits=limits, services=["redis-server"])
    assert store.publish(image, None, {"apt": []}) == image
    assert store.get("x") == image
    made = make(store, "y")
    assert store.get("y") == made
    assert (made.layers[0] / "usr" / "y").read_text() == "y"
    assert store.manifest("y") is not None
    assert store.names() == ["x", "y"]
    assert (store.get("z"), store.get("../x"), store.get("")) == (None, None, None)


def test_an_image_is_added_with_its_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By ``agentbay image add``; the list shows them."""
    monkeypatch.setenv("AGENTBAY_IMAGES", str(tmp_path / "images"))
    (tmp_path / "layer" / "usr").mkdir(parents=True)
    words = ["add", "web", str(tmp_path / "layer"), "--service", "a --b", "--service", "c"]
    assert images.main([*words, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)

    assert images.main(["list", "--json"]) == 0

    [row] = [
        row for row in map(json.loads, capsys.readouterr().out.splitlines()) if row["name"] == "web"
    ]
    assert row["services"] == ["a --b", "c"]
    assert made == row
    assert images.main(["remove", "web", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "web", "removed": True}


@pytest.mark.parametrize("services", [["", "x"], ["a\0b"], "one"])
def test_a_service_that_is_no_command_line_is_refused(services: list[str]) -> None:
    """The error names the argument."""
    with pytest.raises(ValueError, match="services must be"):
        Image("x", services=services)


def test_the_same_name_replaces(store: ImageStore) -> None:
    """The layer before is removed, unless another image has it too."""
    first = make(store, "x")
    make(store, "y", base=first)
    second = make(store, "x")
    assert store.get("x") == second
    assert layers(store) == ["x", "x", "y"]
    assert store.remove("y")
    assert layers(store) == ["x"]
    assert store.remove("x")
    assert layers(store) == []
    assert not store.remove("x")


def test_a_layer_that_sessions_have_is_kept_until_they_end(store: ImageStore) -> None:
    """Removing what lies below an overlay would break their programs."""
    images = Images(store=ImageStore(store.directory))
    make(store, "x")
    held = images.offered("x").layers[0]
    make(store, "x")
    assert held.exists()
    assert images.offered("x").layers[0] != held
    store.remove("x")
    assert len(layers(store)) == 2
    images.release()
    make(store, "y")
    assert layers(store) == ["y"]


def test_nothing_is_left_of_a_layer_that_fails(store: ImageStore) -> None:
    """The image before stays."""
    before = make(store, "x")

    def fail() -> None:
        with store.staging() as directory:
            (directory / "layer").mkdir()
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert store.get("x") == before
    assert list((store.directory / "staging").iterdir()) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from agentbay_local.images import ImageStore
with ImageStore(Path(sys.argv[1])).staging() as directory:
    (directory / "layer" / "usr").mkdir(parents=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_command_removes_what_a_killed_one_left(store: ImageStore) -> None:
    """But not what another one is making."""
    subprocess.run([sys.executable, "-c", _KILLED, store.directory], check=False, timeout=60)
    staging = store.directory / "staging"
    assert len(list(staging.iterdir())) == 1
    with store.staging() as one, store.staging() as other:
        assert {one, other} == set(staging.iterdir())
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["", "7", "{}", '{"layers": 7}', '{"layers": [], "features": ["x"], "limits": {}}',
     '{"layers": [], "features": [], "limits": {"x": 1}}',
     '{"layers": ["/nowhere"], "features": [], "limits": {}}'],
)  # fmt: skip
def test_a_damaged_record_is_an_error(store: ImageStore, text: str) -> None:
    """And not another image."""
    store.directory.mkdir()
    (store.directory / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"damaged|must be a directory|features"):
        store.get("x")
    assert store.remove("x")


def test_layers_of_the_store_are_named_relative_to_it(store: ImageStore, tmp_path: Path) -> None:
    """So that it can be moved, or cached between machines."""
    make(store, "x")
    elsewhere = tmp_path / "moved"
    store.directory.rename(elsewhere)
    image = ImageStore(elsewhere).get("x")
    assert image is not None
    assert image.layers[0].is_relative_to(elsewhere)
    assert str(tmp_path) not in (elsewhere / "x.json").read_text()
    assert json.loads((elsewhere / "x.json").read_text())["made"] == "today"


def test_the_user_chooses_the_directory(tmp_path: Path) -> None:
    """By a variable; otherwise it is among the user's data."""
    chosen = ImageStore.of_user({"AGENTBAY_IMAGES": str(tmp_path)})
    assert chosen.directory == tmp_path
    usual = ImageStore.of_user({"XDG_DATA_HOME": str(tmp_path)})
    assert usual.directory == tmp_path / "agentbay" / "images"
    assert os.environ["AGENTBAY_IMAGES"].endswith("no-images")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Give an archive that can be a layer."""
    file = tmp_path / "layer.tar"
    file.write_bytes(files(**{"usr/bin/tool": "1"}))
    return file


def test_an_archive_is_unpacked_once(
    tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each service that has the image uses the same directory."""
    unpackings: list[Path] = []

    def counted(source: Path, unpacker: Unpacker) -> None:
        unpackings.append(source)
        unpack_root(source, unpacker)

    unpack_root = rootfs_archive.unpack_root
    monkeypatch.setattr(rootfs_archive, "unpack_root", counted)
    image = Image("tools", layers=[packed])
    found = [Images([image], ImageStore(tmp_path / "s")).offered("tools") for _ in range(3)]
    (layer,) = {layer for one in found for layer in one.layers}
    assert (layer / "usr/bin/tool").read_text() == "1"
    assert unpackings == [packed]


def test_an_archive_that_changes_is_unpacked_again(tmp_path: Path, packed: Path) -> None:
    """What the old one held is removed when nothing uses it."""
    store = ImageStore(tmp_path / "s")
    first = store.unpacked(packed)
    packed.write_bytes(files(**{"usr/bin/tool": "22"}))
    second = store.unpacked(packed)
    assert (second / "usr/bin/tool").read_text() == "22"
    store.publish(Image("other", layers=[second]), None, {})
    assert first.exists()
    store.release()
    store.publish(Image("other", layers=[second]), None, {})
    assert (first.exists(), second.exists()) == (False, True)
    assert {path.stem for path in second.parent.iterdir()} == {second.name}


def test_unpacked_archives_go_with_the_next_image_that_is_removed(
    tmp_path: Path, packed: Path
) -> None:
    """Unless an image or a service has them; publishing keeps those that can be used again."""
    store, running = ImageStore(tmp_path / "s"), ImageStore(tmp_path / "s")
    archives = [packed, *(packed.with_name(f"{name}.tar") for name in ("held", "named"))]
    for archive in archives[1:]:
        archive.write_bytes(packed.read_bytes())
    free, held = (store.unpacked(archives[0]), running.unpacked(archives[1]))
    store.publish(Image("other", layers=[store.unpacked(archives[2])]), None, {})
    store.release()
    archives[2].unlink()
    make(store, "x")
    assert free.exists()

    assert store.remove("x")

    left = {path.stem for path in (tmp_path / "s" / "archives").iterdir()}
    assert left == {held.name, *(layer.name for layer in (store.get("other") or Image("")).layers)}
    running.release()
    assert store.remove("other")
    assert not list((tmp_path / "s" / "archives").iterdir())


@pytest.mark.parametrize("content", [b"no archive", files(**{"etc/only": "1"})])
def test_an_archive_that_cannot_be_a_layer_is_refused(tmp_path: Path, content: bytes) -> None:
    """When the service is made."""
    file = tmp_path / "layer.tar"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"layer\.tar"):
        Images([Image("tools", layers=[file])], ImageStore(tmp_path / "s"))
    assert not list((tmp_path / "s" / "staging").iterdir())
